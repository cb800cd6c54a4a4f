"""The record of a local submission: what its launcher says of its jobs.

The launcher (:mod:`.launcher`, a program of its own) writes it, first when it takes the submission over,
last when all has ended; :mod:`.launcher.journal` says how. This module reads it.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from prominence_hpc.backends.base import Cause, Condition, SchedulerState
from prominence_hpc.backends.local.launcher import processes

__all__ = [
    "CopyRecord",
    "Record",
    "is_alive",
    "read_copies",
    "read_record",
    "state_of",
    "state_of_copy",
]


_CAUSES = {cause.value: cause for cause in Cause}


@dataclass(frozen=True, kw_only=True)
class Record:
    """The launcher is the process ``pid`` of ``host`` that began at ``ticks`` after ``boot``."""

    state: Literal["queued", "running", "ended"]
    pid: int
    ticks: int  # process ids are used again; see "starttime" in proc_pid_stat(5)
    boot: str
    host: str
    start_time: float | None
    end_time: float | None
    cause: str
    exit_code: int | None
    restarts: int = 0
    count: int | None = None  # of the submission's copies; None: it is one job
    unrun: str | None = None  # why the copies that still wait will not be run


@dataclass(frozen=True)
class CopyRecord:
    """What has become of one copy, in the order of the journal's fields."""

    state: Literal["queued", "running", "ended"]
    start_time: float | None
    end_time: float | None
    cause: str
    exit_code: int | None
    restarts: int


_WAITS = CopyRecord("queued", None, None, "none", None, 0)


def read_record(path: Path) -> Record | None:
    """The record at ``path``; None where there is none."""
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return Record(
        **{name: document[name] for name in Record.__dataclass_fields__ if name in document}
    )


def read_copies(path: Path) -> dict[int, CopyRecord]:
    """What the record at ``path`` has on copies, by number; there is nothing yet on those that wait."""
    try:
        text = path.with_name(f"{path.name}.copies").read_text(encoding="ascii")
    except FileNotFoundError:
        return {}
    lines = text.split("\n")[:-1]  # the last one may be half of one
    last = {number: fields for number, *fields in json.loads(f"[{','.join(lines)}]")}
    return {number: CopyRecord(*fields) for number, fields in last.items()}


def state_of_copy(
    record: Record, copies: Mapping[int, CopyRecord], number: int, *, alive: bool
) -> SchedulerState:
    """What a record says of copy ``number``; ``alive``: of the launcher, see :func:`is_alive`."""
    found = copies.get(number, _WAITS)
    if found.state == "queued" and record.unrun is not None:
        found = replace(found, state="ended", cause=record.unrun, end_time=record.end_time)
    return state_of(replace(record, **vars(found)), alive=alive)


def state_of(record: Record, *, alive: bool) -> SchedulerState:
    """What a record says of a job; ``alive``: of its launcher, see :func:`is_alive`."""
    nodes = (record.host,) if record.start_time is not None else ()
    if record.state == "ended":
        return SchedulerState(
            condition=Condition.ENDED,
            raw=record.cause,
            cause=_CAUSES[record.cause],
            exit_code=record.exit_code,
            start_time=record.start_time,
            end_time=record.end_time,
            nodes=nodes,
            restarts=record.restarts,
        )
    if record.host != os.uname().nodename:
        reason = f"runs on {record.host}; ask there"
        return SchedulerState(condition=Condition.UNKNOWN, raw=record.state, reason=reason)
    if not alive:
        return SchedulerState(
            condition=Condition.ENDED,
            raw="gone",
            reason=f"{record.host} was restarted, or the job's launcher was killed",
            cause=Cause.NODE_FAILURE,
            start_time=record.start_time,
            nodes=nodes,
            restarts=record.restarts,
        )
    condition = Condition.RUNNING if record.state == "running" else Condition.QUEUED
    return SchedulerState(
        condition=condition,
        raw=record.state,
        start_time=record.start_time,
        nodes=nodes,
        restarts=record.restarts,
    )


def is_alive(record: Record) -> bool:
    """Whether the launcher still runs here, and is not another process that got its id."""
    here = record.host == os.uname().nodename
    return here and processes.is_alive(record.pid, record.ticks, record.boot)
