"""The results as a table: for the terminal, and for docs/explanation/performance.md."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.benchmarks.budgets import MB, Budget, Result

HEADER: Final = ("path", "ours", "beside", "bare", "result", "budget", "", "N")
BEGIN: Final = "<!-- written by `python -m tests.benchmarks --write`: begin -->"
END: Final = "<!-- written by `python -m tests.benchmarks --write`: end -->"
SMALL_BYTES: Final = 16 * MB  # below it a rate says nothing


def plain(results: Sequence[Result]) -> str:
    rows = [HEADER, *map(cells, results)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADER))]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def markdown(results: Sequence[Result], when: str, versions: Mapping[str, str]) -> str:
    """A paragraph on the run, and the table."""
    met = ", ".join(f"{name} {version}" for name, version in versions.items())
    lines = [f"Measured on {when} with {met}.", "", line(HEADER), line(["---"] * len(HEADER))]
    return "\n".join([*lines, *(line(cells(result)) for result in results), ""])


def line(words: Sequence[str]) -> str:
    """A row; a bar inside a cell is escaped, or it would end the cell."""
    return f"| {' | '.join(word.replace('|', chr(92) + '|') for word in words)} |"


def cells(result: Result) -> tuple[str, ...]:
    return (
        result.row,
        amount(result.ours, result.size_bytes) + resident(result),
        result.beside,
        amount(result.bare, result.size_bytes) if result.bare is not None else "",
        value(result),
        limit(result.budget),
        "ok" if result.within() else "OVER",
        str(result.runs),
    )


def amount(seconds: float, size_bytes: int | None) -> str:
    """
    >>> amount(0.0123, None), amount(2.5, 1_000_000_000)
    ('12 ms', '2.50 s (400 MB/s)')
    """
    time = f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"
    if size_bytes is None or size_bytes < SMALL_BYTES:
        return time
    return f"{time} ({size_bytes / MB / seconds:.0f} MB/s)"


def resident(result: Result) -> str:
    if result.budget.resident_mib is None or result.resident_mib is None:
        return ""
    return f", {result.resident_mib:.0f} MiB"


def value(result: Result) -> str:
    match result.budget.kind:
        case "times":
            return f"{result.value():.2f}x"
        case "over":
            return f"{result.value() * 1000:+.0f} ms"
        case "seconds":
            return f"{result.value() * 1000:.0f} ms"
        case "rate":
            return f"{result.value():.0f} MB/s"


def limit(budget: Budget) -> str:
    """
    >>> limit(Budget(kind="seconds", limit=0.1, resident_mib=60))
    '100 ms, 60 MiB'
    """
    size = f", {budget.resident_mib} MiB" if budget.resident_mib is not None else ""
    match budget.kind:
        case "times":
            return f"{budget.limit:g}x{size}"
        case "over":
            return f"+{budget.limit * 1000:.0f} ms{size}"
        case "seconds":
            return f"{budget.limit * 1000:.0f} ms{size}"
        case "rate":
            return f"{budget.limit:.0f} MB/s{size}"


def put(page: Path, text: str) -> None:
    """Replaces what stands between the two marks in `page`; a page without them gets them at its end."""
    old = page.read_text() if page.exists() else "# Performance\n"
    before, found, rest = old.partition(BEGIN)
    after = rest.partition(END)[2] if found else "\n"
    gap = "" if found else "\n"
    page.write_text(f"{before}{gap}{BEGIN}\n{text}{END}{after}")
