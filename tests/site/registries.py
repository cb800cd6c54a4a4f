"""How this machine reaches its package registries, for the builds of images.

Nothing of it is in the repository: mirrors come from apt's own list of them, the index from pip's
own configuration, certificates from the machine's bundle.
"""

import ast
import re
import sys
from pathlib import Path

from tests.site import commands, engine
from tests.site.errors import UnsupportedMachine

HOST_CA = Path("/etc/ssl/certs/ca-certificates.crt")
IMAGE_CA = "/etc/ssl/host-ca.pem"
KEPT = ("default-timeout", "index-url", "proxy", "timeout", "trusted-host")


def write_private(folder: Path, suite: str) -> None:
    """What an image's Dockerfile copies from `private/`: apt's and pip's configuration and the CAs."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, of_suite in (("sources.list", suite), ("sid.list", "sid")):
        (folder / name).write_text(f"deb {mirror()} {of_suite} main\n")
    options = [*apt_options(), f'Acquire::https::CaInfo "{IMAGE_CA}"']
    (folder / "apt.conf").write_text("".join(f"{option};\n" for option in options))
    (folder / "pip.conf").write_text(pip_configuration())
    (folder / "ca.pem").write_bytes(HOST_CA.read_bytes() if HOST_CA.exists() else b"")


def mirror() -> str:
    """The archive that most of the machine's Debian package lists come from."""
    uris = _debian_archives()
    if not uris:  # apt tells of lists that it has fetched
        engine.update_package_lists()
        uris = _debian_archives()
    if not uris:
        message = "The test site needs a Debian archive among apt's sources; there is none."
        raise UnsupportedMachine(message)
    return max(set(uris), key=uris.count)


def _debian_archives() -> list[str]:
    argv = ["apt-get", "indextargets", "--format", "$(ORIGIN)\t$(REPO_URI)", "Created-By: Packages"]
    lines = [line.split("\t") for line in commands.run(argv, timeout=30).splitlines()]
    return [uri for origin, uri in lines if origin == "Debian" and "security" not in uri]


def apt_options() -> list[str]:
    """The machine's proxies; and a mirror's Release file may be past its date, sid's often is."""
    dump = commands.run(["apt-config", "dump"], timeout=30)
    proxies = re.findall(r'^(Acquire::https?::Proxy(?:::\S+)? "[^"]+");$', dump, re.MULTILINE)
    return ['Acquire::Check-Valid-Until "false"', *proxies]


def pip_configuration() -> str:
    """pip.conf for the image: the machine's indexes, environment included.

    Folders of this machine stay out: they are not in the image, and their wheels are for this
    machine's Python.
    """
    listing = commands.run([sys.executable, "-m", "pip", "config", "list"], timeout=60)
    settings: dict[str, str] = {}
    for line in listing.splitlines():
        name, _, value = line.partition("=")
        # `:env:` lines come first in the listing, but in pip they win
        settings.setdefault(name.rpartition(".")[2], ast.literal_eval(value))
    kept = {k: settings[k] for k in KEPT if k in settings}
    extra = [url for url in settings.get("extra-index-url", "").split() if _is_remote(url)]
    if extra:
        kept["extra-index-url"] = " ".join(extra)
    kept |= {"cert": IMAGE_CA, "disable-pip-version-check": "true"}
    return "[global]\n" + "".join(f"{k} = {v}\n" for k, v in sorted(kept.items()))


def _is_remote(url: str) -> bool:
    return url.startswith(("http://", "https://"))
