"""The table of what engines honour: every key has a row, and nothing that failed is called done."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from prominence_hpc.adapter.spec import decode
from tests.support import table
from tests.support.record import Shown, read_record, write_record
from tests.support.rows import COLUMNS, NOT_APPLICABLE, ROWS

CHECKOUT = Path(__file__).parents[2]
# Objects of which each key has a row; of the others the whole has one.
NESTED = {
    "tasks": decode.TASK,
    "resources": decode.RESOURCES,
    "artifacts": decode.ARTIFACT,
    "policies": decode.POLICIES,
}


def keys() -> Iterator[str]:
    for key in decode.JOB:
        if key in NESTED:
            yield from (f"{key}.{inner}" for inner in NESTED[key])
        else:
            yield key


def everything(outcome: str = "done") -> dict[Shown, bool]:
    return {
        Shown(row=row, column=column, outcome=outcome): True for row in ROWS for column in COLUMNS
    }


@pytest.mark.parametrize("key", list(keys()))
def test_every_key_of_a_description_has_a_row(key: str) -> None:
    assert [row for row in ROWS if row.partition(" ")[0] == key]


def test_no_row_is_there_twice_and_every_exception_is_of_a_row() -> None:
    assert len(set(ROWS)) == len(ROWS)
    assert {row for row, _ in NOT_APPLICABLE} <= set(ROWS)
    assert {column for _, column in NOT_APPLICABLE} <= set(COLUMNS)


def test_a_table_of_which_everything_was_shown_has_no_problem() -> None:
    assert list(table.problems(everything())) == []
    row = "| `tasks.type` sidecar | done | done | done | done |"
    assert row in table.page(everything()).splitlines()


def test_a_cell_that_nothing_shows_is_a_problem() -> None:
    found = everything("refused")
    del found[Shown(row="labels", column="htcondor", outcome="refused")]
    assert list(table.problems(found)) == ["labels: no test shows it on HTCondor"]
    assert table.cell(found, "labels", "slurm") == "refused"


def test_a_failed_test_leaves_no_cell_done() -> None:
    found = everything()
    found[Shown(row="labels", column="local", outcome="done")] = False
    assert "labels: a test that shows it on local did not pass" in table.problems(found)
    assert table.cell(found, "labels", "local") == ""


def test_a_mark_that_names_no_row_is_a_problem() -> None:
    found = everything() | {Shown(row="tasks.typo", column="slurm", outcome="done"): True}
    (problem,) = table.problems(found)
    assert "'tasks.typo'" in problem


def test_several_runs_make_one_record_and_one_failure_spoils_a_cell(tmp_path: Path) -> None:
    good = Shown(row="labels", column="slurm", outcome="done")
    bad = Shown(row="name", column="slurm", outcome="done")
    write_record(tmp_path / "record", {good: True, bad: False})
    write_record(tmp_path / "record", {good: True, bad: True})
    assert read_record(tmp_path / "record") == {good: True, bad: False}


MARKED = """
import pytest

@pytest.fixture(params=["slurm", "htcondor"])
def prominence(request):
    return request.param

@pytest.mark.honours("labels")
def test_labels(prominence):
    assert prominence == "slurm"

@pytest.mark.refuses("storage onedata", on=("local",))
def test_onedata():
    pass

@pytest.mark.honours("name", on=("local",))
def test_skipped():
    pytest.skip("no engine")
"""


def test_the_plugin_records_what_ran(tmp_path: Path) -> None:
    """With tests in other processes, as the engine tests run."""
    (tmp_path / "test_marked.py").write_text(MARKED)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n  honours\n  refuses\n")
    options = ["-p", "tests.support.plugin", "--support-record", "out.json", "-n", "2"]
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *options],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert read_record(tmp_path / "out.json") == {
        Shown(row="labels", column="slurm", outcome="done"): True,
        Shown(row="labels", column="htcondor", outcome="done"): False,
        Shown(row="storage onedata", column="local", outcome="refused"): True,
        Shown(row="name", column="local", outcome="done"): False,
    }
