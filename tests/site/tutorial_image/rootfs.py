"""The image's root file system, by mmdebstrap from the Debian mirror that apt uses here."""

import os
import shutil
from pathlib import Path
from typing import Final

from tests.site import commands, engine, registries
from tests.site.errors import UnsupportedMachine
from tests.site.tutorial_image import recipe

MAKE_SECONDS: Final = 600


def make(target: Path) -> None:
    """Writes the tree as an uncompressed tar. Nothing is left at `target` where it fails."""
    _ensure_mmdebstrap()
    try:
        commands.run(
            argv(target, registries.mirror(), _apt_options()),
            timeout=MAKE_SECONDS,
            env={**os.environ, "SOURCE_DATE_EPOCH": str(recipe.EPOCH)},
        )
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def argv(target: Path, mirror: str, apt_options: list[str]) -> list[str]:
    """--mode=auto: as root directly, else in a user namespace (which needs Debian's `uidmap`)."""
    removed = " ".join(f'"$1"/{pattern}' for pattern in recipe.REMOVED)
    return [
        "mmdebstrap",
        "--mode=auto",
        "--quiet",
        "--format=tar",
        "--variant=essential",  # no apt inside
        f"--include={','.join(recipe.PACKAGES)}",
        "--skip=output/dev",  # device files: an ordinary user cannot unpack them
        '--aptopt=APT::Install-Recommends "false"',
        *(f"--aptopt={option}" for option in apt_options),
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in recipe.EXCLUDED),
        f"--customize-hook=rm -rf {removed}",
        recipe.SUITE,
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
