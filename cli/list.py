"""``prominence list``: the jobs, one a line."""

import time
from typing import TYPE_CHECKING, Any

import click

from prominence_hpc.cli.flags import flag_options, json_option
from prominence_hpc.cli.labels import constraint_option, labels_of
from prominence_hpc.cli.output import elapsed, print_columns, print_json, warn

if TYPE_CHECKING:
    from prominence_hpc.adapter.jobs import Selection
    from prominence_hpc.adapter.store.records import JobRecord, JobStatus
    from prominence_hpc.adapter.store.store import Which

__all__ = ["list_command"]

COLUMNS = ("ID", "NAME", "CREATED", "STATUS", "ELAPSED", "IMAGE", "CMD")
COMMAND_WIDTH = 100
LAST_COMPLETED = 20  # what --completed shows unless told: a history can be long


@click.command("list")
@click.argument("resource", metavar="[jobs]", default="jobs")
@click.option("--completed", is_flag=True, help="Jobs that have ended (the last 20).")
@click.option("-r", "--running", is_flag=True, help="Running jobs only.")
@click.option("-i", "--idle", is_flag=True, help="Waiting jobs only.")
@click.option("-a", "--all", "everything", is_flag=True, help="All jobs, active and ended.")
@click.option("-n", "--last", type=click.IntRange(min=1), metavar="N", help="The newest N only.")
@constraint_option
@click.option("--name", help="Jobs of this name; * and ? match any characters.")
@click.option("--site", metavar="NAME", help="Jobs of this site only.")
@json_option
@flag_options
def list_command(*, as_json: bool, **options: Any) -> None:
    """List active jobs: those that wait or run, or were left in the queue."""
    from prominence_hpc.adapter.jobs import list_jobs
    from prominence_hpc.cli.session import workspace

    selection = selection_of(**options)
    listing = list_jobs(workspace(), selection)
    for warning in listing.warnings:
        warn(warning)
    if as_json:
        print_json([summary(record) for record in listing.records])
    else:
        now = time.time()
        print_columns(COLUMNS, [row(record, now) for record in listing.records])


def selection_of(
    *,
    resource: str,
    completed: bool,
    running: bool,
    idle: bool,
    everything: bool,
    last: int | None,
    constraints: tuple[str, ...],
    name: str | None,
    site: str | None,
) -> "Selection":
    from prominence_hpc.adapter.jobs import Selection

    if resource != "jobs":
        msg = f"There are only jobs to be listed in this version, not {resource}."
        raise click.UsageError(msg)
    which: Which = "all" if everything else "completed" if completed else "listed"
    statuses: tuple[JobStatus, ...] = (
        *(("running",) if running else ()),
        *(("idle",) if idle else ()),
    )
    return Selection(
        which=which,
        statuses=statuses or None,
        last=LAST_COMPLETED if which == "completed" and last is None else last,
        name=name,
        labels=labels_of(constraints),
        site=site,
    )


def row(record: "JobRecord", now: float) -> tuple[str, ...]:
    from prominence_hpc.adapter.describe import format_time

    return (
        str(record.id),
        record.name,
        format_time(record.created),
        record.status,
        elapsed(running_seconds(record, now)),
        shown_image(record.image),
        shortened(record.command),
    )


def running_seconds(record: "JobRecord", now: float) -> float | None:
    if record.started is None:
        return None
    return (now if record.ended is None else record.ended) - record.started


def shown_image(image: str) -> str:
    """A URL's last part, without its query; any other name whole."""
    if not image.startswith(("http://", "https://")):
        return image
    return image.partition("?")[0].rstrip("/").rpartition("/")[2]


def shortened(command: str) -> str:
    return command if len(command) <= COMMAND_WIDTH else command[:COMMAND_WIDTH] + "..."


def summary(record: "JobRecord") -> dict[str, Any]:
    """One job as ``--json`` shows it; times in seconds since the epoch."""
    return {
        "id": record.id,
        "name": record.name,
        "labels": dict(record.labels),
        "site": record.site,
        "backendId": record.handle,
        "status": record.status,
        "statusReason": record.status_reason,
        "createTime": record.created,
        "startTime": record.started,
        "endTime": record.ended,
        "image": record.image,
        "cmd": record.command,
    }
