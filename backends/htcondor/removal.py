"""Jobs that HTCondor removes from the queue by itself (periodic_remove), and how that is told afterwards."""

from collections.abc import Mapping
from typing import Any

from prominence_hpc.backends.base import Cause, Submission
from prominence_hpc.backends.htcondor.quoting import classad_string
from prominence_hpc.backends.htcondor.states import HOLD_CAUSES

__all__ = ["DELETED_ATTRIBUTE", "REMOVED_ATTRIBUTES", "cause_of_removal", "removal_commands"]

# How many seconds a job may be idle, where that is limited.
QUEUE_LIMIT_ATTRIBUTE = "ProminenceQueueLimitSeconds"
# Codes of holds that nothing but their removal ends.
FINAL_HOLDS_ATTRIBUTE = "ProminenceFinalHolds"
# Of a cluster: followed by the number of a job that is deleted, maybe before it is made.
DELETED_ATTRIBUTE = "ProminenceDeleted"

# The attributes that :func:`cause_of_removal` reads.
REMOVED_ATTRIBUTES = ("RemoveReason", "LastJobStatus", "LastHoldReason", "LastHoldReasonCode")

_IS_IDLE = "JobStatus == 1"
_IS_HELD = "JobStatus == 5"
_HELD = 5
_IS_DELETED = f'eval(strcat("{DELETED_ATTRIBUTE}", string(ProcId))) is true'
_DELETED = "Deleted through prominence"


def removal_commands(submission: Submission, *, in_graph: bool) -> dict[str, str]:
    """When a job is removed, and the words for it.

    A held job stays in the queue for ever: DAGMan would wait for it, and of a cluster's copies it would
    take the place of one that is not made yet.
    """
    clauses = {}
    if submission.copies is not None:
        clauses[_DELETED] = _IS_DELETED
    if submission.copies is not None or in_graph:
        clauses[FINAL_HOLDS_ATTRIBUTE] = (
            f"{_IS_HELD} && member(HoldReasonCode, {FINAL_HOLDS_ATTRIBUTE})"
        )
    if submission.queue_limit_seconds:
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
        **{f"My.{name}": value for name, value in attributes.items() if name in clauses},
    }


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
