"""What the image is made of, and where Intel MPI's runtime comes from."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.site import paths
from tests.site.errors import SiteError
from tests.site.handle import Site
from tests.site.tutorial_image import cache
from tests.site.tutorial_image.recipe import EXCLUDED, REMOVED, Recipe

HERE: Final = Path(__file__).parent
INTEL: Final = "impi-rt==2021.19.0"
DOWNLOAD_SECONDS: Final = 300

MPI: Final = Recipe(
    folder="mpi",
    file="mpi",
    # Programs of Debian 12's MPICH do not end where UCX has TCP alone between nodes.
    suite="trixie",
    packages=("mpich", "libfabric1", "tcc", "libc6-dev"),
    # GPU runtimes, which modules of UCX would load that no test needs.
    excluded=(
        *(
            pattern
            for pattern in EXCLUDED
            if not pattern.startswith(("/usr/include", "/usr/lib/*.a"))
        ),
        "/usr/lib/*/libLLVM*",
        "/usr/lib/*/libamd*",
        "/usr/lib/*/libhip*",
        "/usr/lib/*/libhsa*",
        "/usr/lib/*/libroc*",
        "/usr/lib/*/libz3*",
    ),
    removed=REMOVED,
    name="mpi:test",
    environment=("PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8"),
    command=("ring",),
    epoch=1735689600,  # 2025-01-01
    hook=HERE / "build.sh",
    hook_files=(HERE / "ring.c",),
)
# What an image whose MPI is Intel's would set by itself.
INTEL_ENVIRONMENT: Final = {
    "PATH": "/opt/intel/bin:/usr/local/bin:/usr/bin:/bin",
    "LD_LIBRARY_PATH": "/opt/intel/lib",
    "I_MPI_ROOT": "/opt/intel",
    "FI_PROVIDER": "tcp",
}


def ensure(site: Site | None = None) -> Path:
    """The image as a SIF, made if this machine does not have it yet. SiteError where that fails."""
    wheels = paths.WORK / "intel-mpi"
    if not (paths.WORK / MPI.folder / MPI.digest()).exists() and not list(wheels.glob("*.whl")):
        _download(wheels)
    os.environ["INTEL_MPI"] = str(wheels)  # build.sh reads it
    return cache.ensure(site, MPI).sif


def _download(folder: Path) -> None:
    argv = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "-q",
        "--no-deps",
        "--dest",
        str(folder),
        INTEL,
    ]
    done = subprocess.run(
        argv, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS, check=False
    )
    if done.returncode != 0:
        message = f"{INTEL} could not be downloaded"
        raise SiteError(message, done.stderr[-2000:])
