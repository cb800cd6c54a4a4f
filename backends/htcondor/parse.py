"""Job records (ClassAds, as plain dictionaries) read. Pure functions."""

from collections.abc import Mapping
from typing import Any

from prominence_hpc.backends.base import Cause, Condition, SchedulerState
from prominence_hpc.backends.htcondor.states import HOLD_CAUSES, JOB_STATUS

__all__ = ["QUEUE_LIMIT_ATTRIBUTE", "STATE_ATTRIBUTES", "Record", "handle_of", "state_of"]

Record = Mapping[str, Any]

# How many seconds a job may be idle, where that is limited. HTCondor repeats the expression that
# removed a job in its RemoveReason, and with it this name.
QUEUE_LIMIT_ATTRIBUTE = "ProminenceQueueLimitSeconds"

# The attributes that :func:`state_of` reads.
STATE_ATTRIBUTES = (
    "ClusterId",
    "ProcId",
    "JobStatus",
    "HoldReason",
    "HoldReasonCode",
    "RemoveReason",
    "LastRejMatchReason",
    "ExitBySignal",
    "ExitSignal",
    "ExitCode",
    "JobCurrentStartDate",
    "CompletionDate",
    "EnteredCurrentStatus",
    "RemoteHost",
    "LastRemoteHost",
    "NumJobStarts",
    "RemoteHosts",
)


def handle_of(record: Record) -> str:
    """``12.0``, as HTCondor's own commands take it."""
    return f"{record['ClusterId']}.{record['ProcId']}"


def state_of(record: Record) -> SchedulerState:
    """What a record says of its job, in the queue or in the history."""
    status = record.get("JobStatus", 0)
    condition, cause = JOB_STATUS.get(status, (Condition.UNKNOWN, Cause.NONE))
    if condition is Condition.ENDED:
        return _ended(record, cause)
    if condition is Condition.HELD:
        cause = HOLD_CAUSES.get(record.get("HoldReasonCode", 0), Cause.NONE)
    began = condition is Condition.RUNNING or cause is not Cause.NONE
    return SchedulerState(
        condition=condition,
        raw=str(status),
        reason=_reason(record, condition),
        cause=cause,
        start_time=_time(record, "JobCurrentStartDate") if began else None,
        end_time=_time(record, "EnteredCurrentStatus")
        if condition is Condition.HELD and began
        else None,
        nodes=_nodes(record, "RemoteHost") if condition is Condition.RUNNING else (),
        restarts=_restarts(record, condition),
    )


def _ended(record: Record, cause: Cause) -> SchedulerState:
    code = record.get("ExitCode")
    reason = str(record.get("RemoveReason", ""))
    if cause is Cause.CANCELLED and QUEUE_LIMIT_ATTRIBUTE in reason:
        cause, code = Cause.QUEUE_TIME, None
    if cause is Cause.EXITED and record.get("ExitBySignal") is True:
        cause, code = Cause.SIGNALED, 128 + int(record.get("ExitSignal", 0))
    return SchedulerState(
        condition=Condition.ENDED,
        raw=str(record["JobStatus"]),
        reason=reason if cause is Cause.CANCELLED else "",
        cause=cause,
        exit_code=None if code is None or cause is Cause.CANCELLED else int(code),
        start_time=_time(record, "JobCurrentStartDate"),
        end_time=_time(record, "CompletionDate") or _time(record, "EnteredCurrentStatus"),
        nodes=_nodes(record, "LastRemoteHost") or _nodes(record, "RemoteHost"),
        restarts=_restarts(record, Condition.ENDED),
    )


def _reason(record: Record, condition: Condition) -> str:
    if condition is Condition.HELD:
        return str(record.get("HoldReason", ""))
    if condition is Condition.QUEUED:
        return _why_idle(str(record.get("LastRejMatchReason", "")).strip())
    return ""


def _why_idle(rejection: str) -> str:
    # HTCondor says the same of a full pool: it may fit yet.
    if rejection == "no match found":
        return f"No slot of the pool matches its request so far ({rejection})"
    return rejection


def _restarts(record: Record, condition: Condition) -> int | None:
    """Starts before the one that is spoken of; NumJobStarts counts those that have executed."""
    starts = record.get("NumJobStarts")
    if not isinstance(starts, int):
        return None
    waits = condition in (Condition.QUEUED, Condition.HELD)
    return starts if waits else max(0, starts - 1)


def _time(record: Record, name: str) -> float | None:
    value = record.get(name)
    return float(value) if value else None


def _nodes(record: Record, name: str) -> tuple[str, ...]:
    """The hosts of ``slot1_3@node.example``; of a job of several nodes by their numbers."""
    slots = str(record.get("RemoteHosts") or record.get(name, "")).split(",")
    hosts = (slot.rpartition("@")[2] for slot in slots)
    return tuple(host for host in hosts if host)
