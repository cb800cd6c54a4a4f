"""What this machine has: the largest size of a job that fits it, and its GPUs."""

import os
from pathlib import Path

from prominence_hpc.backends.base import Submission
from prominence_hpc.backends.run_command import find_program
from prominence_hpc.errors import BackendError

__all__ = ["can_mount", "count_gpus", "fitting", "refuse_missing_gpus"]


def fitting(submission: Submission) -> Submission:
    """``submission`` with the largest of its sizes that fits cores and memory, else with the least."""
    moldable = submission.moldable
    if moldable is None:
        return submission
    room = len(os.sched_getaffinity(0))
    if submission.memory_mib_per_cpu is not None:
        memory_mib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
        room = min(room, memory_mib // submission.memory_mib_per_cpu)
    if not moldable.between and room < moldable.most_cpus:
        return submission.sized(submission.cpus)
    return submission.sized(max(submission.cpus, min(moldable.most_cpus, room)))


def can_mount() -> bool:
    """Whether rclone can mount remote storage here: it, FUSE, and the way for users to use that."""
    programs = [find_program(name) for name in ("rclone", "fusermount3", "fusermount")]
    return bool(programs[0] and any(programs[1:])) and os.access("/dev/fuse", os.R_OK | os.W_OK)


def refuse_missing_gpus(submission: Submission) -> None:
    """Raise BackendError where the job asks for GPUs that are not here, or that nobody can tell apart."""
    if not submission.gpus:
        return
    if submission.gpu_type is not None:
        msg = "The backend local does not know the types of GPUs: leave gpuType out."
        raise BackendError(msg)
    found = count_gpus(Path("/dev"))
    if found < submission.gpus:
        has = f"has {found}" if found else "has none whose driver is loaded"
        msg = (
            f"The job asks for {submission.gpus} gpus, and this machine {has}; submit to a cluster."
        )
        raise BackendError(msg)


def count_gpus(devices: Path) -> int:
    """NVIDIA's (``nvidia0``, …), or where AMD's driver is loaded (``kfd``) what it renders with."""
    found = len(list(devices.glob("nvidia[0-9]*")))
    if (devices / "kfd").exists():
        found += len(list((devices / "dri").glob("renderD*")))
    return found
