"""What ``run --dry-run`` shows of a workflow: each job that would be created, and each text that a scheduler would be given."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from prominence_hpc.adapter.spec.decode_workflow import decode_workflow
from prominence_hpc.adapter.spec.workflow_jobs import describe_jobs
from prominence_hpc.adapter.workflows.compile import draft_of
from prominence_hpc.adapter.workflows.parts import in_order, parts_of
from prominence_hpc.adapter.workflows.site import choose_site_of
from prominence_hpc.adapter.workspace import Workspace
from prominence_hpc.backends.base import Backend, Copies, Graph, GraphNode, Submission
from prominence_hpc.wrappers.bundle import install_runner

__all__ = ["preview_workflow"]

# Stands for the tag, which is drawn when a workflow is recorded.
TAG = "0" * 32


def preview_workflow(
    workspace: Workspace, document: Mapping[str, Any], site: str | None
) -> dict[str, Any]:
    """The workflow as JSON data, with ``jobs`` and ``submissions``; nothing is recorded or asked.

    SpecError as for a workflow that is run. Ids, tags and the folder are those of no workflow.
    """
    workflow = decode_workflow(document)
    parts = parts_of(workflow)
    settings = choose_site_of(workspace.config, workflow, parts, site)
    backend = workspace.backend(settings.name)
    folder = workspace.state / "workflows" / "ID"
    runner = install_runner(workspace.state)
    submissions = [
        replace(
            draft_of(part, settings),
            tag=TAG,
            folder=folder / str(number),
            runner=runner,
            copies=Copies(first=0, count=part.size) if part.swept else None,
        )
        for number, part in enumerate(parts)
    ]
    parents = [part.parents for part in parts]
    if backend.runs_graphs and any(parents):
        names = [f"part-{number}-0" for number in range(len(parts))]
        nodes = tuple(
            GraphNode(
                name=names[number],
                submission=submissions[number],
                parents=tuple(names[parent] for parent in parents[number]),
            )
            for number in in_order(parents)
        )
        graph = Graph(
            tag=TAG, workflow_id=0, name=workflow.name, folder=folder, runner=runner, nodes=nodes
        )
        shown: list[dict[str, Any]] = [{"name": graph.name, "texts": backend.graph_texts(graph)}]
    else:
        handles = [f"JOB_ID_OF_{part.name}" for part in parts]
        shown = [
            told(
                backend,
                replace(
                    submissions[number],
                    after=tuple(handles[parent] for parent in parents[number]),
                ),
            )
            for number in in_order(parents)
        ]
    return {**describe_jobs(workflow), "submissions": shown}


def told(backend: Backend, submission: Submission) -> dict[str, Any]:
    copies = submission.copies
    return {
        "name": submission.name,
        **({} if copies is None else {"jobs": copies.count}),
        "texts": backend.texts(submission),
    }
