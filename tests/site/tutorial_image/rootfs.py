"""The image's root file system, by mmdebstrap from the Debian mirror that apt uses here."""

import os
import shlex
import shutil
from pathlib import Path
from typing import Final

from tests.site import commands, engine, registries
from tests.site.errors import UnsupportedMachine
from tests.site.tutorial_image.recipe import Recipe

MAKE_SECONDS: Final = 600


def make(target: Path, what: Recipe) -> None:
    """Writes the tree as an uncompressed tar. Nothing is left at `target` where it fails."""
    _ensure_mmdebstrap()
    try:
        commands.run(
            argv(what, target, registries.mirror(), _apt_options()),
            timeout=MAKE_SECONDS,
            env={**os.environ, "SOURCE_DATE_EPOCH": str(what.epoch)},
        )
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def argv(what: Recipe, target: Path, mirror: str, apt_options: list[str]) -> list[str]:
    """--mode=auto: as root directly, else in a user namespace (which needs Debian's `uidmap`)."""
    removed = " ".join(f'"$1"/{pattern}' for pattern in what.removed)
    hook = [] if what.hook is None else [f'--customize-hook=sh {shlex.quote(str(what.hook))} "$1"']
    return [
        "mmdebstrap",
        "--mode=auto",
        "--quiet",
        "--format=tar",
        "--variant=essential",  # no apt inside
        f"--include={','.join(what.packages)}",
        "--skip=output/dev",  # device files: an ordinary user cannot unpack them
        '--aptopt=APT::Install-Recommends "false"',
        *(f"--aptopt={option}" for option in apt_options),
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in what.excluded),
        "--dpkgopt=force-unsafe-io",  # nothing of it need outlive a crash
        *hook,
        f"--customize-hook=rm -rf {removed}",
        what.suite,
        str(target),
        mirror,
    ]


def _apt_options() -> list[str]:
    """mmdebstrap's apt runs on this machine: the CA bundle that the site's images use is not here."""
    return [option for option in registries.apt_options() if "CaInfo" not in option]


def _ensure_mmdebstrap() -> None:
    root = os.geteuid() == 0
    needed = ["mmdebstrap"] if root else ["mmdebstrap", "newuidmap"]
    if all(shutil.which(program) for program in needed):
        return
    if not root:
        message = (
            "The tutorial's image is made by mmdebstrap in a user namespace: it needs Debian's "
            "packages mmdebstrap and uidmap, which root can install."
        )
        raise UnsupportedMachine(message)
    engine.require_root_and_apt("the tutorial's image")
    engine.install_packages("mmdebstrap")
