"""Creating a workflow: checked whole, looked up whole, recorded, then handed over part by part.

As with a job (:mod:`prominence_hpc.adapter.create`) nothing is recorded before all of the description is
known to be right, and nothing is submitted before the intent is on disk.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from prominence_hpc.adapter.spec.decode_workflow import decode_workflow
from prominence_hpc.adapter.store.new_workflow import NewPart
from prominence_hpc.adapter.store.state_folder import (
    PLAN_FILE,
    WORKFLOW_FILE,
    make_new_folder,
    part_folder,
    workflow_folder,
    write_private,
)
from prominence_hpc.adapter.store.workflow_records import WorkflowRecord
from prominence_hpc.adapter.submission import write_submission
from prominence_hpc.adapter.workflows.compile import compile_part, draft_of, slices_of
from prominence_hpc.adapter.workflows.descriptions import write_chosen
from prominence_hpc.adapter.workflows.inputs import Inputs, check_addresses, find_inputs
from prominence_hpc.adapter.workflows.parts import Chosen, Part, parts_of
from prominence_hpc.adapter.workflows.site import choose_site_of
from prominence_hpc.adapter.workflows.submit import discard, submit_workflow
from prominence_hpc.adapter.workspace import Workspace
from prominence_hpc.backends.settings import SiteSettings
from prominence_hpc.errors import BackendUnavailable, ProminenceError
from prominence_hpc.wrappers import plan as plans

__all__ = ["create_workflow"]


def create_workflow(
    workspace: Workspace,
    document: Mapping[str, Any],
    site: str | None,
    *,
    chosen: Chosen | None = None,
    rerun_of: int | None = None,
) -> WorkflowRecord:
    """Validate and submit a workflow, or of one the ``chosen`` jobs.

    SpecError, NotFoundError, StorageError, ConfigError and BackendError leave nothing behind, neither here
    nor with the scheduler. BackendUnavailable leaves the intent: what is open is submitted, or found,
    by a later command.
    """
    workflow = decode_workflow(document)
    parts = parts_of(workflow, chosen)
    settings = choose_site_of(workspace.config, workflow, parts, site)
    inputs = find_inputs(workspace, parts)
    check_addresses(parts)
    record = workspace.store.workflows.create_intent(
        [new_part(workspace, part, settings) for part in parts],
        site=settings.name,
        backend=settings.backend,
        name=workflow.name,
        labels=workflow.labels,
        leave_in_queue=workflow.policies.leave_in_queue,
        rerun_of=rerun_of,
    )
    make_folder(workspace, record)
    try:
        write_workflow(workspace, record, document, chosen, parts, inputs, settings)
        submit_workflow(workspace, record)
    except BackendUnavailable as error:
        msg = (
            f"Workflow {record.id} is recorded, but its submission is not confirmed. {error} "
            "Do not run it again: 'prominence list workflows' finds it, or submits what is left."
        )
        raise BackendUnavailable(msg, argv=error.argv, stderr=error.stderr) from error
    except (ProminenceError, OSError):
        discard(workspace, record)
        raise
    # Any other end (Ctrl-C, a kill) may come at any step: a later command finds out which.
    return workspace.store.workflows.get(record.id)


def make_folder(workspace: Workspace, record: WorkflowRecord) -> None:
    """Make the workflow's folder; where there is one of that number, it is another's, and stays."""
    try:
        make_new_folder(workflow_folder(workspace.state, record.id), f"workflow {record.id}")
    except (ProminenceError, OSError):
        workspace.store.workflows.forget(record.id)
        raise


def new_part(workspace: Workspace, part: Part, settings: SiteSettings) -> NewPart:
    most = None
    if part.swept:
        most = workspace.backend(settings.name).most_copies(draft_of(part, settings))
    return NewPart(
        name=part.name,
        size=part.size,
        swept=part.swept,
        parents=part.parents,
        slices=slices_of(part.size, most),
        labels=part.job.labels,
        leave_in_queue=part.job.policies.leave_in_queue,
        jobs=part.shown,
    )


def write_workflow(
    workspace: Workspace,
    record: WorkflowRecord,
    document: Mapping[str, Any],
    chosen: Chosen | None,
    parts: Sequence[Part],
    inputs: Sequence[Inputs],
    settings: SiteSettings,
) -> None:
    """Fill the workflow's folder; its description comes last and says that all is there."""
    folder = workflow_folder(workspace.state, record.id)
    parents = [part.parents for part in parts]
    recorded = workspace.store.workflows.parts(record.id)
    for part, item, found in zip(parts, recorded, inputs, strict=True):
        part_folder(workspace.state, record.id, item.number).mkdir(mode=0o700)
        plan, submission = compile_part(
            workspace,
            record,
            item,
            part,
            found,
            settings,
            parents,
        )
        write_private(submission.folder / PLAN_FILE, plans.render(plan))
        write_submission(submission)
    if chosen is not None:
        write_chosen(folder, chosen)
    write_private(folder / WORKFLOW_FILE, json.dumps(document, indent=2) + "\n")
