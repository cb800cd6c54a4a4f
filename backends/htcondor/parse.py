"""Job records (ClassAds, as plain dictionaries) read. Pure functions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prominence_hpc.backends.base import Cause, Condition, SchedulerState
from prominence_hpc.backends.htcondor.constraints import handle_parts
from prominence_hpc.backends.htcondor.copies import COPY_ATTRIBUTE, is_to_come, state_to_come
from prominence_hpc.backends.htcondor.removal import (
    REMOVED_ATTRIBUTES,
    SPARES_ATTRIBUTE,
    cause_of_removal,
    cause_of_sparing,
)
from prominence_hpc.backends.htcondor.states import HOLD_CAUSES, JOB_STATUS

__all__ = [
    "RUNNING_ATTRIBUTES",
    "STATE_ATTRIBUTES",
    "TAG_ATTRIBUTES",
    "Record",
    "Running",
    "by_tag",
    "handle_of",
    "jobs_of",
    "running",
    "sparing",
    "state_of",
    "states_of",
    "to_come",
]

Record = Mapping[str, Any]

_SCHEDULER_UNIVERSE = 7  # DAGMan, which runs on no node
_ABSENT = SchedulerState(condition=Condition.ABSENT)

# The attributes that :func:`state_of` reads.
STATE_ATTRIBUTES = (
    "ClusterId",
    "ProcId",
    "JobStatus",
    "HoldReason",
    "HoldReasonCode",
    *REMOVED_ATTRIBUTES,
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


# … :func:`by_tag`,
TAG_ATTRIBUTES = ("ClusterId", "ProminenceTag", COPY_ATTRIBUTE)
# … :func:`running`, and with those of clusters :func:`to_come`.
RUNNING_ATTRIBUTES = (
    *("ClusterId", "ProcId", "JobStatus", "JobUniverse", "DAGManJobId", "Iwd", COPY_ATTRIBUTE),
    SPARES_ATTRIBUTE,
)


@dataclass(frozen=True, kw_only=True)
class Running:
    """A job that runs, and its folder here. ``copy`` is its number, where it is one of many."""

    handle: str
    folder: Path
    copy: str | None


def handle_of(record: Record) -> str:
    """``12.0``, as HTCondor's own commands take it."""
    return f"{record['ClusterId']}.{record['ProcId']}"


def states_of(handles: Sequence[str], records: Iterable[Record]) -> dict[str, SchedulerState]:
    """The state of each handle, by the queue's records of jobs and clusters."""
    jobs, clusters = _parted(records)
    known = {handle: state_of(record) for handle, record in jobs.items()}
    to_be = {cluster: state_to_come(record) for cluster, record in clusters.items()}
    states = {}
    for handle in handles:
        cluster, proc = handle_parts(handle)
        is_known_to_come = cluster in clusters and is_to_come(clusters[cluster], proc)
        states[handle] = known.get(handle) or (to_be[cluster] if is_known_to_come else _ABSENT)
    return states


def by_tag(records: Iterable[Record]) -> dict[str, str]:
    """The handles of submissions, by a record of each: a cluster's, where they have copies."""
    return {
        record["ProminenceTag"]: f"{record['ClusterId']}{'' if COPY_ATTRIBUTE in record else '.0'}"
        for record in records
    }


def running(handles: Iterable[str], records: Iterable[Record]) -> list[Running]:
    """Those that run of these handles: a cluster's own is that of all its jobs, DAGMan's that of all it runs."""
    return [
        Running(handle=handle, folder=_folder_of(record), copy=_copy_of(record))
        for handle, record in jobs_of(handles, records).items()
        if state_of(record).condition is Condition.RUNNING
    ]


def jobs_of(handles: Iterable[str], records: Iterable[Record]) -> dict[str, Record]:
    """The jobs in the queue that these handles stand for, DAGMan itself left out."""
    wanted = set(handles)
    return {
        handle: record
        for handle, record in _parted(records)[0].items()
        if not wanted.isdisjoint((handle, str(record["ClusterId"]), _dagman_of(record)))
        and record.get("JobUniverse") != _SCHEDULER_UNIVERSE
    }


def to_come(handles: Iterable[str], records: Iterable[Record]) -> list[str]:
    """Those of these handles that are of jobs not made yet."""
    clusters = _parted(records)[1]
    found = []
    for handle in handles:
        cluster, proc = handle_parts(handle)
        if "." in handle and cluster in clusters and is_to_come(clusters[cluster], proc):
            found.append(handle)
    return found


def sparing(handles: Iterable[str], records: Iterable[Record]) -> dict[str, Condition]:
    """Those of these handles that spare the others of their cluster, and where they are."""
    found: dict[str, Condition] = {}
    jobs, clusters = _parted(records)
    for handle in handles:
        cluster, proc = handle_parts(handle)
        record = jobs.get(handle)
        if record is None and cluster in clusters and is_to_come(clusters[cluster], proc):
            record = clusters[cluster]
        if "." in handle and record is not None and record.get(SPARES_ATTRIBUTE) is True:
            found[handle] = state_of(record).condition
    return found


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


def _parted(records: Iterable[Record]) -> tuple[dict[str, Record], dict[int, Record]]:
    """Records of jobs by handle, and of clusters by number."""
    jobs: dict[str, Record] = {}
    clusters: dict[int, Record] = {}
    for record in records:
        if "ProcId" in record:
            jobs[handle_of(record)] = record
        else:
            clusters[record["ClusterId"]] = record
    return jobs, clusters


def _dagman_of(record: Record) -> str:
    return f"{record.get('DAGManJobId')}.0"


def _copy_of(record: Record) -> str | None:
    return str(record[COPY_ATTRIBUTE]) if COPY_ATTRIBUTE in record else None


def _folder_of(record: Record) -> Path:
    return Path(record["Iwd"], _copy_of(record) or "")


def _ended(record: Record, cause: Cause) -> SchedulerState:
    code, reason = record.get("ExitCode"), ""
    if cause is Cause.CANCELLED:
        cause, reason = cause_of_removal(record)
        code = None  # of an attempt before
    elif (stopped := cause_of_sparing(record)) is not None:
        cause, code, reason = stopped, None, str(record.get("LastHoldReason", ""))
    if cause is Cause.EXITED and record.get("ExitBySignal") is True:
        cause, code = Cause.SIGNALED, 128 + int(record.get("ExitSignal", 0))
    return SchedulerState(
        condition=Condition.ENDED,
        raw=str(record["JobStatus"]),
        reason=reason,
        cause=cause,
        exit_code=None if code is None else int(code),
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
