"""How things are printed: JSON for scripts, columns for people."""

import json
import sys
from collections.abc import Sequence
from typing import Any

import click

__all__ = ["elapsed", "print_columns", "print_json", "printable", "warn"]

GAP = "   "


def print_json(value: Any) -> None:
    """JSON with an indent of 2, as PROMINENCE prints it."""
    click.echo(json.dumps(value, indent=2))


def print_columns(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Left-aligned columns three spaces apart, the header always shown.

    Control characters in a cell (a newline in a command) are printed as escapes: one job, one line.
    """
    table = [list(header), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = (
        GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    )
    click.echo("\n".join(lines))


def printable(text: str) -> str:
    """``text`` with control characters as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def elapsed(seconds: float | None) -> str:
    """``D+HH:MM:SS``; empty where nothing has started."""
    if seconds is None:
        return ""
    whole = max(0, int(seconds))
    days, rest = divmod(whole, 86400)
    return f"{days}+{rest // 3600:02d}:{rest % 3600 // 60:02d}:{rest % 60:02d}"


def warn(message: str) -> None:
    """One line on standard error that is not the end of the command."""
    sys.stdout.flush()
    click.echo(f"prominence: {message}", err=True)
