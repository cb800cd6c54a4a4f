"""Exactly once, whatever is killed: real processes, real SIGKILL, at each line in turn."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from prominence_hpc.adapter.store.store import Store
from prominence_hpc.adapter.submission import SETTLE_SECONDS
from tests.unit.submission.fake_scheduler import FakeBackend, intend

ROOT = Path(__file__).parents[3]


@pytest.fixture
def fast_folder() -> Iterator[Path]:
    """In memory where there is such a place: hundreds of stores are flushed to it."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        yield Path(name)


def start(module: str, *arguments: object) -> "subprocess.Popen[str]":
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    return subprocess.Popen(
        [sys.executable, "-m", f"tests.unit.submission.{module}", *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
    )


def kill_everywhere(scenario: str, folder: Path) -> list[dict[str, Any]]:
    output, _ = start("kill_everywhere", scenario, folder).communicate()
    entries: list[dict[str, Any]] = json.loads(output)
    assert entries[-1]["killed"] is None  # the last run came to its end
    return entries


NOTHING: tuple[Any, Any, Any] = ([], 0, [])
ONE_JOB: tuple[Any, Any, Any] = ([["submitted", "1"]], 1, ["1"])


def left(entry: dict[str, Any]) -> tuple[Any, Any, Any]:
    return (entry["jobs"], entry["folders"], entry["taken"])


def test_a_command_killed_at_any_line_submits_once_or_never_began(fast_folder: Path) -> None:
    entries = kill_everywhere("create", fast_folder)

    outcomes = [left(entry) for entry in entries]
    ready = outcomes.index(ONE_JOB)
    assert all(outcome == NOTHING for outcome in outcomes[:ready])
    assert all(outcome == ONE_JOB for outcome in outcomes[ready:])
    # it was killed in every part: before and after the job was ready, in and after the submission
    places = [entry["killed"].split(":")[0] for entry in entries[:-1]]
    assert {"store.py", "state_folder.py", "submission.py"} <= set(places[:ready])
    assert {"fake_scheduler.py", "store.py", "submission.py"} <= set(places[ready:])


def test_a_recovery_killed_at_any_line_submits_once(fast_folder: Path) -> None:
    entries = kill_everywhere("recover", fast_folder)

    assert [left(entry) for entry in entries] == [ONE_JOB] * len(entries)
    assert {"fake_scheduler.py", "store.py", "submission.py"} <= {
        entry["killed"].split(":")[0] for entry in entries[:-1]
    }


def test_recoveries_at_once_submit_once(fast_folder: Path) -> None:
    state, scheduler = fast_folder / "state", fast_folder / "scheduler"
    state.mkdir()
    scheduler.mkdir()
    with Store(state) as store:
        jobs = [intend(store)[0].id for _ in range(5)]
        store.release(jobs, absent_since=1000)

        running = [start("recover_at_once", state, scheduler) for _ in range(4)]
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in running:
            assert process.stdin is not None
            process.stdin.write(f"{1000 + SETTLE_SECONDS}\n")
            process.stdin.flush()
        outputs = [process.communicate()[0] for process in running]

        assert [process.returncode for process in running] == [0] * 4
        submitted = [json.loads(output) for output in outputs]
        assert sum(len(outcomes) for outcomes in submitted) == 5
        assert len(FakeBackend(scheduler).submissions()) == 5
        assert all(record.state == "submitted" for record in store.select())
