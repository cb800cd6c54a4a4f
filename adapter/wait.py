"""Waiting for jobs and workflows to end."""

import time
from collections.abc import Callable, Sequence

from prominence_hpc.adapter.jobs import submitted_document
from prominence_hpc.adapter.looks import Look, look_at
from prominence_hpc.adapter.store.records import JobRecord
from prominence_hpc.adapter.store.state_folder import REPORT_FILE, folder_of
from prominence_hpc.adapter.watch import pause_seconds
from prominence_hpc.adapter.workflows.progress import Progress
from prominence_hpc.adapter.workspace import Workspace
from prominence_hpc.wrappers import report as reports

__all__ = ["failed_tasks", "wait_for"]

FIRST_PAUSE_SECONDS = 0.5
# Sites ask for no more than a call in half a minute from a script that waits for hours.
LONGEST_PAUSE_SECONDS = 30.0
PAUSE_GROWTH = 1.3


def wait_for(
    workspace: Workspace,
    job_ids: Sequence[int],
    workflow_ids: Sequence[int] = (),
    *,
    timeout_seconds: float | None,
    ended: Callable[[JobRecord | Progress], None],
    warn: Callable[[str], None],
) -> Look:
    """Wait until each job, and each workflow as a whole, has ended or the time is up; all as last known.

    One scheduler call per site and look, at growing intervals. ``ended`` is called once for each
    that ends; ``warn`` for each new thing that cannot be found out.
    """
    give_up = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    pause, told, warned = FIRST_PAUSE_SECONDS, set[int](), set[str]()
    while True:
        look = look_at(workspace, job_ids, workflow_ids)
        for warning in [*look.warnings, *held(look.active)]:
            if warning not in warned:
                warned.add(warning)
                warn(warning)
        items: list[JobRecord | Progress] = [*look.records]
        items += [found.progress for found in look.workflows]
        for item in items:
            if item.final and item.id not in told:
                told.add(item.id)
                ended(item)
        if look.final:
            return look
        wait = pause_seconds(workspace, look.active, pause)
        if give_up is not None and time.monotonic() + wait > give_up:
            return look
        time.sleep(wait)
        pause = min(pause * PAUSE_GROWTH, LONGEST_PAUSE_SECONDS)


def held(records: Sequence[JobRecord]) -> list[str]:
    """A sentence for each job that will not start unless somebody acts: waiting may be in vain.

    Of a workflow one for each reason, for however many of its jobs.
    """
    return list(
        dict.fromkeys(
            f"{who(record)} waiting: {record.status_reason}"
            for record in records
            if record.status == "idle" and record.status_reason.startswith("Held")
        )
    )


def who(record: JobRecord) -> str:
    if record.workflow is None:
        return f"Job {record.id} is"
    return f"Jobs of workflow {record.workflow} are"


def failed_tasks(workspace: Workspace, record: JobRecord) -> bool:
    """Whether a task of a finished job ended with anything but 0, and the job does not put up with it."""
    if record.workflow is not None:
        return record.task_failed
    report = reports.read(folder_of(workspace.state, record) / REPORT_FILE)
    if report is None or not reports.failed_tasks(report):
        return False
    policies = submitted_document(workspace, record.id).get("policies") or {}
    return not policies.get("reportJobSuccessOnTaskFailure")
