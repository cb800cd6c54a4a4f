"""Workflows whose submission was cut short: found, finished, or taken back. See :mod:`.submit`."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from prominence_hpc.adapter.refresh import refresh
from prominence_hpc.adapter.store.records import JobRecord
from prominence_hpc.adapter.store.state_folder import folder_of, part_folder, workflow_folder
from prominence_hpc.adapter.store.workflow_records import BatchRecord, WorkflowRecord
from prominence_hpc.adapter.submission import SETTLE_SECONDS, TRACES
from prominence_hpc.adapter.workflows.submit import (
    DAMAGED,
    Opened,
    discard,
    handles_by_tag,
    is_graph,
    is_ready,
    node_name,
    open_workflow,
    submit_batches,
    submit_graph,
)
from prominence_hpc.adapter.workflows.unrun import NOT_RUN, failed_parents, why_not_run
from prominence_hpc.adapter.workspace import Workspace
from prominence_hpc.errors import BackendError, BackendUnavailable, ConfigError, ConflictError

__all__ = ["recover_workflows"]


def recover_workflows(
    workspace: Workspace, *, now: float, settle_seconds: float = SETTLE_SECONDS
) -> list[str]:
    """Bring every interrupted submission of a workflow to its end; what the user is to be told.

    Costs one read of the store where there is none. No scheduler's failure is raised.
    """
    messages = []
    for record in workspace.store.workflows.claim_abandoned(now):
        try:
            messages += recover(workspace, record, now, settle_seconds)
        except (BackendError, ConfigError, OSError) as error:
            workspace.store.workflows.release(record.id)
            words = f"Site {record.site}: {error} The submission of workflow {record.id} is not confirmed."
            messages.append(words)
    return messages


def recover(
    workspace: Workspace, record: WorkflowRecord, now: float, settle_seconds: float
) -> list[str]:
    if not is_ready(workspace, record.id):
        discard(workspace, record)
        return []
    opened = open_workflow(workspace, record)
    store = workspace.store.workflows
    missing = look_up(opened)
    if not missing:
        return []
    if not (record.absent_since is not None and now - record.absent_since >= settle_seconds):
        store.release(record.id, absent_since=now)
        return []
    if record.deleted:
        for batch in missing:
            store.skip(batch, "", now)
        store.record_submitted(record.id)
        return []
    return finish(opened, missing, now)


def look_up(opened: Opened) -> list[BatchRecord]:
    """Record what the scheduler has; the batches that it does not say it has."""
    store, record = opened.workspace.store.workflows, opened.record
    if is_graph(opened):
        found = opened.backend.find([record.tag])
        if record.tag in found:
            store.record_submitted(record.id, found[record.tag])
            if record.deleted:
                opened.backend.cancel([found[record.tag]])
            return []
        return [] if has_begun(opened) else list(opened.batches)
    unknown = [batch for batch in opened.batches if batch.state == "intent"]
    found = opened.backend.find([batch.tag for batch in unknown]) if unknown else {}
    opened.handles.update(handles_by_tag(unknown, found))
    opened.save()
    if record.deleted and opened.handles:
        opened.backend.cancel(list(opened.handles.values()))
    missing = [batch for batch in unknown if batch.id not in opened.handles]
    if not missing:
        store.record_submitted(record.id)
    return missing


def has_begun(opened: Opened) -> bool:
    """Whether an engine has run the graph and forgotten it: recorded then, by what it has left."""
    workspace, record = opened.workspace, opened.record
    known = opened.backend.graph_handles(workflow_folder(workspace.state, record.id))
    if not known:
        return False
    store = workspace.store.workflows
    for batch in opened.batches:
        if node_name(batch) in known:
            opened.handles[batch.id] = known[node_name(batch)]
        else:
            store.skip(batch, f"{NOT_RUN}: the scheduler has forgotten the workflow", time.time())
    opened.save()
    store.record_submitted(record.id)
    return True


def finish(opened: Opened, missing: Sequence[BatchRecord], now: float) -> list[str]:
    """Submit what the scheduler does not have, in the order of what waits for what."""
    workspace, record = opened.workspace, opened.record
    if not workspace.store.workflows.begin_attempt(record.id):
        return []
    try:
        if is_graph(opened):
            submit_graph(opened)
        else:
            rest = Rest(opened, bring_up_to_date(workspace, record.id), now)
            submit_batches(opened, missing, rest.after)
    except BackendUnavailable:
        raise
    except (BackendError, ConflictError) as error:
        reason = DAMAGED if isinstance(error, ConflictError) else f"Submission failed: {error}"
        for batch in workspace.store.workflows.batches(record.id):
            if batch.state == "intent":
                workspace.store.workflows.skip(batch, reason.rstrip("."), now)
        workspace.store.workflows.record_submitted(record.id)
        return [f"Part of workflow {record.id} was not submitted: {error}"]
    return []


def bring_up_to_date(workspace: Workspace, workflow_id: int) -> list[JobRecord]:
    jobs = workspace.store.workflows.jobs(workflow_id)
    active = [job for job in jobs if job.state == "submitted" and not job.final]
    refresh(workspace.store, workspace.backend, active, now=time.time())
    return workspace.store.workflows.jobs(workflow_id)


@dataclass
class Rest:
    """What of an interrupted workflow may still be submitted, and after what."""

    opened: Opened
    jobs: Sequence[JobRecord]  # all of the workflow's, as of now
    now: float

    def after(self, batch: BatchRecord) -> list[str] | None:
        """Handles of parents that have not ended; None where the batch has been skipped, or run already."""
        workspace = self.opened.workspace
        if self.has_run(batch):
            # The scheduler has forgotten what its own files tell of.
            self.forgotten(batch)
            return None
        part = self.opened.parts[batch.part]
        if failed := failed_parents(part, self.opened.parts, self.jobs):
            workspace.store.workflows.skip(batch, why_not_run(failed), self.now)
            self.jobs = workspace.store.workflows.jobs(self.opened.record.id)
            return None
        parents = [
            parent for parent in self.opened.batches_of(part.parents) if not self.ended(parent)
        ]
        handles = [self.opened.handle_of(parent) for parent in parents]
        if None in handles:
            msg = f"What became of the jobs that {part.name} waits for is not known yet."
            raise BackendUnavailable(msg)
        return [handle for handle in handles if handle is not None]

    def ended(self, batch: BatchRecord) -> bool:
        return all(job.final for job in jobs_of(batch, self.jobs))

    def has_run(self, batch: BatchRecord) -> bool:
        """Whether jobs of it have left something: the scheduler has run them, and does not remember."""
        state = self.opened.workspace.state
        copies = range(batch.first, batch.first + batch.count)
        if self.opened.parts[batch.part].swept:
            # Not 10,000 looks: what is there tells which have begun.
            folder = part_folder(state, batch.workflow, batch.part)
            names = [path.name for path in folder.iterdir() if path.name.isdecimal()]
            folders = [folder / name for name in names if int(name) in copies]
        else:
            folders = [folder_of(state, job) for job in jobs_of(batch, self.jobs)]
        return any((folder / name).exists() for folder in folders for name in TRACES)

    def forgotten(self, batch: BatchRecord) -> None:
        workspace = self.opened.workspace
        workspace.store.workflows.record_forgotten(batch)
        self.jobs = bring_up_to_date(workspace, self.opened.record.id)


def jobs_of(batch: BatchRecord, jobs: Sequence[JobRecord]) -> list[JobRecord]:
    last = batch.first + batch.count
    return [
        job
        for job in jobs
        if job.part == batch.part and (job.copy is None or batch.first <= job.copy < last)
    ]
