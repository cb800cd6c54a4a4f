"""How long the program takes to start."""

from tests.benchmarks.budgets import Budget
from tests.benchmarks.measure import Sample, timed
from tests.benchmarks.workbench import Workbench

PYTHON = "/opt/prominence/bin/python"  # the interpreter of the installed `prominence`


def version(bench: Workbench) -> None:
    beside_python(bench, "`prominence --version`", ["--version"], Budget(kind="times", limit=5))


def dry_run(bench: Workbench) -> None:
    words = ["create", "--dry-run", "--name", "test", "--cpus", "4", "busybox", "true"]
    beside_python(bench, "`create --dry-run`", words, Budget(kind="times", limit=8))


def beside_python(bench: Workbench, row: str, words: list[str], budget: Budget) -> None:
    def ours(_: int) -> Sample:
        return timed(["prominence", *words], environment=bench.environment)

    def bare(_: int) -> Sample:
        return timed([PYTHON, "-c", "pass"])

    ours(0)  # writes the interpreter's caches
    bench.compare(row, budget, ours, bare, beside="`python -c pass`", runs=bench.short_runs)
