"""``runner.pyz --succeeded``: what a scheduler hears of a submission whose jobs have all ended."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from prominence_hpc.wrappers import bundle

WELL = {"phase": "finished", "outcome": "completed", "cause": ""}
# Whatever is no good end, or no end.
OTHERS: dict[str, dict[str, Any] | str] = {
    "a task failed": {**WELL, "cause": "task"},
    "failed": {**WELL, "outcome": "failed", "cause": "infrastructure"},
    "killed": {**WELL, "outcome": "killed", "cause": "limit"},
    "killed while it ran": {"phase": "tasks", "outcome": None, "cause": ""},
    "to be run again": {**WELL, "phase": "retrying"},
    "cut off": '{"phase": "fin',
    "no report": "[]",
}


def leave(folder: Path, report: dict[str, Any] | str) -> None:
    folder.mkdir(exist_ok=True)
    text = report if isinstance(report, str) else json.dumps({"version": 1, **report})
    (folder / "report.json").write_text(text)


def ask(folder: Path, count: int) -> tuple[int, str]:
    runner = bundle.install_runner(folder / "bin")
    argv = [sys.executable, "-IS", str(runner), "--succeeded", str(folder), str(count)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout


@pytest.mark.parametrize("report", OTHERS.values(), ids=OTHERS.keys())
def test_one_job(tmp_path: Path, report: dict[str, Any] | str) -> None:
    assert ask(tmp_path, 0) == (1, "The job has not ended well.\n")  # it has never begun
    leave(tmp_path, report)
    assert ask(tmp_path, 0) == (1, "The job has not ended well.\n")
    leave(tmp_path, WELL)
    assert ask(tmp_path, 0) == (0, "")


@pytest.mark.parametrize("report", OTHERS.values(), ids=OTHERS.keys())
def test_every_copy_counts(tmp_path: Path, report: dict[str, Any] | str) -> None:
    for number in range(12):
        leave(tmp_path / str(number), WELL)
    assert ask(tmp_path, 12) == (0, "")
    leave(tmp_path / "11", report)
    assert ask(tmp_path, 12) == (1, "1 of 12 jobs have not ended well: 11\n")
    assert ask(tmp_path, 11) == (0, "")
    assert ask(tmp_path, 19) == (1, "8 of 19 jobs have not ended well: 11, 12, 13, 14, 15, ...\n")


def test_ten_thousand_reports_take_seconds_at_most(tmp_path: Path) -> None:
    task = {"number": 0, "type": "basic", "exit_code": 0, "padding": "x" * 400}
    for number in range(10_000):
        leave(tmp_path / str(number), {**WELL, "tasks": [task], "outputs": [task]})
    start = time.monotonic()
    assert ask(tmp_path, 10_000) == (0, "")
    assert time.monotonic() - start < 5  # 0.5 on a machine that does nothing else
