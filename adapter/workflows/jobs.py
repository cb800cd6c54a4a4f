"""Jobs of a workflow, found as a user names them, and what is done with all of them at once."""

from collections.abc import Sequence

from prominence_hpc.adapter.jobs import bring_up_to_date
from prominence_hpc.adapter.store.records import JobRecord
from prominence_hpc.adapter.store.workflow_records import BatchRecord, WorkflowRecord
from prominence_hpc.adapter.workflows.descriptions import read_parts
from prominence_hpc.adapter.workflows.parts import Part
from prominence_hpc.adapter.workspace import Workspace
from prominence_hpc.errors import BackendUnavailable, ConflictError, NotFoundError, UsageError

__all__ = [
    "current_jobs",
    "delete_workflow",
    "find_job",
    "jobs_with_results",
    "remove_workflow",
]


def current_jobs(workspace: Workspace, workflow_id: int) -> tuple[list[JobRecord], list[str]]:
    """All jobs of a workflow as of now, in order of id, and warnings."""
    store = workspace.store.workflows
    store.get(workflow_id)  # says where there is none
    current = bring_up_to_date(workspace, lambda: workspace.store.active(workflow=workflow_id))
    return store.jobs(workflow_id), current.warnings


def find_job(workspace: Workspace, workflow_id: int, name: str | None, index: int | None) -> int:
    """The id of a workflow's job ``name``, of one that a factory makes the ``index``-th.

    Both may be left out where there is but one. NotFoundError says what there is; UsageError where
    more must be said.
    """
    parts = read_parts(workspace.state, workflow_id)
    number = number_of(workflow_id, parts, name)
    part = parts[number]
    recorded = workspace.store.workflows.parts(workflow_id)[number]
    if index is None:
        if part.size > 1:
            msg = (
                f"Job {part.name} of workflow {workflow_id} is made {part.size} times: "
                "say which one by its index."
            )
            raise UsageError(msg)
        return recorded.first_job
    try:
        copy = (part.indices or range(part.size)).index(index) if part.swept else None
    except ValueError:
        copy = None
    if copy is None:
        msg = f"Job {part.name} of workflow {workflow_id} has no index {index}{indices_of(part)}"
        raise NotFoundError(msg)
    return recorded.first_job + copy


def number_of(workflow_id: int, parts: Sequence[Part], name: str | None) -> int:
    names = [part.name for part in parts]
    if name is None and len(parts) == 1:
        return 0
    if name is None:
        msg = f"{workflow_id} is a workflow: say which of its jobs: {', '.join(names)}."
        raise UsageError(msg)
    if name not in names:
        msg = f"Workflow {workflow_id} has no job {name!r}; there are {', '.join(names)}."
        raise NotFoundError(msg)
    return names.index(name)


def indices_of(part: Part) -> str:
    if not part.swept:
        return ": no factory makes it."
    last = part.index(part.size - 1)
    return f"; there are {part.size}, from {part.index(0)} to {last}."


def delete_workflow(workspace: Workspace, workflow_id: int) -> list[str]:
    """End all of a workflow, one call to its scheduler; sentences about what was not done.

    ConflictError where it has ended already. What of it is not with the scheduler yet never will be.
    """
    jobs, warnings = current_jobs(workspace, workflow_id)
    store = workspace.store.workflows
    record = store.get(workflow_id)
    if all(job.final for job in jobs):
        msg = f"Workflow {workflow_id} has ended already."
        raise ConflictError(msg)
    backend = workspace.backend(record.site)
    store.mark_deleted(workflow_id)
    handles = handles_of(record, store.batches(workflow_id), jobs)
    try:
        if handles:
            backend.cancel(handles)
            store.mark_cancelled(workflow_id)
    except BackendUnavailable as error:
        warnings.append(f"Site {record.site}: {error} Its jobs will be deleted when it answers.")
    return warnings


def handles_of(
    record: WorkflowRecord, batches: Sequence[BatchRecord], jobs: Sequence[JobRecord]
) -> list[str]:
    """What to cancel so that nothing of a workflow is left: the graph, or each batch that has not ended."""
    if record.handle is not None:
        return [record.handle]
    active = {(job.part, job.copy) for job in jobs if not job.final}
    return [
        batch.handle
        for batch in batches
        if batch.handle is not None
        and (
            (batch.part, None) in active
            or any(
                (batch.part, copy) in active
                for copy in range(batch.first, batch.first + batch.count)
            )
        )
    ]


def remove_workflow(workspace: Workspace, workflow_id: int) -> None:
    """Take an ended workflow off the list of those left in the queue; ConflictError for an active one."""
    jobs, _ = current_jobs(workspace, workflow_id)
    active = sum(not job.final for job in jobs)
    if active:
        msg = (
            f"Workflow {workflow_id} has {active} jobs that have not ended; "
            f"end it with 'prominence delete {workflow_id}' before it is removed."
        )
        raise ConflictError(msg)
    workspace.store.workflows.mark_removed(workflow_id)


def jobs_with_results(workspace: Workspace, workflow_id: int) -> tuple[list[JobRecord], list[str]]:
    """The jobs that together are the result of a workflow, and warnings.

    Of one that did what an earlier one had left, also those that had succeeded there.
    """
    jobs, warnings = current_jobs(workspace, workflow_id)
    earlier = workspace.store.workflows.get(workflow_id).rerun_of
    while earlier is not None:
        jobs = [
            *(job for job in workspace.store.workflows.jobs(earlier) if job.succeeded),
            *jobs,
        ]
        earlier = workspace.store.workflows.get(earlier).rerun_of
    return jobs, warnings
