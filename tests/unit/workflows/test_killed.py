"""Exactly once each part, whatever is killed: real processes, real SIGKILL, at each line in turn."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]

NOTHING = {
    "workflows": [],
    "jobs": 0,
    "handles": [],
    "deleted": [],
    "folders": 0,
    "taken": [],
    "cancelled": [],
}
ALL = {
    "workflows": [["submitted", False]],
    "jobs": 7,
    "handles": ["1", "2", "3"],
    "deleted": [False],
    "folders": 1,
    "taken": ["1", "2", "3"],
    "cancelled": [],
}


@pytest.fixture
def fast_folder() -> Iterator[Path]:
    """In memory where there is such a place: hundreds of stores are flushed to it."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        yield Path(name)


def kill_everywhere(scenario: str, folder: Path) -> list[dict[str, Any]]:
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.workflows.kill_everywhere", scenario, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        check=True,
    )
    entries: list[dict[str, Any]] = json.loads(done.stdout)
    assert entries[-1].pop("killed") is None  # the last run came to its end
    return entries


def places(entries: list[dict[str, Any]]) -> set[str]:
    return {entry.pop("killed").split(":")[0] for entry in entries}


def test_a_run_killed_at_any_line_submits_each_part_once_or_never_began(fast_folder: Path) -> None:
    *killed, whole = kill_everywhere("create", fast_folder)
    names = [entry.pop("killed") for entry in killed]
    ready = killed.index(ALL)
    assert all(entry == NOTHING for entry in killed[:ready])
    assert all(entry == ALL for entry in [*killed[ready:], whole])
    # it was killed in every part: before and after the workflow was ready, in and after the submission
    assert {"workflows.py", "state_folder.py"} <= {name.split(":")[0] for name in names[:ready]}
    after = {name.split(":")[0] for name in names[ready:]}
    assert {"fake_scheduler.py", "workflows.py", "submit.py"} <= after


def test_a_recovery_killed_at_any_line_submits_each_part_once(fast_folder: Path) -> None:
    *killed, whole = kill_everywhere("recover", fast_folder)
    assert {"fake_scheduler.py", "workflows.py", "recover.py"} <= places(killed)
    assert [entry for entry in [*killed, whole] if entry != ALL] == []


def test_a_refusal_killed_at_any_line_leaves_no_job_behind(fast_folder: Path) -> None:
    """Either it never was, or it was cut short before the refusal and is whole later, or all is cancelled."""
    *killed, whole = kill_everywhere("refused", fast_folder)
    assert "submit.py" in places(killed)
    assert whole == {**NOTHING, "taken": ["1", "2"], "cancelled": ["1", "2"]}
    for entry in killed:
        taken_back = set(entry["taken"]) <= set(entry["cancelled"])
        gone_or_deleted = entry["workflows"] == [] or entry["deleted"] == [True]
        assert entry == ALL or (taken_back and gone_or_deleted), entry
