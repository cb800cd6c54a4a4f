"""The benchmark table: a budget is held, or the row says OVER."""

from pathlib import Path

import pytest

from tests.benchmarks import table
from tests.benchmarks.budgets import Budget, Result, decode, encode


def result(ours: float, bare: float | None, budget: Budget, resident_mib: float = 30.0) -> Result:
    return Result(
        row="path",
        ours=ours,
        bare=bare,
        beside="`bare`",
        runs=3,
        size_bytes=1_000_000_000,
        resident_mib=resident_mib,
        budget=budget,
    )


@pytest.mark.parametrize(
    ("ours", "bare", "budget", "within"),
    [
        (1.04, 1.0, Budget(kind="times", limit=1.05), True),
        (1.06, 1.0, Budget(kind="times", limit=1.05), False),
        (0.27, 0.13, Budget(kind="over", limit=0.15), True),
        (0.29, 0.13, Budget(kind="over", limit=0.15), False),
        (0.099, None, Budget(kind="seconds", limit=0.1), True),
        (0.101, 5.0, Budget(kind="seconds", limit=0.1), False),
        (2.4, None, Budget(kind="rate", limit=400), True),
        (2.6, None, Budget(kind="rate", limit=400), False),
        (1.0, 1.0, Budget(kind="times", limit=1.05, resident_mib=29), False),
    ],
)
def test_budget(ours: float, bare: float | None, budget: Budget, within: bool) -> None:
    assert result(ours, bare, budget).within() is within


def test_result_crosses_from_the_site_unchanged() -> None:
    sent = result(1.5, 1.0, Budget(kind="times", limit=1.1, resident_mib=64))

    assert decode(encode(sent)) == sent


def test_row_shows_both_sides_ratio_budget_and_verdict() -> None:
    row = table.cells(result(2.0, 1.6, Budget(kind="times", limit=1.1, resident_mib=64)))

    assert row == (
        "path",
        "2.00 s (500 MB/s), 30 MiB",
        "`bare`",
        "1.60 s (625 MB/s)",
        "1.25x",
        "1.1x, 64 MiB",
        "OVER",
        "3",
    )


def test_page_keeps_what_is_around_the_table(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"# Performance\n\nBefore.\n\n{table.BEGIN}\nold\n{table.END}\n\nAfter.\n")

    table.put(page, "new\n")

    assert page.read_text() == (
        f"# Performance\n\nBefore.\n\n{table.BEGIN}\nnew\n{table.END}\n\nAfter.\n"
    )


def test_page_without_a_table_gets_one(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"

    table.put(page, "new\n")
    table.put(page, "newer\n")

    assert page.read_text() == f"# Performance\n\n{table.BEGIN}\nnewer\n{table.END}\n"
