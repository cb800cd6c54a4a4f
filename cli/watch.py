"""``prominence watch``: jobs as they change, in a terminal."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from prominence_hpc.cli.flags import flag_options
from prominence_hpc.cli.ids import JobReference
from prominence_hpc.cli.output import warn

if TYPE_CHECKING:
    from prominence_hpc.adapter.jobs import Listing
    from prominence_hpc.adapter.store.records import JobRecord

__all__ = ["changes", "summary", "watch_command"]

INTERRUPTED = 130


@click.command("watch", cls=JobReference)
@flag_options
@click.argument("job_ids", metavar="[job] [ID...]", type=int, nargs=-1)
def watch_command(*, job_ids: tuple[int, ...]) -> int:
    """Show jobs as they change, until all have ended or you press Ctrl-C.

    Without ID: all active jobs, and those that are created meanwhile. Where the output is no
    terminal, a line for each change.
    """
    from prominence_hpc.adapter.watch import watch
    from prominence_hpc.cli.session import workspace

    looks = watch(workspace(), job_ids)
    try:
        if sys.stdout.isatty():
            from prominence_hpc.cli.live_table import show

            show(looks)
        else:
            for line in changes(warned(looks)):
                click.echo(line)
    except KeyboardInterrupt:  # how one leaves it
        return INTERRUPTED
    return 0


def warned(looks: "Iterable[tuple[Listing, float]]") -> "Iterator[list[JobRecord]]":
    """The records of each look; what could not be found out is told once."""
    told: set[str] = set()
    for listing, _ in looks:
        for warning in listing.warnings:
            if warning not in told:
                told.add(warning)
                warn(warning)
        yield listing.records


def changes(looks: "Iterable[list[JobRecord]]") -> Iterator[str]:
    """A line for each job at first sight and whenever its status or the reason of it changes."""
    known: dict[int, tuple[str, str]] = {}
    for records in looks:
        for record in records:
            now = (record.status, record.status_reason)
            if known.get(record.id) != now:
                known[record.id] = now
                reason = f": {record.status_reason}" if record.status_reason else ""
                clock = time.strftime("%H:%M:%S", time.gmtime())
                yield f"{clock} Job {record.id} {record.status}{reason}"


def summary(records: "Iterable[JobRecord]") -> str:
    """How many jobs are in which state: ``2 running, 1 idle, 3 completed``."""
    counts: dict[str, int] = {}
    for record in records:
        counts[record.status] = counts.get(record.status, 0) + 1
    order = ("running", "idle", "completed", "failed", "killed", "deleted")
    return ", ".join(f"{counts[status]} {status}" for status in order if status in counts)
