"""What squeue, sacct and sbatch print, read: pure functions. :mod:`.render` asks for the formats."""

import re
from dataclasses import replace

from prominence_hpc.backends.base import Cause, Condition, SchedulerState
from prominence_hpc.backends.slurm.hostlist import expand_hostlist
from prominence_hpc.backends.slurm.reasons import explained, is_held
from prominence_hpc.backends.slurm.states import LAUNCH_FAILED_SIGNAL, STATES

__all__ = ["parse_job_id", "parse_queue", "parse_states", "parse_tags"]

_FIELDS = 7
# "4711", or "4711;cluster" where the site has several.
_JOB_ID = re.compile(r"(\d+)(?:;.*)?")
_TAG = re.compile(r"prominence:([0-9a-f]{32})\b")
_NO_REASON = ("None", "(null)", "")
_LAUNCH_FAILED = (
    "The node could not start the job (exit code 0:53); does it see the job's folder, "
    "and may the user write there?"
)


def parse_job_id(text: str) -> str | None:
    """The id that ``sbatch --parsable`` printed; sites' wrappers may print lines before it."""
    for line in reversed(text.splitlines()):
        match = _JOB_ID.fullmatch(line.strip())
        if match is not None:
            return match[1]
    return None


def parse_queue(text: str) -> dict[str, SchedulerState]:
    """What squeue prints: lines ``ID|RESTARTS|STATE|…``, the rest as for :func:`parse_states`.

    sacct has no restarts before Slurm 23.11: it is not asked for them.
    """
    states = {}
    for line in text.splitlines():
        fields = line.split("|", _FIELDS)
        if len(fields) == _FIELDS + 1 and fields[0].isdecimal():
            restarts = int(fields[1]) if fields[1].isdecimal() else None
            states[fields[0]] = replace(_state(*fields[2:]), restarts=restarts)
    return states


def parse_states(text: str) -> dict[str, SchedulerState]:
    """Lines ``ID|STATE|START|END|EXIT:SIGNAL|NODES|REASON``, times in seconds since the epoch.

    Lines that are none of these (a site's banner) are skipped. The reason comes last because it
    alone may hold any character.
    """
    states = {}
    for line in text.splitlines():
        fields = line.split("|", _FIELDS - 1)
        if len(fields) == _FIELDS and fields[0].isdecimal():
            states[fields[0]] = _state(*fields[1:])
    return states


def parse_tags(text: str) -> dict[str, str]:
    """Tags and ids from lines ``ID|TEXT`` whose text holds a ``prominence:TAG``.

    The text is a comment, or sacct's Comment and SubmitLine, which may go on over several lines; the
    first tag after an id counts: what a user wrote comes later.
    """
    tags: dict[str, str] = {}
    handle = ""
    for line in text.splitlines():
        number, bar, rest = line.partition("|")
        if bar and number.isdecimal():
            handle, line = number, rest
        match = _TAG.search(line)
        if handle and match is not None:
            tags.setdefault(match[1], handle)
            handle = ""
    return tags


def _state(
    word: str, start: str, end: str, exit_code: str, nodes: str, reason: str
) -> SchedulerState:
    # sacct says "CANCELLED by 1000", and marks cut words by "+".
    raw = word.split(" ", 1)[0].rstrip("+")
    condition, cause = STATES.get(raw, (Condition.UNKNOWN, Cause.NONE))
    explanation = "" if reason in _NO_REASON else reason
    hosts = expand_hostlist(nodes)
    if condition is Condition.ENDED:
        return _ended(raw, cause, explanation, _exit(exit_code), _time(start), _time(end), hosts)
    if condition is Condition.QUEUED and is_held(reason):
        condition = Condition.HELD
    if condition in (Condition.QUEUED, Condition.HELD):
        explanation = explained(explanation)
    # A start or end that lies ahead is squeue's estimate.
    started = _time(start) if condition is Condition.RUNNING else None
    return SchedulerState(
        condition=condition, raw=raw, reason=explanation, start_time=started, nodes=hosts
    )


def _ended(
    raw: str,
    cause: Cause,
    reason: str,
    exit_status: tuple[int, int],
    start: float | None,
    end: float | None,
    nodes: tuple[str, ...],
) -> SchedulerState:
    code, signal = exit_status
    if raw == "DEADLINE" and not nodes:
        cause = Cause.QUEUE_TIME  # its time limit did not fit any more before its deadline
    elif cause is Cause.EXITED and not nodes and raw != "COMPLETED":
        cause = Cause.REFUSED  # it never had a node
    elif cause is Cause.EXITED and signal == LAUNCH_FAILED_SIGNAL:
        cause, reason = Cause.REFUSED, _LAUNCH_FAILED
    elif cause is Cause.EXITED and signal:
        cause = Cause.SIGNALED
    shown = {Cause.EXITED: code, Cause.SIGNALED: 128 + signal}.get(cause)
    return SchedulerState(
        condition=Condition.ENDED,
        raw=raw,
        reason=reason,
        cause=cause,
        exit_code=shown,
        start_time=start if nodes else None,  # cancelled while it waited: it says start = end
        end_time=end,
        nodes=nodes,
    )


def _exit(text: str) -> tuple[int, int]:
    code, _, signal = text.partition(":")
    return (
        int(code) if code.isdecimal() else 0,
        int(signal) if signal.isdecimal() else 0,
    )


def _time(text: str) -> float | None:
    return float(text) if text.isdecimal() and text != "0" else None
