"""What was submitted as a workflow, read back: the whole, its parts, and each job of it."""

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from prominence_hpc.adapter.spec.decode_workflow import decode_workflow
from prominence_hpc.adapter.store.records import JobRecord
from prominence_hpc.adapter.store.state_folder import (
    WORKFLOW_FILE,
    workflow_folder,
    write_private,
)
from prominence_hpc.adapter.workflows.parts import Chosen, Part, parts_of
from prominence_hpc.errors import NotFoundError

__all__ = [
    "document_alone",
    "job_document",
    "part_of",
    "read_chosen",
    "read_parts",
    "workflow_document",
    "write_chosen",
]

# Policies of a workflow that hold for each job which says nothing itself.
OF_EVERY_JOB = ("maximumRetries", "leaveInQueue", "placement")
CHOSEN_FILE = "chosen.json"  # of a workflow that does what another one has left: which jobs


def workflow_document(state: Path, workflow_id: int) -> dict[str, Any]:
    """The description as it was submitted."""
    path = workflow_folder(state, workflow_id) / WORKFLOW_FILE
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        msg = (
            f"The folder of workflow {workflow_id} is gone: {path.parent} holds no {WORKFLOW_FILE}."
        )
        raise NotFoundError(msg) from error
    return document


@lru_cache(maxsize=8)
def read_parts(state: Path, workflow_id: int) -> Sequence[Part]:
    """The parts of a recorded workflow; a description is never changed once it is there."""
    workflow = decode_workflow(workflow_document(state, workflow_id))
    return parts_of(workflow, read_chosen(workflow_folder(state, workflow_id)))


def part_of(state: Path, record: JobRecord) -> Part:
    """The part that a workflow's job is of."""
    assert record.workflow is not None
    assert record.part is not None
    return read_parts(state, record.workflow)[record.part]


def job_document(state: Path, record: JobRecord) -> dict[str, Any]:
    """The description of one job of a workflow, parameters put in."""
    part = part_of(state, record)
    return {**part.document(record.copy), "name": record.name}


def document_alone(state: Path, record: JobRecord) -> dict[str, Any]:
    """A description by which the same job can be created by itself: with what the workflow says of it."""
    assert record.workflow is not None
    part = part_of(state, record)
    document = job_document(state, record)
    whole = workflow_document(state, record.workflow).get("policies", {})
    policies = {key: whole[key] for key in OF_EVERY_JOB if key in whole}
    policies |= document.get("policies", {})
    values = part.parameters(record.copy)
    named = {f"PROMINENCE_PARAMETER_{name}": value for name, value in values.items()}
    tasks = [
        {**task, "env": {**named, **task.get("env", {})}} if named else task
        for task in document["tasks"]
    ]
    return {**document, "tasks": tasks, **({"policies": policies} if policies else {})}


def write_chosen(folder: Path, chosen: Chosen) -> None:
    """Keep which jobs of the description are meant."""
    document = {name: None if some is None else list(some) for name, some in chosen.items()}
    write_private(folder / CHOSEN_FILE, json.dumps(document) + "\n")


def read_chosen(folder: Path) -> Chosen | None:
    """What :func:`write_chosen` wrote; None where all jobs are meant."""
    try:
        chosen: Chosen = json.loads((folder / CHOSEN_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return chosen
