"""Submission of workflows, exactly once each of their batches, whatever is killed.

The steps, and what a kill just after each leaves (:mod:`prominence_hpc.adapter.submission` tells why):

    step                                    left behind                  the next command
    --------------------------------------  ---------------------------  ----------------------------
    1  Workflows.create_intent              rows, claimed, no folder     removes them
    2  folder, plans, submissions           and part of a folder         the same
    3  workflow.json (by rename): ready     and a complete folder        waits to be sure, submits it
    4  Backend.submit, batch by batch       some with the scheduler      finds those by their tags,
       (or submit_graph: all at once)                                    waits to be sure, submits the rest
    5  record_batches, record_submitted     a submitted workflow         nothing to do

A batch that waits for others names them by the scheduler's own ids: parents go first. When the rest of a workflow
is submitted later, some parents may have ended, and Slurm may have forgotten them: one that has ended well
needs no waiting for, and what waits for one that has not is not submitted at all.

Where the scheduler refuses one batch, the others are taken back: cancelled first, and only then
forgotten, so that a kill in between leaves a deleted workflow and no stray jobs.
"""

import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from prominence_hpc.adapter.store.claims import LEASE_SECONDS
from prominence_hpc.adapter.store.state_folder import (
    WORKFLOW_FILE,
    part_folder,
    workflow_folder,
)
from prominence_hpc.adapter.store.workflow_records import (
    BatchRecord,
    PartRecord,
    WorkflowRecord,
)
from prominence_hpc.adapter.submission import read_submission
from prominence_hpc.adapter.workflows.compile import submission_of_batch
from prominence_hpc.adapter.workflows.parts import in_order
from prominence_hpc.adapter.workspace import Workspace
from prominence_hpc.backends.base import Backend, Graph, GraphNode, Submission
from prominence_hpc.backends.run_command import log
from prominence_hpc.errors import BackendError, BackendUnavailable, ConfigError, ConflictError
from prominence_hpc.wrappers.bundle import install_runner

__all__ = [
    "Opened",
    "discard",
    "is_graph",
    "is_ready",
    "node_name",
    "open_workflow",
    "submit_batches",
    "submit_graph",
    "submit_workflow",
]

DAMAGED = "The workflow's files are damaged: run it again"

# Handles that a batch must wait for; None where it is not to be run at all.
AfterOf = Callable[[BatchRecord], Sequence[str] | None]


@dataclass(frozen=True)
class Opened:
    """A recorded workflow on its way to the scheduler."""

    workspace: Workspace
    record: WorkflowRecord
    backend: Backend
    parts: Sequence[PartRecord]
    batches: Sequence[BatchRecord]  # parents before children
    handles: dict[int, str] = field(default_factory=dict)  # new ones, by batch id

    def batches_of(self, parts: Iterable[int]) -> list[BatchRecord]:
        wanted = set(parts)
        return [batch for batch in self.batches if batch.part in wanted]

    def handle_of(self, batch: BatchRecord) -> str | None:
        return self.handles.get(batch.id, batch.handle)

    def submission(self, batch: BatchRecord, after: Sequence[str] = ()) -> Submission:
        """What the call for a batch hands over; ConflictError where the workflow's files are damaged."""
        folder = part_folder(self.workspace.state, self.record.id, batch.part)
        found = read_submission(folder)
        if found is None:
            msg = f"{DAMAGED}."
            raise ConflictError(msg)
        return submission_of_batch(found, self.parts[batch.part], batch, after)

    def save(self) -> None:
        """Record the handles that have come back so far; what another command has submitted too is cancelled."""
        if self.handles:
            store = self.workspace.store.workflows
            late = store.record_batches(self.record.id, self.handles, self.backend.copy_handle)
            if late:
                self.backend.cancel(late)


def open_workflow(workspace: Workspace, record: WorkflowRecord) -> Opened:
    """The workflow with its parts, and its batches in an order in which they can be submitted."""
    parts = workspace.store.workflows.parts(record.id)
    batches = workspace.store.workflows.batches(record.id)
    place = {part: at for at, part in enumerate(in_order([part.parents for part in parts]))}
    ordered = sorted(batches, key=lambda batch: (place[batch.part], batch.first))
    return Opened(workspace, record, workspace.backend(record.site), parts, ordered)


def submit_workflow(workspace: Workspace, record: WorkflowRecord) -> None:
    """Steps 4 and 5 for a workflow that has just been recorded.

    Raises BackendError or ConfigError where the scheduler, or the site's configuration, refuses: the caller
    discards it. Raises BackendUnavailable where it is not known what was taken.
    """
    opened = open_workflow(workspace, record)
    try:
        if is_graph(opened):
            submit_graph(opened)
        else:
            submit_batches(opened, opened.batches, lambda batch: handles_of_parents(opened, batch))
    except BackendUnavailable:
        workspace.store.workflows.release(record.id)
        raise
    cancel_if_deleted(opened)


def cancel_if_deleted(opened: Opened) -> None:
    """End what was deleted while it was being submitted; what cannot be told now the next refresh tells."""
    store = opened.workspace.store.workflows
    record = store.get(opened.record.id)
    if not record.deleted:
        return
    batches = [batch.handle for batch in store.batches(record.id) if batch.handle is not None]
    try:
        opened.backend.cancel([record.handle] if record.handle is not None else batches)
    except BackendUnavailable:
        return
    store.mark_cancelled(record.id)


def is_graph(opened: Opened) -> bool:
    """Whether the engine itself runs the whole, as something in it waits for something else."""
    return opened.backend.runs_graphs and any(part.parents for part in opened.parts)


def handles_of_parents(opened: Opened, batch: BatchRecord) -> list[str]:
    parents = opened.batches_of(opened.parts[batch.part].parents)
    return [handle for parent in parents if (handle := opened.handle_of(parent)) is not None]


def submit_batches(opened: Opened, batches: Sequence[BatchRecord], after_of: AfterOf) -> None:
    """Hand over these batches, one call each; what has come back is recorded however it ends."""
    claimed = time.time()
    try:
        for batch in batches:
            if time.time() - claimed > LEASE_SECONDS / 2:
                claimed = renew(opened)
            after = after_of(batch)
            if after is not None:
                opened.handles[batch.id] = opened.backend.submit(opened.submission(batch, after))
    finally:
        opened.save()
    opened.workspace.store.workflows.record_submitted(opened.record.id)


def renew(opened: Opened) -> float:
    """Hold on to the claim of a submission that takes long; when that was.

    BackendUnavailable where another command has taken it over, which goes on with it.
    """
    opened.save()
    if not opened.workspace.store.workflows.begin_attempt(opened.record.id):
        msg = "Another command has taken its submission over, as this one was stopped for long."
        raise BackendUnavailable(msg)
    return time.time()


def submit_graph(opened: Opened) -> None:
    """Hand over the whole by one call."""
    names = {batch.id: node_name(batch) for batch in opened.batches}
    nodes = tuple(
        GraphNode(
            name=names[batch.id],
            submission=opened.submission(batch),
            parents=tuple(
                names[parent.id] for parent in opened.batches_of(opened.parts[batch.part].parents)
            ),
        )
        for batch in opened.batches
    )
    workspace = opened.workspace
    graph = Graph(
        tag=opened.record.tag,
        workflow_id=opened.record.id,
        name=opened.record.name,
        folder=workflow_folder(workspace.state, opened.record.id),
        runner=install_runner(workspace.state),
        nodes=nodes,
    )
    handle = opened.backend.submit_graph(graph)
    workspace.store.workflows.record_submitted(opened.record.id, handle)


def node_name(batch: BatchRecord) -> str:
    """What a batch is called in a graph."""
    return f"part-{batch.part}-{batch.first}"


def is_ready(workspace: Workspace, workflow_id: int) -> bool:
    """Whether the submission of a workflow may have begun (step 3)."""
    return (workflow_folder(workspace.state, workflow_id) / WORKFLOW_FILE).exists()


def discard(workspace: Workspace, record: WorkflowRecord) -> None:
    """Take back what the scheduler has of a workflow that is not to be, and forget it.

    Raises BackendError where that fails: it is then deleted, and a later command ends its jobs.
    """
    store = workspace.store.workflows
    batches = store.batches(record.id)
    handles = [batch.handle for batch in batches if batch.handle is not None]
    if handles:
        store.mark_deleted(record.id)
        try:
            workspace.backend(record.site).cancel(handles)
        except (BackendError, ConfigError):
            store.release(record.id)
            raise
    folder = workflow_folder(workspace.state, record.id)
    # Says that a submission may have begun: it goes first, should this be killed half-way.
    (folder / WORKFLOW_FILE).unlink(missing_ok=True)
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        pass
    except OSError as error:  # jobs that have just been cancelled still write into it
        log(f"{folder} is left behind: {error.strerror}")
    store.forget(record.id)


def handles_by_tag(batches: Iterable[BatchRecord], found: Mapping[str, str]) -> dict[int, str]:
    """What the scheduler knows of these batches, by batch id."""
    return {batch.id: found[batch.tag] for batch in batches if batch.tag in found}
