"""Slurm's words for what becomes of a job, as data.

https://slurm.schedmd.com/squeue.html#SECTION_JOB-STATE-CODES and
https://slurm.schedmd.com/job_state_codes.html.
"""

from prominence_hpc.backends.base import Cause, Condition

__all__ = ["LAUNCH_FAILED_SIGNAL", "STATES"]

STATES: dict[str, tuple[Condition, Cause]] = {
    # Waiting. A requeued job waits anew under the same id.
    "PENDING": (Condition.QUEUED, Cause.NONE),
    "CONFIGURING": (Condition.QUEUED, Cause.NONE),  # has nodes, which are booting
    "POWER_UP_NODE": (Condition.QUEUED, Cause.NONE),
    "REQUEUED": (Condition.QUEUED, Cause.NONE),
    "REQUEUE_FED": (Condition.QUEUED, Cause.NONE),
    "EXPEDITING": (Condition.QUEUED, Cause.NONE),
    "REQUEUE_HOLD": (Condition.HELD, Cause.NONE),
    "RESV_DEL_HOLD": (Condition.HELD, Cause.NONE),
    "SPECIAL_EXIT": (Condition.HELD, Cause.NONE),  # requeued by an epilog, and held
    # On its nodes, also while it is stopped or its processes are being cleaned up.
    "RUNNING": (Condition.RUNNING, Cause.NONE),
    "COMPLETING": (Condition.RUNNING, Cause.NONE),
    "RESIZING": (Condition.RUNNING, Cause.NONE),
    "SIGNALING": (Condition.RUNNING, Cause.NONE),
    "STAGE_OUT": (Condition.RUNNING, Cause.NONE),
    "STOPPED": (Condition.RUNNING, Cause.NONE),
    "SUSPENDED": (Condition.RUNNING, Cause.NONE),
    "UPDATE_DB": (Condition.RUNNING, Cause.NONE),
    # Over.
    "COMPLETED": (Condition.ENDED, Cause.EXITED),
    "FAILED": (Condition.ENDED, Cause.EXITED),
    "CANCELLED": (Condition.ENDED, Cause.CANCELLED),
    "TIMEOUT": (Condition.ENDED, Cause.WALLTIME),
    "DEADLINE": (Condition.ENDED, Cause.WALLTIME),
    "OUT_OF_MEMORY": (Condition.ENDED, Cause.MEMORY),
    "NODE_FAIL": (Condition.ENDED, Cause.NODE_FAILURE),
    "BOOT_FAIL": (Condition.ENDED, Cause.NODE_FAILURE),
    "PREEMPTED": (Condition.ENDED, Cause.PREEMPTED),
    "LAUNCH_FAILED": (Condition.ENDED, Cause.REFUSED),
    "RECONFIG_FAIL": (Condition.ENDED, Cause.NODE_FAILURE),
    # Runs on another cluster of a federation: this one has nothing to say of it any more.
    "REVOKED": (Condition.UNKNOWN, Cause.NONE),
}

# slurmd's exit code 0:53: it could not open the job's output files or change to its folder.
LAUNCH_FAILED_SIGNAL = 53
