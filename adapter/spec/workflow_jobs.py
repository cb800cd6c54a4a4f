"""The jobs that a workflow stands for, one after the other."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from prominence_hpc.adapter.spec.factories import points
from prominence_hpc.adapter.spec.substitution import substituted
from prominence_hpc.adapter.spec.workflow import Workflow

__all__ = ["WorkflowJob", "describe_jobs", "full_name", "jobs_of"]


@dataclass(frozen=True, kw_only=True)
class WorkflowJob:
    """One job. ``name`` is ``WORKFLOW/JOB``, with ``/INDEX`` after it where a factory made it."""

    name: str
    parameters: dict[str, str]
    document: dict[str, Any]  # with the parameters put in


def jobs_of(workflow: Workflow) -> Iterator[WorkflowJob]:
    """Every job, in the order of the description; those of a factory in order of their index."""
    made_by = {name: factory for factory in workflow.factories for name in factory.jobs}
    for job in workflow.jobs:
        full = full_name(workflow.name, job.name)
        factory = made_by.get(job.name)
        if factory is None:
            yield WorkflowJob(name=full, parameters={}, document=dict(job.document))
            continue
        for index, values in enumerate(points(factory)):
            yield WorkflowJob(
                name=f"{full}/{index}",
                parameters=values,
                document=substituted(job.document, values),
            )


def full_name(workflow: str, job: str) -> str:
    """How a job of a workflow is called among all jobs; ``JOB`` where the workflow has no name."""
    return f"{workflow}/{job}" if workflow else job


def describe_jobs(workflow: Workflow) -> dict[str, Any]:
    """The workflow as JSON data with each job that would be created, for ``run --dry-run``."""
    jobs = [
        {**item.document, "name": item.name}
        | ({"parameters": item.parameters} if item.parameters else {})
        for item in jobs_of(workflow)
    ]
    kept = {key: value for key, value in workflow.document.items() if key != "factories"}
    return {**kept, "jobs": jobs}
