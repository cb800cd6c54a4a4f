"""What squeue, sacct and sbatch print, read: pure functions. :mod:`.queries` asks for the formats."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from prominence_hpc.backends.base import Cause, Condition, SchedulerState
from prominence_hpc.backends.slurm.arrays import Wanted, expand, handle_of, wanted_of
from prominence_hpc.backends.slurm.hostlist import expand_hostlist
from prominence_hpc.backends.slurm.reasons import NEVER_SATISFIED, explained, is_held
from prominence_hpc.backends.slurm.states import LAUNCH_FAILED_SIGNAL, STATES

__all__ = ["parse_history", "parse_job_id", "parse_most_copies", "parse_queue", "parse_tags"]

_QUEUE_FIELDS = 9
_HISTORY_FIELDS = 8
_NO_INDEX = ("", "N/A")
# "4711", or "4711;cluster" where the site has several.
_JOB_ID = re.compile(r"(\d+)(?:;.*)?")
_TAG = re.compile(r"prominence:([0-9a-f]{32})\b")
_NO_REASON = ("None", "(null)", "")
_LAUNCH_FAILED = (
    "The node could not start the job (exit code 0:53); does it see the job's folder, "
    "and may the user write there?"
)
_CANCELLED_IN_ARRAY = SchedulerState(
    condition=Condition.ENDED, raw="CANCELLED", cause=Cause.CANCELLED
)
_LIMITS = re.compile(r"\b(MaxArraySize|MaxJobCount|max_array_tasks)\s*=\s*(\d+)")


def parse_job_id(text: str) -> str | None:
    """The id that ``sbatch --parsable`` printed; sites' wrappers may print lines before it."""
    for line in reversed(text.splitlines()):
        match = _JOB_ID.fullmatch(line.strip())
        if match is not None:
            return match[1]
    return None


def parse_queue(text: str, handles: Iterable[str]) -> dict[str, SchedulerState]:
    """What squeue says of these jobs: lines ``ID|INDEX|RESTARTS|STATE|START|END|EXIT:SIGNAL|NODES|REASON``.

    Times are in seconds since the epoch. An index of an array may be many (``0-99``), which then share
    one state. sacct has no restarts before Slurm 23.11: it is not asked for them. Lines that are none
    of these (a site's banner) are skipped. The reason comes last because it alone may hold any
    character.
    """
    wanted = wanted_of(handles)
    states = {}
    for line in text.splitlines():
        fields = line.split("|", _QUEUE_FIELDS - 1)
        if len(fields) == _QUEUE_FIELDS and fields[0] in wanted:
            number, index, restarts, *rest = fields
            state = replace(_state(*rest), restarts=int(restarts) if restarts.isdecimal() else None)
            states.update(_shared(number, index, wanted, state))
    return states


def parse_history(text: str, handles: Iterable[str]) -> dict[str, SchedulerState]:
    """What sacct says: lines ``ID|STATE|START|END|EXIT:SIGNAL|NODES|ELIGIBLE|REASON``.

    An id is ``4711``, ``4711_7`` or ``4711_[8-99]``. An array's job that was cancelled before it
    started is on no line: Slurm forgets it at once, where all else of an array is kept.
    """
    wanted = wanted_of(handles)
    of_many: dict[str, SchedulerState] = {}
    of_one: dict[str, SchedulerState] = {}
    seen = set()
    for line in text.splitlines():
        fields = line.split("|", _HISTORY_FIELDS - 1)
        number, _, index = fields[0].partition("_")
        if len(fields) == _HISTORY_FIELDS and number in wanted:
            *known, eligible, reason = fields[1:]
            if _never_satisfied(known, eligible):
                reason = NEVER_SATISFIED
            states = of_many if index.startswith("[") else of_one
            states.update(_shared(number, index, wanted, _state(*[*known, reason])))
            seen.add(number)
    missing = (
        handle_of(array, index)
        for array, indices in wanted.items()
        if array in seen
        for index in indices
    )
    # What is said of one job is newer than what is said of many.
    return {**dict.fromkeys(missing, _CANCELLED_IN_ARRAY), **of_many, **of_one}


def _shared(
    number: str, index: str, wanted: Wanted, state: SchedulerState
) -> dict[str, SchedulerState]:
    """The state of each of the jobs on one line that are asked for."""
    if index in _NO_INDEX:
        return {number: state}
    indices = expand(index, wanted[number])
    return {handle_of(number, each): state for each in indices}


def _never_satisfied(known: Sequence[str], eligible: str) -> bool:
    """Whether a job in accounting was cancelled because what it was to wait for has failed.

    Slurm itself did it ("CANCELLED by 1000" is a user's work), and the job never was eligible to start.
    """
    word, start = known[0], known[1]
    return word == "CANCELLED" and _time(start) is None and _time(eligible) is None


def parse_tags(text: str) -> dict[str, str]:
    """Tags and ids from lines ``ID|TEXT`` whose text holds a ``prominence:TAG``.

    The id of an array's jobs (``4711_7``) is the array's. The text is a comment, or sacct's Comment and SubmitLine, which may go on over several lines; the
    first tag after an id counts: what a user wrote comes later.
    """
    tags: dict[str, str] = {}
    handle = ""
    for line in text.splitlines():
        identity, bar, rest = line.partition("|")
        number = identity.partition("_")[0]
        if bar and number.isdecimal():
            handle, line = number, rest
        match = _TAG.search(line)
        if handle and match is not None:
            tags.setdefault(match[1], handle)
            handle = ""
    return tags


def parse_most_copies(text: str) -> int:
    """How many jobs an array may have, from what ``scontrol show config`` prints; 0: arrays are off.

    MaxArraySize is one more than the highest index. An array larger than MaxJobCount never finds
    room in the queue.
    """
    limits = {name: int(number) for name, number in _LIMITS.findall(text)}
    return min(limits.values(), default=0) if "MaxArraySize" in limits else 0


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
    if raw == "CANCELLED" and reason == NEVER_SATISFIED:
        cause = Cause.DEPENDENCY
    elif raw == "DEADLINE" and not nodes:
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
