"""The URLs of workflows that wait for days, signed anew: one plan for all jobs of a part."""

from collections.abc import Iterable

from prominence_hpc.adapter.store.records import JobRecord
from prominence_hpc.adapter.store.state_folder import PLAN_FILE, part_folder, write_private
from prominence_hpc.adapter.workflows.compile import compile_part
from prominence_hpc.adapter.workflows.descriptions import read_parts
from prominence_hpc.adapter.workflows.inputs import find_inputs
from prominence_hpc.adapter.workspace import Workspace
from prominence_hpc.errors import ProminenceError
from prominence_hpc.wrappers import plan as plans

__all__ = ["renew_parts"]


def renew_parts(workspace: Workspace, records: Iterable[JobRecord], moment: float) -> list[str]:
    """Write the plans anew of those parts of which a job is here and the plan is older; what failed is returned."""
    wanted = dict.fromkeys(
        (record.workflow, record.part)
        for record in records
        if record.workflow is not None and record.part is not None
    )
    failures = []
    for workflow_id, number in wanted:
        path = part_folder(workspace.state, workflow_id, number) / PLAN_FILE
        if not path.exists() or path.stat().st_mtime >= moment:
            continue
        try:
            write_private(path, plans.render(renewed(workspace, workflow_id, number)))
        except ProminenceError as error:
            words = f"The URLs of workflow {workflow_id} could not be renewed: {error}"
            failures.append(words)
    return list(dict.fromkeys(failures))


def renewed(workspace: Workspace, workflow_id: int, number: int) -> plans.Plan:
    store = workspace.store.workflows
    record, recorded = store.get(workflow_id), store.parts(workflow_id)
    part = read_parts(workspace.state, workflow_id)[number]
    (inputs,) = find_inputs(workspace, [part])
    plan, _ = compile_part(
        workspace,
        record,
        recorded[number],
        part,
        inputs,
        workspace.config.site(record.site),
        [other.parents for other in recorded],
    )
    return plan
