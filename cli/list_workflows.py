"""``prominence list workflows``: one a line, with what its jobs add up to."""

import time
from typing import TYPE_CHECKING, Any

from prominence_hpc.cli.output import elapsed, print_columns, print_json, warn

if TYPE_CHECKING:
    from prominence_hpc.adapter.jobs import Selection
    from prominence_hpc.adapter.workflows.progress import Progress
    from prominence_hpc.adapter.workspace import Workspace

__all__ = ["COLUMNS", "print_workflows", "row", "running_seconds", "summary"]

COLUMNS = ("ID", "NAME", "CREATED", "STATUS", "ELAPSED", "SUCCESS", "FAILED", "TOTAL")


def print_workflows(session: "Workspace", selection: "Selection", *, as_json: bool) -> None:
    """The selected workflows as columns, or as JSON."""
    from prominence_hpc.adapter.workflows.listing import list_workflows

    listing = list_workflows(session, selection)
    for warning in listing.warnings:
        warn(warning)
    if as_json:
        print_json([summary(item) for item in listing.workflows])
    else:
        now = time.time()
        print_columns(COLUMNS, [row(item, now) for item in listing.workflows])


def row(item: "Progress", now: float) -> tuple[str, ...]:
    from prominence_hpc.adapter.describe import format_time

    return (
        str(item.id),
        item.record.name,
        format_time(item.record.created),
        item.status,
        elapsed(running_seconds(item, now)),
        str(item.counts.success),
        str(item.counts.failed),
        str(item.counts.total),
    )


def running_seconds(item: "Progress", now: float) -> float | None:
    """From the start of the first job to the end of the last one; None where none has begun."""
    started, ended = item.counts.started, item.counts.ended
    if started is None:
        return None
    return (now if ended is None else ended) - started


def summary(item: "Progress") -> dict[str, Any]:
    """One workflow as ``--json`` shows it; times in seconds since the epoch."""
    record, counts = item.record, item.counts
    return {
        "id": record.id,
        "name": record.name,
        "labels": dict(record.labels),
        "site": record.site,
        "status": item.status,
        "createTime": record.created,
        "startTime": counts.started,
        "endTime": counts.ended,
        "success": counts.success,
        "failed": counts.failed,
        "total": counts.total,
        "jobs": dict(counts.states),
    }
