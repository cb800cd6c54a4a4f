"""How the wrapper ends, for whoever goes by its exit code alone: see ``exit_code`` of wrappers/plan.py."""

from .attempts import TASK
from .planfile import PlanError, load

CRASHED = 1
EXIT = {"completed": 0, "failed": 10, "killed": 11}
# What HTCondor's on_exit_remove and the launcher of local jobs know.
RETRY_EXIT_CODE = 12
TASK_EXIT_CODE = 13


def told_by(kind: str, code: int, cause: str) -> int:
    """The exit code as the plan wants it. ``code`` tells of the job, ``cause`` whose fault its end was.

    >>> [told_by(kind, 0, TASK) for kind in ("plain", "strict", "silent")]
    [0, 13, 0]
    >>> [told_by(kind, 11, "limit") for kind in ("plain", "strict", "silent")]
    [11, 11, 0]
    """
    if kind == "silent":
        return 0
    return TASK_EXIT_CODE if kind == "strict" and code == 0 and cause == TASK else code


def of_crash(plan_path: bytes) -> int:
    """The exit code of a wrapper that could not even say so in a report."""
    try:
        return told_by(load(plan_path)["exit_code"], CRASHED, "")
    except (OSError, PlanError):
        return CRASHED
