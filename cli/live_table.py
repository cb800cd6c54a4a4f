"""A table of jobs and workflows that is drawn anew in its place; imports rich, which only a terminal needs."""

import time
from collections.abc import Iterable, Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from prominence_hpc.adapter.looks import Look, Watched
from prominence_hpc.adapter.store.records import JobRecord
from prominence_hpc.adapter.workflows.progress import Counts, words_of
from prominence_hpc.cli import list_workflows
from prominence_hpc.cli.list import running_seconds
from prominence_hpc.cli.output import elapsed, printable
from prominence_hpc.cli.watch import states_of, summary

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
BAR_WIDTH = 20

# A line of the table: the id by which it is put in order, its cells, its style.
Line = tuple[int, tuple[Text, ...], str]


def show(looks: Iterable[tuple[Look, float]]) -> None:
    """Draw each look over the one before; the last one stays on the screen."""
    console = Console()
    with Live(console=console, auto_refresh=False) as live:
        for look, pause_seconds in looks:
            live.update(picture(look, pause_seconds, console.height, time.time()), refresh=True)


def picture(look: Look, pause_seconds: float, height: int, now: float) -> Group:
    """All workflows, then jobs, active ones first where there is no room, and a line that sums them up."""
    rows = max(1, height - OTHER_LINES)
    workflows = look.workflows[-rows:]
    jobs = {job.id: job for item in workflows for job in item.jobs}
    jobs |= {job.id: job for job in look.records}
    shown = fitting(list(jobs.values()), rows - len(workflows))
    lines: list[Line] = [
        *((job.id, cells(job, now), STYLES.get(job.status, "")) for job in shown),
        *((item.progress.id, workflow_cells(item, now), "bold") for item in workflows),
    ]
    table = Table(box=None, pad_edge=False)
    for title in ("ID", "NAME", "STATUS", "ELAPSED", "SITE", "REASON"):
        table.add_column(title, no_wrap=True)
    for _, texts, style in sorted(lines, key=lambda line: line[0]):
        table.add_row(*texts, style=style)
    parts: list[Table | Text] = [table]
    hidden = len(jobs) - len(shown) + len(look.workflows) - len(workflows)
    if hidden:
        parts.append(Text(f"… and {hidden} more", style="dim"))
    parts.append(Text(footer(look, pause_seconds, now)))
    parts += [Text(printable(warning), style="yellow") for warning in look.warnings[:1]]
    return Group(*parts)


def fitting(records: Sequence[JobRecord], rows: int) -> list[JobRecord]:
    """As many as there is room for, in order of id: those that have ended go first, the oldest before."""
    newest_active_last = sorted(records, key=lambda record: (not record.final, record.id))
    kept = newest_active_last[-rows:] if rows > 0 else []
    return sorted(kept, key=lambda record: record.id)


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


def workflow_cells(item: Watched, now: float) -> tuple[Text, ...]:
    progress = item.progress
    texts = (
        str(progress.id),
        progress.record.name,
        progress.status,
        elapsed(list_workflows.running_seconds(progress, now)),
        progress.record.site,
    )
    words = Text(f" {words_of(progress.counts, many=True)}")
    return (*(Text(printable(text)) for text in texts), bar(progress.counts) + words)


def bar(counts: Counts, width: int = BAR_WIDTH) -> Text:
    """What has succeeded, what has not, and what is left, as shares of ``width`` characters."""
    total = max(1, counts.total)
    failed = -(-counts.failed * width // total)  # one among thousands is seen
    ended = max(failed, (counts.success + counts.failed) * width // total)
    return Text.assemble(
        ("█" * (ended - failed), "green"), ("█" * failed, "red"), ("░" * (width - ended), "dim")
    )


def footer(look: Look, pause_seconds: float, now: float) -> str:
    counts = summary(states_of(look)) or "no active jobs"
    clock = time.strftime("%H:%M:%S", time.gmtime(now))
    following = f"; next look in {pause_seconds:.0f} s" if pause_seconds else ""
    return f"{counts} at {clock} UTC{following}"
