"""Workflows as of now: the ones that a list shows, and those that somebody asks about."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from prominence_hpc.adapter.jobs import Selection, bring_up_to_date
from prominence_hpc.adapter.store.records import JobRecord
from prominence_hpc.adapter.store.store import LEFT_IN_QUEUE_SECONDS
from prominence_hpc.adapter.store.workflow_records import WorkflowRecord
from prominence_hpc.adapter.workflows.progress import Progress, progress_of
from prominence_hpc.adapter.workspace import Workspace
from prominence_hpc.errors import UsageError

__all__ = [
    "WorkflowListing",
    "as_stored",
    "is_listed",
    "list_workflows",
    "progress_now",
    "refuse_jobs",
]


@dataclass(frozen=True)
class WorkflowListing:
    """Workflows in order of id, and what could not be found out about them."""

    workflows: list[Progress]
    warnings: list[str]


def list_workflows(workspace: Workspace, selection: Selection) -> WorkflowListing:
    """The selected workflows: their active jobs are brought up to date first, with one call a site.

    ``statuses`` are those of workflows here. ConfigError where the selection names a site that there is not.
    """
    if selection.site is not None:
        workspace.config.site(selection.site)
    if selection.workflow is not None:
        return progress_now(workspace, [selection.workflow])
    warnings = bring_up_to_date(workspace, lambda: active_jobs(workspace, selection.site)).warnings
    chosen = selection.statuses
    records = workspace.store.workflows.select(
        which=selection.which,
        last=selection.last if chosen is None and selection.which != "listed" else None,
        name=selection.name,
        labels=selection.labels,
        site=selection.site,
    )
    found = as_stored(workspace, records)
    if selection.which == "listed":
        found = [item for item in found if is_listed(item, time.time())]
    found = [item for item in found if chosen is None or item.status in chosen]
    return WorkflowListing(found[-selection.last :] if selection.last else found, warnings)


def is_listed(item: Progress, now: float) -> bool:
    """Whether a workflow that was left in the queue is shown still: as jobs, for so long after its end."""
    ended = item.record.created if item.counts.ended is None else item.counts.ended
    return not item.final or ended > now - LEFT_IN_QUEUE_SECONDS


def active_jobs(workspace: Workspace, site: str | None) -> list[JobRecord]:
    return [job for job in workspace.store.active(site=site) if job.workflow is not None]


def progress_now(workspace: Workspace, workflow_ids: Sequence[int]) -> WorkflowListing:
    """These workflows, in this order, as of now; NotFoundError names the first that does not exist."""
    store = workspace.store
    for number in workflow_ids:
        store.workflows.get(number)
    current = bring_up_to_date(
        workspace, lambda: [job for number in workflow_ids for job in store.active(workflow=number)]
    )
    records = [store.workflows.get(number) for number in workflow_ids]
    return WorkflowListing(as_stored(workspace, records), current.warnings)


def as_stored(workspace: Workspace, records: Sequence[WorkflowRecord]) -> list[Progress]:
    """What is told of a workflow is what is recorded of its jobs, not each of them."""
    ids = [record.id for record in records]
    return progress_of(records, workspace.store.workflows.tallies(ids))


def refuse_jobs(workspace: Workspace, workflow_id: int) -> None:
    """UsageError where this is the number of a job; NotFoundError where it is none at all."""
    if not workspace.store.workflows.exists(workflow_id):
        if workspace.store.get_many([workflow_id]):
            msg = (
                f"{workflow_id} is a job, not a workflow: see 'prominence describe {workflow_id}'."
            )
            raise UsageError(msg)
        workspace.store.workflows.get(workflow_id)
