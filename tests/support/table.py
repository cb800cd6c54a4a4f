"""The table as Markdown, and what is wrong with it."""

from collections.abc import Iterator, Mapping

from tests.support.record import Shown
from tests.support.rows import COLUMNS, NOT_APPLICABLE, ROWS

__all__ = ["page", "problems"]

HEAD = """\
# What each engine honours

Written by `make support` from the tests that ran on real engines: a cell says what a passing test of `tests/engine` shows on that
engine. **done**: it does what the description says; **refused**: nothing is submitted, and the reason is told; **-**: it has no
meaning there. What the keys mean, and where a site's configuration decides, is in [job-description.md](job-description.md).

"""
DONE, REFUSED = "done", "refused"


def page(found: Mapping[Shown, bool]) -> str:
    """The whole page."""
    lines = [line_of(["key", *COLUMNS.values()]), line_of(["---"] * (len(COLUMNS) + 1))]
    for row in ROWS:
        cells = [cell(found, row, column) for column in COLUMNS]
        lines.append(line_of([label(row), *cells]))
    reasons = dict.fromkeys(
        f"- `{row}`, {COLUMNS[column]}: {why}" for (row, column), why in NOT_APPLICABLE.items()
    )
    notes = "\n" + "\n".join(reasons) + "\n" if reasons else ""
    return HEAD + "\n".join(lines) + "\n" + notes


def cell(found: Mapping[Shown, bool], row: str, column: str) -> str:
    """Done wins: that a site without what it takes refuses is shown by a test of its own."""
    for outcome in (DONE, REFUSED):
        if found.get(Shown(row=row, column=column, outcome=outcome)):
            return outcome
    return "-" if (row, column) in NOT_APPLICABLE else ""


def label(row: str) -> str:
    """The key as code, and after it the kind of value that the row is about."""
    key, _, kind = row.partition(" ")
    return f"`{key}` {kind}".rstrip()


def line_of(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def problems(found: Mapping[Shown, bool]) -> Iterator[str]:
    """Empty cells, failed tests, and marks that name no cell of the table."""
    for shown, passed in found.items():
        if shown.row not in ROWS or shown.column not in COLUMNS:
            yield f"a test is marked with {shown.row!r} on {shown.column!r}, which the table has not"
        elif not passed:
            yield f"{shown.row}: a test that shows it on {shown.column} did not pass"
    for row in ROWS:
        for column, title in COLUMNS.items():
            if not cell(found, row, column):
                yield f"{row}: no test shows it on {title}"
