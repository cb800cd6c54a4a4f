"""``prominence watch``: jobs and workflows as they change, in a terminal."""

import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import click

from prominence_hpc.cli.flags import flag_options
from prominence_hpc.cli.ids import Reference, parted
from prominence_hpc.cli.output import printable, warn

if TYPE_CHECKING:
    from prominence_hpc.adapter.looks import Look, Watched
    from prominence_hpc.adapter.store.records import JobRecord

__all__ = ["changes", "states_of", "summary", "watch_command"]

INTERRUPTED = 130


@click.command("watch", cls=Reference)
@flag_options
@click.argument("numbers", metavar="[job|workflow] [ID...]", type=int, nargs=-1)
def watch_command(*, numbers: tuple[int, ...]) -> int:
    """Show jobs and workflows as they change, until all have ended or you press Ctrl-C.

    Without ID: all that are active, and those that are created meanwhile. Of a workflow its counts
    are shown, and the first of its jobs that run or have failed. Where the output is no terminal, a
    line for each change of a job, or of a workflow and its parts.
    """
    from prominence_hpc.adapter.watch import watch
    from prominence_hpc.cli.session import workspace

    session = workspace()
    workflows, jobs = parted(session, numbers)
    looks = watch(session, jobs, workflows)
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


def warned(looks: "Iterable[tuple[Look, float]]") -> "Iterator[Look]":
    """Each look; what could not be found out is told once."""
    told: set[str] = set()
    for look, _ in looks:
        for warning in look.warnings:
            if warning not in told:
                told.add(warning)
                warn(warning)
        yield look


def changes(looks: "Iterable[Look]") -> Iterator[str]:
    """A line for each job at first sight and whenever its status or the reason of it changes.

    Of workflows, and of the entries of their descriptions, whenever their status does.
    """
    known: dict[object, object] = {}
    for look in looks:
        clock = time.strftime("%H:%M:%S", time.gmtime())
        for key, state, line in [
            *(job_state(record) for record in look.records),
            *(state for item in look.workflows for state in workflow_states(item)),
        ]:
            if known.get(key) != state:
                known[key] = state
                yield f"{clock} {printable(line)}"


# What changes, how it is, and the line that says so.
State = tuple[object, object, str]


def job_state(record: "JobRecord") -> State:
    reason = f": {record.status_reason}" if record.status_reason else ""
    line = f"Job {record.id} {record.status}{reason}"
    return record.id, (record.status, record.status_reason), line


def workflow_states(item: "Watched") -> Iterator[State]:
    """Of the workflow, and of each part that has begun."""
    from prominence_hpc.adapter.workflows.progress import words_of

    progress = item.progress
    words = words_of(progress.counts, many=True)
    yield progress.id, progress.status, f"Workflow {progress.id} {progress.status}: {words}"
    for part, counts in zip(item.parts, item.counts, strict=True):
        if counts.status == "idle":
            continue
        words = words_of(counts, many=part.swept)
        more = "" if words == counts.status else f": {words}"
        line = f"Workflow {progress.id} {part.name} {counts.status}{more}"
        # The first failure among many is news, the others are not.
        yield (progress.id, part.number), (counts.status, counts.failed > 0), line


def states_of(look: "Look") -> dict[str, int]:
    """How many jobs are in which state, those of the workflows too."""
    counts: dict[str, int] = {}
    for record in look.records:
        counts[record.status] = counts.get(record.status, 0) + 1
    for item in look.workflows:
        for status, count in item.progress.counts.states.items():
            counts[status] = counts.get(status, 0) + count
    return counts


def summary(counts: "Mapping[str, int]") -> str:
    """How many jobs are in which state: ``2 running, 1 idle, 3 completed``."""
    order = ("running", "idle", "completed", "failed", "killed", "deleted")
    return ", ".join(f"{counts[status]} {status}" for status in order if status in counts)
