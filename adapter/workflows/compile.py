"""From a part of a workflow to the one plan of its jobs and what the scheduler must know of them."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from prominence_hpc.adapter.create import ca_certificates, find_destinations
from prominence_hpc.adapter.sources import Carrier, Places, Source
from prominence_hpc.adapter.spec.factories import parameter_values
from prominence_hpc.adapter.spec.workflow import ParameterSweep
from prominence_hpc.adapter.store.state_folder import part_folder, scratch_prefix
from prominence_hpc.adapter.store.workflow_records import (
    BatchRecord,
    PartRecord,
    WorkflowRecord,
)
from prominence_hpc.adapter.translate import (
    Identity,
    Membership,
    asked_of,
    output_objects,
    submission_of,
    translate,
)
from prominence_hpc.adapter.workflows.inputs import Inputs
from prominence_hpc.adapter.workflows.parts import Part
from prominence_hpc.adapter.workspace import Workspace
from prominence_hpc.backends.base import Copies, Submission
from prominence_hpc.backends.settings import SiteSettings
from prominence_hpc.wrappers import plan as plans
from prominence_hpc.wrappers.bundle import install_runner

__all__ = ["compile_part", "draft_of", "slices_of", "submission_of_batch"]


def draft_of(part: Part, settings: SiteSettings) -> Submission:
    """What a part asks of its scheduler, before it has numbers and a folder."""
    nowhere = Path("/")
    draft = Identity(job_id=0, uid="", tag="", folder=nowhere, runner=nowhere)
    asked = asked_of(part.job, draft, settings)
    return submission_of(part.job, draft, settings, asked, Carrier(shared=True), part.full_name)


def slices_of(size: int, most: int | None) -> tuple[tuple[int, int], ...]:
    """A sweep as calls to the scheduler, each as (first copy, how many).

    >>> slices_of(5, 2)
    ((0, 2), (2, 2), (4, 1))
    """
    step = size if most is None else most
    return tuple((first, min(step, size - first)) for first in range(0, size, step))


def compile_part(
    workspace: Workspace,
    workflow: WorkflowRecord,
    record: PartRecord,
    part: Part,
    inputs: Inputs,
    settings: SiteSettings,
    parents: Sequence[Sequence[int]],
) -> tuple[plans.Plan, Submission]:
    """Plan and submission of a recorded part; the latter without copies, tag and what it waits for.

    ``parents`` are those of every part of the workflow.
    """
    identity = Identity(
        job_id=record.first_job,
        uid=record.uid,
        tag="",  # each batch has its own
        folder=part_folder(workspace.state, workflow.id, record.number),
        runner=install_runner(workspace.state),
        email=workspace.config.email,
        created=workflow.created,
    )
    destinations = destinations_of(workspace, part, record)
    reads = bool(inputs.sources or inputs.objects or destinations or part.job.storage)
    places = Places(
        sources=inputs.sources,
        destinations=destinations,
        ca_certificates=ca_certificates(workspace) if reads else None,
        swept=inputs.swept,
    )
    exit_code = exit_code_of(workspace, settings, record.number, parents)
    member = Membership(
        workflow_id=workflow.id,
        name=part.full_name,
        exit_code=exit_code,
        waits=bool(part.parents) or exit_code == "silent",
        sweep=sweep_of(part, record, inputs.objects) if part.swept else None,
    )
    return translate(part.job, identity, places, settings, os.environ, member)


def destinations_of(
    workspace: Workspace, part: Part, record: PartRecord
) -> dict[tuple[str, str], plans.Destination]:
    """Where the nodes write each output. All jobs of a sweep share one address, signed once."""
    if not part.swept:
        return find_destinations(workspace, part.job, record.uid)
    outputs = output_objects(part.job)
    if not outputs:
        return {}
    prefix = scratch_prefix(record.uid)
    workspace.storage.prepare(prefix)
    shared = workspace.storage.destination_prefix(prefix)
    return {(item.kind, item.name): shared for item in outputs}


def exit_code_of(
    workspace: Workspace, settings: SiteSettings, number: int, parents: Sequence[Sequence[int]]
) -> plans.ExitCode:
    """How the scheduler is told that a task has failed, where it decides what is run next."""
    if any(parents) and workspace.backend(settings.name).runs_graphs:
        return "silent"  # of all its parts: a sweep that nothing waits for is in the graph too
    return "strict" if any(number in others for others in parents) else "plain"


def sweep_of(part: Part, record: PartRecord, objects: Mapping[str, Source]) -> plans.Sweep:
    assert part.factory is not None
    parameters = tuple(
        plans.SweepParameter(name=name, values=values)
        for name, values in parameter_values(part.factory).items()
    )
    return plans.Sweep(
        first_job_id=record.first_job,
        parameters=parameters,
        product=isinstance(part.factory, ParameterSweep),
        indices=part.indices,
        objects={
            name: plans.SweptObject(
                source=source.location, sha256=source.sha256, size_bytes=source.size_bytes
            )
            for name, source in objects.items()
        },
    )


def submission_of_batch(
    submission: Submission, record: PartRecord, batch: BatchRecord, after: Sequence[str] = ()
) -> Submission:
    """What one call hands over of a part."""
    return replace(
        submission,
        tag=batch.tag,
        job_id=record.first_job + batch.first,
        copies=Copies(first=batch.first, count=batch.count) if record.swept else None,
        after=tuple(after),
    )
