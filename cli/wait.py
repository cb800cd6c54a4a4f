"""``prominence wait``: for scripts that go on when jobs and workflows have ended."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from prominence_hpc.cli.flags import flag_options, json_option
from prominence_hpc.cli.ids import Reference, parted
from prominence_hpc.cli.output import print_json, warn

if TYPE_CHECKING:
    from prominence_hpc.adapter.looks import Look
    from prominence_hpc.adapter.store.records import JobRecord
    from prominence_hpc.adapter.workflows.progress import Progress
    from prominence_hpc.adapter.workspace import Workspace

__all__ = ["wait_command"]

NOT_COMPLETED = 10
TASK_FAILED = 11
TIME_IS_UP = 12


@click.command("wait", cls=Reference)
@click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Wait no longer.")
@json_option
@flag_options
@click.argument("numbers", metavar="[job|workflow] ID...", type=int, nargs=-1, required=True)
def wait_command(*, numbers: tuple[int, ...], timeout: float | None, as_json: bool) -> int:
    """Wait until jobs, or all jobs of workflows, have ended; the exit code says how.

    \b
    0   all completed, and every task exited with 0
    10  a job failed, was killed or deleted
    11  all completed, but a task exited with another code than 0
    12  the time given by --timeout is up, and a job has not ended
    """
    from prominence_hpc.adapter.wait import wait_for
    from prominence_hpc.cli.session import workspace

    session = workspace()
    workflows, jobs = parted(session, numbers)
    look = wait_for(
        session,
        jobs,
        workflows,
        timeout_seconds=timeout,
        ended=(lambda _: None) if as_json else say,
        warn=warn,
    )
    if as_json:
        print_json(summaries(look, numbers))
    return exit_code(session, look)


def say(item: "JobRecord | Progress") -> None:
    from prominence_hpc.adapter.store.records import JobRecord

    if isinstance(item, JobRecord):
        reason = f": {item.status_reason}" if item.status_reason else ""
        click.echo(f"Job {item.id} {item.status}{reason}")
        return
    failed = f", {item.counts.failed} failed" if item.counts.failed else ""
    words = f"{item.counts.success} of {item.counts.total} jobs succeeded{failed}"
    click.echo(f"Workflow {item.id} {item.status}: {words}")


def summaries(look: "Look", numbers: Sequence[int]) -> list[dict[str, Any]]:
    """What was asked for, in the order in which it was."""
    found: dict[int, dict[str, Any]] = {
        record.id: {
            "id": record.id,
            "status": record.status,
            "statusReason": record.status_reason,
        }
        for record in look.records
    }
    for item in look.workflows:
        counts = item.progress.counts
        found[item.progress.id] = {
            "id": item.progress.id,
            "status": item.progress.status,
            "success": counts.success,
            "failed": counts.failed,
            "total": counts.total,
        }
    return [found[number] for number in dict.fromkeys(numbers)]


def exit_code(session: "Workspace", look: "Look") -> int:
    from prominence_hpc.adapter.wait import failed_tasks

    counts = [item.progress.counts for item in look.workflows]
    if not look.final:
        open_jobs = sum(not record.final for record in look.records)
        left = open_jobs + sum(item.active for item in counts)
        warn(
            f"{left} of {len(look.records) + sum(item.total for item in counts)} jobs have not ended"
        )
        return TIME_IS_UP
    if any(record.status != "completed" for record in look.records) or any(
        item.failed > item.task_failed for item in counts
    ):
        return NOT_COMPLETED
    if any(item.task_failed for item in counts):
        return TASK_FAILED
    return TASK_FAILED if any(failed_tasks(session, record) for record in look.records) else 0
