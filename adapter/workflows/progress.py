"""How far a workflow, or a part of it, has come: what its jobs' states add up to. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from prominence_hpc.adapter.store.workflow_records import PartRecord, Tally, WorkflowRecord

__all__ = [
    "Counts",
    "Progress",
    "WorkflowStatus",
    "add_up",
    "counts_of_parts",
    "progress_of",
    "was_not_run",
    "words_of",
]

# "failed": all jobs have ended, and not all have succeeded. Jobs that were killed are among these.
WorkflowStatus = Literal["idle", "running", "completed", "failed", "deleted"]

# In this order they are told.
STATES = ("running", "idle", "completed", "failed", "killed", "deleted")


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How many jobs there are, and how they are. Times are seconds since the epoch (UTC)."""

    states: Mapping[str, int] = field(default_factory=dict)  # by status; none that is 0
    success: int = 0
    failed: int = (
        0  # ended otherwise: failed, killed, deleted, or "completed" with a task that failed
    )
    task_failed: int = 0  # of the former, those that are "completed"
    total: int = 0
    started: float | None = None  # the first of them
    ended: float | None = None  # the last of them, once all have

    @property
    def active(self) -> int:
        """How many have not ended."""
        return self.total - self.success - self.failed

    @property
    def status(self) -> WorkflowStatus:
        """What they are together."""
        if self.active:
            return "idle" if self.states.get("idle", 0) == self.total else "running"
        return "failed" if self.failed else "completed"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A workflow as of now."""

    record: WorkflowRecord
    counts: Counts

    @property
    def id(self) -> int:
        return self.record.id

    @property
    def final(self) -> bool:
        """Whether all of its jobs have ended."""
        return not self.counts.active

    @property
    def status(self) -> WorkflowStatus:
        """Of one that the user wants ended "deleted", at once; unless all has succeeded all the same."""
        found = self.counts.status
        return "deleted" if self.record.deleted and found != "completed" else found


def add_up(tallies: Iterable[Tally]) -> Counts:
    """What these tallies are together."""
    tallies = list(tallies)
    ended = [tally for tally in tallies if tally.final]
    success = sum(tally.count for tally in ended if succeeded(tally))
    found = {name: sum(t.count for t in tallies if t.status == name) for name in STATES}
    counts = Counts(
        states={name: count for name, count in found.items() if count},
        success=success,
        failed=sum(tally.count for tally in ended) - success,
        task_failed=sum(t.count for t in ended if t.status == "completed" and t.task_failed),
        total=sum(tally.count for tally in tallies),
        started=min((t.started for t in tallies if t.started is not None), default=None),
    )
    if counts.active:
        return counts
    last = max((tally.ended for tally in ended if tally.ended is not None), default=None)
    return replace(counts, ended=last)


def succeeded(tally: Tally) -> bool:
    return tally.status == "completed" and not tally.task_failed


def progress_of(records: Sequence[WorkflowRecord], tallies: Iterable[Tally]) -> list[Progress]:
    """These workflows, in their order, with what the tallies say of each."""
    found: dict[int, list[Tally]] = {record.id: [] for record in records}
    for tally in tallies:
        found[tally.workflow].append(tally)
    return [Progress(record=record, counts=add_up(found[record.id])) for record in records]


def counts_of_parts(parts: Sequence[PartRecord], tallies: Iterable[Tally]) -> list[Counts]:
    """Of each part of one workflow, in their order."""
    found: dict[int, list[Tally]] = {part.number: [] for part in parts}
    for tally in tallies:
        found[tally.part].append(tally)
    return [add_up(found[part.number]) for part in parts]


def was_not_run(counts: Counts) -> bool:
    """Whether all have ended and none had begun."""
    return counts.failed == counts.total and counts.started is None


def words_of(counts: Counts, *, many: bool) -> str:
    """How the jobs are.

    >>> words_of(Counts(states={"running": 2}, success=7, failed=1, total=10), many=True)
    '7 of 10 done, 1 failed, 2 running'
    """
    if was_not_run(counts):
        return "not run"
    if not many:
        if counts.task_failed:
            return "a task failed"
        return next((name for name in STATES if name in counts.states), "")
    words = [f"{counts.success} of {counts.total} done"]
    if counts.failed:
        words.append(f"{counts.failed} failed")
    running = counts.states.get("running", 0)
    if running:
        words.append(f"{running} running")
    return ", ".join(words)
