"""Jobs that HTCondor removes from the queue by itself (periodic_remove), and how that is told afterwards.

Of a sweep in a graph no job may be removed: DAGMan would remove all others of the cluster too. A job of
these that was held for good, or is deleted, is put back instead; its job.sh looks into the job's record
and ends at once.
"""

from collections.abc import Mapping
from typing import Any

from prominence_hpc.backends.base import Cause, Submission
from prominence_hpc.backends.htcondor.quoting import classad_string
from prominence_hpc.backends.htcondor.states import HOLD_CAUSES
from prominence_hpc.wrappers.job_script import COPY_NUMBER

__all__ = [
    "DELETED_ATTRIBUTE",
    "REMOVED_ATTRIBUTES",
    "SPARES_ATTRIBUTE",
    "cause_of_removal",
    "cause_of_sparing",
    "removal_commands",
    "sparing_lines",
]

# How many seconds a job may be idle, where that is limited.
QUEUE_LIMIT_ATTRIBUTE = "ProminenceQueueLimitSeconds"
# Codes of holds that nothing but their removal ends.
FINAL_HOLDS_ATTRIBUTE = "ProminenceFinalHolds"
# Of a cluster: followed by the number of a job that is deleted, maybe before it is made.
DELETED_ATTRIBUTE = "ProminenceDeleted"

# True of a job that spares the others of its cluster: it is not removed, but ends.
SPARES_ATTRIBUTE = "ProminenceSparesOthers"

# The attributes that :func:`cause_of_removal` and :func:`cause_of_sparing` read.
REMOVED_ATTRIBUTES = (
    *("RemoveReason", "LastJobStatus", "LastHoldReason", "LastHoldReasonCode", SPARES_ATTRIBUTE),
)

_IS_IDLE = "JobStatus == 1"
_IS_FINAL = f"JobStatus == 5 && member(HoldReasonCode, {FINAL_HOLDS_ATTRIBUTE})"
# … not for the first time.
_WAS_FINAL = f"member(LastHoldReasonCode, {FINAL_HOLDS_ATTRIBUTE}) is true"
_HELD = 5
_IS_DELETED = f'eval(strcat("{DELETED_ATTRIBUTE}", string(ProcId))) is true'
_DELETED = "Deleted through prominence"


def removal_commands(submission: Submission, *, in_graph: bool) -> dict[str, str]:
    """When a job is removed, and the words for it.

    A held job stays in the queue for ever: DAGMan would wait for it, and of a cluster's copies it would
    take the place of one that is not made yet.
    """
    clauses, sparing = {}, {}
    if _spares(submission, in_graph=in_graph):
        sparing = {
            "periodic_release": f"{_IS_FINAL} && !({_WAS_FINAL})",
            f"My.{SPARES_ATTRIBUTE}": "true",
        }
        clauses[FINAL_HOLDS_ATTRIBUTE] = f"{_IS_FINAL} && {_WAS_FINAL}"
    elif submission.copies is not None:
        clauses = {_DELETED: _IS_DELETED, FINAL_HOLDS_ATTRIBUTE: _IS_FINAL}
    elif in_graph:
        clauses[FINAL_HOLDS_ATTRIBUTE] = _IS_FINAL
    # One that spares others looks at the time that it has waited itself, as it begins.
    if submission.queue_limit_seconds and not sparing:
        clauses[QUEUE_LIMIT_ATTRIBUTE] = (
            f"{_IS_IDLE} && time() - EnteredCurrentStatus > {QUEUE_LIMIT_ATTRIBUTE}"
        )
    if not clauses:
        return {}
    attributes = {
        QUEUE_LIMIT_ATTRIBUTE: str(submission.queue_limit_seconds),
        FINAL_HOLDS_ATTRIBUTE: f"{{ {', '.join(map(str, HOLD_CAUSES))} }}",
    }
    return {
        "periodic_remove": " || ".join(f"({clause})" for clause in clauses.values()),
        **_reason(clauses),
        **sparing,
        **{f"My.{name}": value for name, value in attributes.items() if name in clauses},
    }


def sparing_lines(submission: Submission, *, in_graph: bool) -> list[str]:
    """Shell lines of job.sh by which a job ends that is not to run (again), sparing the others."""
    if not _spares(submission, in_graph=in_graph):
        return []
    codes = "|".join(map(str, HOLD_CAUSES))
    pattern = f"'^(LastHoldReasonCode = ({codes})|{DELETED_ATTRIBUTE}'{COPY_NUMBER}' = true)$'"
    return [
        "# Deleted, or stopped by HTCondor for good: it only ends. Removed, it would take others along.",
        f'! grep -qE {pattern} "$_CONDOR_JOB_AD" || exit 0',
    ]


def _spares(submission: Submission, *, in_graph: bool) -> bool:
    return in_graph and submission.copies is not None and submission.copies.count > 1


def _reason(clauses: Mapping[str, str]) -> dict[str, str]:
    """Which of several it was. Of one, HTCondor gives the expression as the reason."""
    *others, (last, _) = clauses.items()
    if not others:
        return {}
    reason = classad_string(last)
    for word, clause in reversed(others):
        reason = f"({clause}) ? {classad_string(word)} : ({reason})"
    return {"My.PeriodicRemoveReason": reason}


def cause_of_removal(record: Mapping[str, Any]) -> tuple[Cause, str]:
    """Why a job is not in the queue any more, and HTCondor's words for it."""
    reason = str(record.get("RemoveReason", ""))
    if FINAL_HOLDS_ATTRIBUTE in reason and record.get("LastJobStatus") == _HELD:
        cause = HOLD_CAUSES.get(record.get("LastHoldReasonCode", 0))
        if cause is not None:
            return cause, str(record.get("LastHoldReason", ""))
    if QUEUE_LIMIT_ATTRIBUTE in reason:
        return Cause.QUEUE_TIME, ""
    return Cause.CANCELLED, reason


def cause_of_sparing(record: Mapping[str, Any]) -> Cause | None:
    """Why a job has ended that did so at once, since it was held for good before."""
    if record.get(SPARES_ATTRIBUTE) is not True:
        return None
    return HOLD_CAUSES.get(record.get("LastHoldReasonCode", 0))
