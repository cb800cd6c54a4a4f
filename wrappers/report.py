"""``report.json``: how far a job came and what it measured, as the wrapper wrote it.

``wrappers/runtime`` writes the file (by write-and-rename, at every change of phase); this module
says what is in it and reads it back. A report that cannot be read is an absent report.
"""

import json
from pathlib import Path
from typing import Literal, NotRequired, TypedDict, cast

from prominence_hpc.wrappers.plan import TaskType

__all__ = [
    "REPORT_VERSION",
    "RETRY_EXIT_CODE",
    "TASK_EXIT_CODE",
    "OutputReport",
    "Report",
    "TaskReport",
    "failed_tasks",
    "parse",
    "read",
]

REPORT_VERSION = 1
# How a wrapper ends whose job is to be started again, where the scheduler goes by that.
RETRY_EXIT_CODE = 12
# How one ends whose job has completed and failed by a task, where the plan's exit_code is "strict".
TASK_EXIT_CODE = 13

# "retrying": the attempt has ended as the outcome says, and the scheduler is to start another one.
Phase = Literal["starting", "stage-in", "tasks", "stage-out", "retrying", "finished"]
Outcome = Literal["completed", "failed", "killed"]
# Whose fault the end was: a task's non-zero exit, anything around the tasks, a limit of the job
# itself, the scheduler (cancelled, preempted); empty: nobody's.
FaultOf = Literal["", "task", "infrastructure", "limit", "scheduler"]


class TaskReport(TypedDict):
    """One task; times in seconds.

    A task that never started has no entry, but for the first one where an image could not be had.
    """

    number: int  # its place among the plan's tasks, from 0
    type: TaskType
    exit_code: int | None  # None while it runs or when it could not be started; 128+N for signal N
    retries: int
    # -1 where the image was cached or fetched for an earlier task; else how long it took, or until
    # it had failed.
    image_pull_time: float
    image_pull_status: Literal["completed", "cached", "failed"]
    image_sha256: str | None  # of the file that was fetched, or of a registry's manifest
    wall_time: float
    cpu_time: float
    max_resident_set_size_kb: int
    # Of sidecars, once they have ended:
    ended_early: NotRequired[bool]  # of its own accord, while tasks ran
    output_bytes: NotRequired[
        int
    ]  # what it wrote to standard error, and to output if not to a file
    output_tail: NotRequired[str]  # the last of it


class StoredObject(TypedDict):
    """One object or file that stage-out left at its destination."""

    name: str  # below the job's prefix
    size_bytes: int
    sha256: str


class OutputReport(TypedDict):
    """One entry of the plan's outputs, in the plan's order."""

    name: str
    kind: Literal["file", "pattern", "directory"]
    objects: list[StoredObject]  # empty until uploaded, and for a pattern that matched nothing
    error: str | None


class Report(TypedDict):
    """The whole file. Times are seconds since the epoch (UTC), None while not reached."""

    version: int
    job_id: int
    attempt: int  # 0, then one more for each time the scheduler started the job anew
    phase: Phase
    outcome: Outcome | None  # set when phase is "retrying" or "finished"
    reason: str  # the contract's words, such as "Artifact download failed"; empty when completed
    detail: str  # one sentence more: which artifact, which error; no URL carries its query string
    cause: NotRequired[FaultOf]
    retries_left: NotRequired[int]  # with phase "retrying": of the job, the next one included
    host: str
    start_time: float
    update_time: float
    end_time: float | None
    stage_in_time: float | None  # seconds
    stage_out_time: float | None  # seconds
    cpu: dict[str, str]  # vendor, model, clock
    runtime_version: str
    max_memory_usage_kb: int
    provisioned: dict[str, float]  # cpus, memory, disk (GB), nodes
    nodes: NotRequired[list[str]]  # hosts of a job of several nodes, by their numbers
    tasks: list[TaskReport]
    outputs: list[OutputReport]


def failed_tasks(report: Report) -> list[TaskReport]:
    """Tasks that did not end with 0; what becomes of a sidecar is no failure."""
    return [
        task for task in report["tasks"] if task["type"] != "sidecar" and task["exit_code"] != 0
    ]


def parse(text: str) -> Report | None:
    """The report in ``text``, or None where it is not one (cut off, another version, not JSON)."""
    try:
        document = json.loads(text)
    except ValueError:
        return None
    if not isinstance(document, dict) or document.get("version") != REPORT_VERSION:
        return None
    if not Report.__required_keys__ <= document.keys():
        return None
    return cast("Report", document)


def read(path: Path) -> Report | None:
    """The report at ``path``, or None where there is none yet."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, UnicodeDecodeError):
        return None
