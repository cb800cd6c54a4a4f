"""Once more: the whole of a workflow, or what of it failed or was not reached."""

from collections.abc import Sequence

from prominence_hpc.adapter.spec.decode_workflow import decode_workflow
from prominence_hpc.adapter.store.records import JobRecord
from prominence_hpc.adapter.store.workflow_records import WorkflowRecord
from prominence_hpc.adapter.workflows.create import create_workflow
from prominence_hpc.adapter.workflows.descriptions import read_parts, workflow_document
from prominence_hpc.adapter.workflows.jobs import current_jobs
from prominence_hpc.adapter.workflows.parts import Chosen, Part
from prominence_hpc.adapter.workspace import Workspace
from prominence_hpc.errors import ConflictError

__all__ = ["clone_workflow", "rerun_workflow", "unfinished"]


def clone_workflow(workspace: Workspace, workflow_id: int, site: str | None) -> WorkflowRecord:
    """A new workflow with the same description, on the same site unless told otherwise."""
    record = workspace.store.workflows.get(workflow_id)
    document = workflow_document(workspace.state, workflow_id)
    return create_workflow(workspace, document, site or record.site)


def rerun_workflow(
    workspace: Workspace, workflow_id: int, site: str | None
) -> tuple[WorkflowRecord, list[str]]:
    """A new workflow of the jobs of an ended one that have not succeeded, and warnings.

    What has succeeded is not run again, and nothing waits for it. ConflictError where the workflow
    has not ended, where all has succeeded, or where it has been rerun as often as it allows.
    """
    jobs, warnings = current_jobs(workspace, workflow_id)
    record = workspace.store.workflows.get(workflow_id)
    active = sum(not job.final for job in jobs)
    if active:
        msg = (
            f"Workflow {workflow_id} has {active} jobs that have not ended; wait for them "
            f"('prominence wait {workflow_id}') or delete it first."
        )
        raise ConflictError(msg)
    document = workflow_document(workspace.state, workflow_id)
    refuse_active_rerun(workspace, workflow_id)
    refuse_too_many(workspace, record, decode_workflow(document).policies.maximum_reruns)
    chosen = unfinished(read_parts(workspace.state, workflow_id), jobs)
    if not chosen:
        msg = f"All jobs of workflow {workflow_id} have succeeded: there is nothing to run again."
        raise ConflictError(msg)
    again = create_workflow(
        workspace, document, site or record.site, chosen=chosen, rerun_of=workflow_id
    )
    return again, warnings


def unfinished(parts: Sequence[Part], jobs: Sequence[JobRecord]) -> Chosen:
    """Which jobs have not succeeded: by the part's name, with indices where a factory makes it."""
    chosen: dict[str, list[int] | None] = {}
    for job in jobs:
        if job.succeeded or job.part is None:
            continue
        part = parts[job.part]
        if job.copy is None:
            chosen[part.name] = None
            continue
        indices = chosen.setdefault(part.name, [])
        assert indices is not None
        indices.append(part.index(job.copy))
    return chosen


def refuse_active_rerun(workspace: Workspace, workflow_id: int) -> None:
    """ConflictError where the same jobs are being run again already."""
    store = workspace.store.workflows
    for number in store.reruns_of(workflow_id):
        if any(not tally.final for tally in store.tallies([number])):
            msg = (
                f"Workflow {workflow_id} is being run again already, as workflow {number}; "
                f"'prominence rerun {number}' does what that one leaves."
            )
            raise ConflictError(msg)


def refuse_too_many(workspace: Workspace, record: WorkflowRecord, most: int | None) -> None:
    """``maximumReruns`` counts all that has come of the first workflow."""
    store, first = workspace.store.workflows, record
    while first.rerun_of is not None:
        first = store.get(first.rerun_of)
    reruns, waiting = 0, store.reruns_of(first.id)
    while waiting:
        reruns += 1
        waiting += store.reruns_of(waiting.pop())
    if most is not None and reruns >= most:
        msg = (
            f"Workflow {record.id} is rerun {reruns} already, and policies.maximumReruns of its "
            f"description is {most}; 'prominence clone {record.id}' begins anew."
        )
        raise ConflictError(msg)
