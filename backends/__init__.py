"""The engines by name, and which of them this machine has.

A backend's module is imported when a site of that kind is first used.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from prominence_hpc.backends.base import Backend
from prominence_hpc.backends.settings import BackendName, SiteSettings

__all__ = ["BACKENDS", "detect_backend"]


def _slurm(settings: SiteSettings, _: Path) -> Backend:
    from prominence_hpc.backends.slurm.backend import SlurmBackend

    return SlurmBackend(settings)


def _htcondor(settings: SiteSettings, _: Path) -> Backend:
    from prominence_hpc.backends.htcondor.backend import HTCondorBackend

    return HTCondorBackend(settings)


def _local(settings: SiteSettings, state_folder: Path) -> Backend:
    from prominence_hpc.backends.local.backend import LocalBackend

    return LocalBackend(settings, state_folder)


# Makes the backend of a site; the second argument is the state folder.
BACKENDS: Final[Mapping[BackendName, Callable[[SiteSettings, Path], Backend]]] = {
    "slurm": _slurm,
    "htcondor": _htcondor,
    "local": _local,
}


def detect_backend() -> BackendName:
    """Slurm where its sbatch is on PATH, else HTCondor where its condor_submit is, else local."""
    from prominence_hpc.backends.run_command import find_program

    if find_program("sbatch"):
        return "slurm"
    return "htcondor" if find_program("condor_submit") else "local"
