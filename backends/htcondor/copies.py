"""Submissions with copies: one cluster, whose jobs the schedd makes as there is room (late materialization).

https://htcondor.readthedocs.io/en/latest/users-manual/submitting-a-job.html, "Submitting Lots of Jobs"

The cluster has a record of its own for as long as it has a job, or is to have one. Its jobs are told
apart by ``ProcId``, which counts from 0.
"""

from collections.abc import Mapping
from typing import Any

from prominence_hpc.backends.base import Condition, Copies, SchedulerState, Submission

__all__ = [
    "CLUSTER_ATTRIBUTES",
    "COPY_ATTRIBUTE",
    "copies_commands",
    "is_to_come",
    "job_id",
    "state_to_come",
    "where",
]

# A copy's number; of a job that is none, undefined.
COPY_ATTRIBUTE = "ProminenceCopy"
# So many jobs of a cluster wait in the queue at once. No more of them can start in one cycle of the
# negotiator, which is a minute by default; each costs the schedd some 10 kB.
_MOST_IDLE = 1000
# What a cluster's own record says of the jobs that it is to have.
CLUSTER_ATTRIBUTES = ("JobMaterializeNextProcId", "TotalSubmitProcs", "JobMaterializePaused")

_HELD = 1  # JobMaterializePaused, where somebody holds the cluster; below 0 HTCondor cannot go on
_TO_COME = "HTCondor puts more jobs of this cluster into the queue as others of it start"


def where(submission: Submission) -> str:
    """The folder of a job's files below the submission's, and on its node: ``$(ProcId)/``; often none."""
    return "" if submission.copies is None else f"{_number(submission.copies)}/"


def job_id(submission: Submission) -> str:
    """Our id of a job. Those of copies follow the first's."""
    return str(submission.job_id) if submission.copies is None else "$INT(prominence_id)"


def copies_commands(submission: Submission) -> dict[str, str]:
    """The commands of a submit description that only copies have."""
    copies = submission.copies
    if copies is None:
        return {}
    return {
        # What HTCondor computes the numbers of each job from.
        **({"prominence_copy": f"{copies.first} + $(ProcId)"} if copies.first else {}),
        "prominence_id": f"{submission.job_id} + $(ProcId)",
        "arguments": _number(copies),
        f"My.{COPY_ATTRIBUTE}": _number(copies),
        # N/report.json of the node is N/report.json here.
        "preserve_relative_paths": "true",
        **({} if submission.nodes > 1 else {"max_idle": str(_MOST_IDLE)}),
    }


def is_to_come(cluster: Mapping[str, Any], proc: int) -> bool:
    """Whether the job of this number is not made yet, by its cluster's own record."""
    following, total = cluster.get("JobMaterializeNextProcId"), cluster.get("TotalSubmitProcs")
    return following is not None and total is not None and following <= proc < total


def state_to_come(cluster: Mapping[str, Any]) -> SchedulerState:
    """The state of the jobs that are not made yet, by their cluster's own record."""
    paused = cluster.get("JobMaterializePaused", 0)
    if paused:
        why = "the cluster is held" if paused == _HELD else f"JobMaterializePaused is {paused}"
        reason = f"HTCondor makes no more jobs of this cluster: {why}"
        return SchedulerState(condition=Condition.HELD, raw="paused", reason=reason)
    return SchedulerState(condition=Condition.QUEUED, reason=_TO_COME)


def _number(copies: Copies) -> str:
    return "$INT(prominence_copy)" if copies.first else "$(ProcId)"
