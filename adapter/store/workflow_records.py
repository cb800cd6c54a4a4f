"""A workflow as the store knows it: the whole, its parts, and what is handed to the scheduler at once."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from prominence_hpc.adapter.store.claims import Claim
from prominence_hpc.adapter.store.records import SubmissionState, labels_of

__all__ = [
    "BATCH_COLUMNS",
    "PART_COLUMNS",
    "TALLY_COLUMNS",
    "WORKFLOW_COLUMNS",
    "BatchRecord",
    "BatchState",
    "PartRecord",
    "Tally",
    "WorkflowRecord",
    "decode_batch",
    "decode_part",
    "decode_tally",
    "decode_workflow",
]

# "skipped": never handed over, as what it depends on has failed by then.
BatchState = Literal["intent", "submitted", "skipped"]


@dataclass(frozen=True)
class WorkflowRecord:
    """One row. Times are seconds since the epoch (UTC)."""

    id: int
    tag: str  # 32 hex digits; in the record of an engine that runs workflows
    site: str
    backend: str
    name: str
    labels: Mapping[str, str]
    created: float
    total: int  # jobs
    rerun_of: int | None  # the workflow of which this one does what was not done
    leave_in_queue: bool
    state: SubmissionState  # "intent": not all of it is known to be with the scheduler
    handle: str | None  # of an engine that runs workflows
    absent_since: float | None
    deleted: bool
    removed: bool
    claim: Claim | None


@dataclass(frozen=True)
class PartRecord:
    """One entry of the description's jobs: one job, or ``size`` copies where it is ``swept``."""

    workflow: int
    number: int
    name: str  # as in the description
    uid: str
    first_job: int  # the id of its first job; the others' follow
    size: int
    swept: bool
    parents: tuple[int, ...]  # numbers of the parts that it waits for


@dataclass(frozen=True)
class BatchRecord:
    """One call to the scheduler: ``count`` jobs of a part, from copy ``first`` on."""

    id: int
    workflow: int
    part: int
    first: int
    count: int
    tag: str
    state: BatchState
    handle: str | None


@dataclass(frozen=True)
class Tally:
    """How many jobs of a part have this status, and between which times they ran."""

    workflow: int
    part: int
    status: str
    task_failed: bool
    final: bool
    count: int
    started: float | None  # the first of them
    ended: float | None  # the last of them


WORKFLOW_COLUMNS = (
    "id, tag, site, backend, name, labels, created, total, rerun_of, leave_in_queue, state,"
    " handle, absent_since, deleted, removed, claim_host, claim_pid, claim_start, claim_time"
)
PART_COLUMNS = "workflow, number, name, uid, first_job, size, swept, parents"
BATCH_COLUMNS = "id, workflow, part, first, count, tag, state, handle"

TALLY_COLUMNS = "workflow, part, status, task_failed, final, COUNT(*), MIN(started), MAX(ended)"


def decode_workflow(row: tuple[Any, ...]) -> WorkflowRecord:
    """The record in a row of ``SELECT WORKFLOW_COLUMNS FROM workflows``."""
    *plain, leave, state, handle, absent, deleted, removed, host, pid, start, claimed = row
    number, tag, site, backend, name, labels, created, total, rerun_of = plain
    return WorkflowRecord(
        id=number,
        tag=tag,
        site=site,
        backend=backend,
        name=name,
        labels=labels_of(labels),
        created=created,
        total=total,
        rerun_of=rerun_of,
        leave_in_queue=bool(leave),
        state=state,
        handle=handle,
        absent_since=absent,
        deleted=bool(deleted),
        removed=bool(removed),
        claim=None if host is None else Claim(host, pid, start, claimed),
    )


def decode_part(row: tuple[Any, ...]) -> PartRecord:
    """The record in a row of ``SELECT PART_COLUMNS FROM parts``."""
    workflow, number, name, uid, first_job, size, swept, parents = row
    return PartRecord(
        workflow, number, name, uid, first_job, size, bool(swept), tuple(json.loads(parents))
    )


def decode_batch(row: tuple[Any, ...]) -> BatchRecord:
    """The record in a row of ``SELECT BATCH_COLUMNS FROM batches``."""
    return BatchRecord(*row)


def decode_tally(row: tuple[Any, ...]) -> Tally:
    """The tally in a row of ``SELECT TALLY_COLUMNS FROM jobs GROUP BY …``."""
    workflow, part, status, task_failed, final, count, started, ended = row
    return Tally(workflow, part, status, bool(task_failed), bool(final), count, started, ended)
