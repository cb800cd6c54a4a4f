"""`prominence` on the login node: a wheel of this checkout, installed anew when its sources change."""

import hashlib
import importlib.metadata
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.site import commands, paths
from tests.site.handle import Site

# What the wheel is made from.
SOURCES: Final = ("adapter", "backends", "cli", "wrappers", "src")
FILES: Final = ("pyproject.toml", "README.md", "LICENSE")
VENV: Final = "/opt/prominence"
# The hash of the installed sources, in the container: it vanishes together with what it speaks of.
INSTALLED: Final = f"{VENV}/installed-sources"
BUILD_SECONDS: Final = 120
INSTALL_SECONDS: Final = 180

# Files of the checkout by their path in it: their content, or where they link to.
Sources = Mapping[Path, bytes | Path]


def refresh(site: Site) -> bool:
    """Makes the login node's `prominence` that of the checkout; whether there was anything to do."""
    sources = read_sources()
    digest = digest_of(sources)
    known = site.run(["cat", INSTALLED], user="root", check=False, timeout=20)
    if known.stdout == digest:
        return False
    wheel = build_wheel(sources)
    _install(site, f"/site/wheels/{wheel.name}")
    site.write(INSTALLED, digest, user="root")
    return True


def read_sources() -> Sources:
    """What git has or would take (without git, every file), as it is in the checkout now.

    Read once, since somebody may be editing: what is hashed is what is built.
    """
    git = ["git", "-c", f"safe.directory={paths.CHECKOUT}", "-C", str(paths.CHECKOUT)]
    listing = ["ls-files", "-z", "-co", "--exclude-standard", "--", *SOURCES, *FILES]
    if shutil.which("git") and (paths.CHECKOUT / ".git").exists():
        names = commands.run([*git, *listing], timeout=30).split("\0")
        found = {Path(name) for name in names if name}
    else:
        found = set(_walk())
    return {path: content for path in sorted(found) if (content := _read(path)) is not None}


def _walk() -> list[Path]:
    tops = [paths.CHECKOUT / name for name in (*SOURCES, *FILES)]
    everything = [p for top in tops for p in (top, *top.rglob("*"))]
    return [p.relative_to(paths.CHECKOUT) for p in everything if "__pycache__" not in p.parts]


def _read(path: Path) -> bytes | Path | None:
    """A file's content, a link's target, or None: git also lists what has just been deleted."""
    full = paths.CHECKOUT / path
    if full.is_symlink():
        return full.readlink()
    try:
        return full.read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        return None


def digest_of(sources: Sources) -> str:
    digest = hashlib.sha256()
    for path, content in sources.items():
        data = content if isinstance(content, bytes) else os.fsencode(content)
        digest.update(f"\0{path}\0{type(content).__name__}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()


def build_wheel(sources: Sources) -> Path:
    """The wheel, in the folder that the hosts see.

    It is built from a copy: setuptools would leave build/ in the checkout, and would take stale
    modules from it the next time.
    """
    shutil.rmtree(paths.WHEELS, ignore_errors=True)
    paths.WHEELS.mkdir(parents=True)
    with tempfile.TemporaryDirectory(dir=paths.STATE) as copy:
        for path, content in sources.items():
            target = Path(copy, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, Path):
                target.symlink_to(content)
            else:
                target.write_bytes(content)
        argv = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", *_isolation()]
        commands.run([*argv, "-w", str(paths.WHEELS), copy], timeout=BUILD_SECONDS)
    return next(paths.WHEELS.glob("*.whl"))


def _isolation() -> list[str]:
    """Fetching setuptools for every build takes seconds: not where a new enough one is at hand."""
    try:
        version = importlib.metadata.version("setuptools")
    except importlib.metadata.PackageNotFoundError:
        return []
    return ["--no-build-isolation"] if int(version.split(".")[0]) >= 77 else []


def _install(site: Site, wheel: str) -> None:
    pip = [f"{VENV}/bin/python", "-m", "pip"]
    install = [*pip, "install", "-q", "--no-deps", "--force-reinstall", wheel]
    site.run(install, user="root", timeout=INSTALL_SECONDS)
    # The image has what requirements.txt names. The wheel may by now want more.
    if site.run([*pip, "check"], user="root", check=False, timeout=60).returncode != 0:
        site.run([*pip, "install", "-q", wheel], user="root", timeout=INSTALL_SECONDS)
    link = ["ln", "-sfn", f"{VENV}/bin/prominence", "/usr/local/bin/prominence"]
    site.run(link, user="root", timeout=20)
