"""The record of a local job: what its launcher says of it.

The launcher (:mod:`.launcher`, a program of its own) writes it by write-and-rename, first when it
takes the job over, last when the job has ended; this module reads it.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from prominence_hpc.backends.base import Cause, Condition, SchedulerState

__all__ = ["Record", "is_alive", "read_record", "state_of"]


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


def read_record(path: Path) -> Record | None:
    """The record at ``path``; None where there is none."""
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return Record(
        **{name: document[name] for name in Record.__dataclass_fields__ if name in document}
    )


def state_of(record: Record) -> SchedulerState:
    """What a record, and the process table, say of a job."""
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
    if not is_alive(record):
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
    """Whether the launcher still runs, and is not another process that got its id."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        stat = Path(f"/proc/{record.pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
    # The second field, the program's name, may hold blanks and parentheses.
    fields = stat[stat.rindex(b")") + 2 :].split()
    return boot == record.boot and int(fields[19]) == record.ticks and fields[0] != b"Z"
