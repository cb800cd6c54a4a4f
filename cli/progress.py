"""A progress bar on standard output when that is a terminal, nothing otherwise."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["progress_bar"]


@contextmanager
def progress_bar(label: str, total_bytes: int | None) -> Iterator[Callable[[int], None] | None]:
    """Yields what is to be told how many more bytes were moved, or None where nobody looks."""
    if not sys.stdout.isatty():
        yield None
        return
    from rich.progress import (  # 60 ms that only a terminal needs
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, transient=True) as bar:
        task = bar.add_task(label, total=total_bytes)
        yield lambda count: bar.advance(task, count)
