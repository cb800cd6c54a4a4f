"""A table of jobs that is drawn anew in its place; imports rich, which only a terminal needs."""

import time
from collections.abc import Iterable, Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from prominence_hpc.adapter.jobs import Listing
from prominence_hpc.adapter.store.records import JobRecord
from prominence_hpc.cli.list import running_seconds
from prominence_hpc.cli.output import elapsed, printable
from prominence_hpc.cli.watch import summary

__all__ = ["picture", "show"]

STYLES = {
    "running": "green",
    "idle": "yellow",
    "completed": "dim",
    "failed": "bold red",
    "killed": "bold red",
    "deleted": "dim",
}
# Lines that are no jobs: the head, what there is no room for, the summary, a warning, the prompt.
OTHER_LINES = 5


def show(looks: Iterable[tuple[Listing, float]]) -> None:
    """Draw each look over the one before; the last one stays on the screen."""
    console = Console()
    with Live(console=console, auto_refresh=False) as live:
        for listing, pause_seconds in looks:
            live.update(picture(listing, pause_seconds, console.height, time.time()), refresh=True)


def picture(listing: Listing, pause_seconds: float, height: int, now: float) -> Group:
    """The jobs, active ones first where there is no room for all, and a line that sums them up."""
    rows = max(1, height - OTHER_LINES)
    shown = fitting(listing.records, rows)
    table = Table(box=None, pad_edge=False)
    for title in ("ID", "NAME", "STATUS", "ELAPSED", "SITE", "REASON"):
        table.add_column(title, no_wrap=True)
    for record in shown:
        table.add_row(*cells(record, now), style=STYLES.get(record.status, ""))
    parts: list[Table | Text] = [table]
    if len(shown) < len(listing.records):
        parts.append(Text(f"… and {len(listing.records) - len(shown)} more", style="dim"))
    parts.append(Text(footer(listing, pause_seconds, now)))
    parts += [Text(printable(warning), style="yellow") for warning in listing.warnings[:1]]
    return Group(*parts)


def fitting(records: Sequence[JobRecord], rows: int) -> list[JobRecord]:
    """As many as there is room for, in order of id: those that have ended go first, the oldest before."""
    newest_active_last = sorted(records, key=lambda record: (not record.final, record.id))
    return sorted(newest_active_last[-rows:], key=lambda record: record.id)


def cells(record: JobRecord, now: float) -> tuple[Text, ...]:
    texts = (
        str(record.id),
        record.name,
        record.status,
        elapsed(running_seconds(record, now)),
        record.site,
        record.status_reason,
    )
    return tuple(Text(printable(text)) for text in texts)


def footer(listing: Listing, pause_seconds: float, now: float) -> str:
    counts = summary(listing.records) or "no active jobs"
    clock = time.strftime("%H:%M:%S", time.gmtime(now))
    following = f"; next look in {pause_seconds:.0f} s" if pause_seconds else ""
    return f"{counts} at {clock} UTC{following}"
