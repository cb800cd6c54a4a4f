"""``prominence wait``: for scripts that go on when jobs have ended."""

from typing import TYPE_CHECKING

import click

from prominence_hpc.cli.flags import flag_options, json_option
from prominence_hpc.cli.ids import JobReference
from prominence_hpc.cli.output import print_json, warn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prominence_hpc.adapter.store.records import JobRecord
    from prominence_hpc.adapter.workspace import Workspace

__all__ = ["wait_command"]

NOT_COMPLETED = 10
TASK_FAILED = 11
TIME_IS_UP = 12


@click.command("wait", cls=JobReference)
@click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Wait no longer.")
@json_option
@flag_options
@click.argument("job_ids", metavar="[job] ID...", type=int, nargs=-1, required=True)
def wait_command(*, job_ids: tuple[int, ...], timeout: float | None, as_json: bool) -> int:
    """Wait until jobs have ended; the exit code says how.

    \b
    0   all completed, and every task exited with 0
    10  a job failed, was killed or deleted
    11  all completed, but a task exited with another code than 0
    12  the time given by --timeout is up, and a job has not ended
    """
    from prominence_hpc.adapter.wait import wait_for
    from prominence_hpc.cli.session import workspace

    session = workspace()
    records = wait_for(
        session,
        job_ids,
        timeout_seconds=timeout,
        ended=(lambda _: None) if as_json else say,
        warn=warn,
    )
    if as_json:
        print_json(
            [{"id": r.id, "status": r.status, "statusReason": r.status_reason} for r in records]
        )
    return exit_code(session, records)


def say(record: "JobRecord") -> None:
    reason = f": {record.status_reason}" if record.status_reason else ""
    click.echo(f"Job {record.id} {record.status}{reason}")


def exit_code(session: "Workspace", records: "Sequence[JobRecord]") -> int:
    from prominence_hpc.adapter.wait import failed_tasks

    if not all(record.final for record in records):
        warn(f"{sum(not record.final for record in records)} of {len(records)} jobs have not ended")
        return TIME_IS_UP
    if any(record.status != "completed" for record in records):
        return NOT_COMPLETED
    return TASK_FAILED if any(failed_tasks(session, record) for record in records) else 0
