"""What runs beside tasks: it lives until it is ended, whatever it starts, and nothing of it stays."""

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

import prominence_hpc
from tests.unit.wrappers.pythons import PYTHONS

SCENARIOS = Path(__file__).with_name("companions.py")
PATH = str(Path(prominence_hpc.__file__).parents[1])


@pytest.fixture(params=PYTHONS)
def python(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def scenario(name: str, folder: Path, python: str) -> Any:
    done = subprocess.run(
        [python, str(SCENARIOS), str(folder), name],
        env={**os.environ, "PYTHONPATH": PATH, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stderr == ""
    return json.loads(done.stdout)


def test_a_companion_and_all_it_started_outlive_a_task(tmp_path: Path, python: str) -> None:
    code, beside, exit_code, gone = scenario("outlives", tmp_path, python)
    assert code == 3
    assert [words for words in beside if words.isdigit()] == ["1001", "1002"]
    assert (exit_code, gone) == (143, True)


def test_one_that_ends_early_is_known_and_what_it_left_is_asked_to_end(
    tmp_path: Path, python: str
) -> None:
    assert scenario("early", tmp_path, python) == [0, 7, True, True, True]


def test_several_are_ended_at_once_politely_then_not(tmp_path: Path, python: str) -> None:
    assert scenario("stubborn", tmp_path, python) == [4, 137, True, True, True, 0]


def test_what_cannot_be_started_leaves_nothing(tmp_path: Path, python: str) -> None:
    assert scenario("absent", tmp_path, python) == [2, [], True]


def test_streams_of_its_own_and_waiting_for_its_end(tmp_path: Path, python: str) -> None:
    assert scenario("streams", tmp_path, python) == ["words\noops\n", 0, True]


def test_a_killed_keeper_costs_its_companion_and_nothing_else(tmp_path: Path, python: str) -> None:
    assert scenario("keeper_killed", tmp_path, python) == [0, 137, True]


def test_the_schedulers_signal_leaves_companions_to_the_wrapper(
    tmp_path: Path, python: str
) -> None:
    assert scenario("signalled", tmp_path, python) == [143, True, 9, True]


def test_they_do_not_outlive_a_killed_wrapper(tmp_path: Path, python: str) -> None:
    pids = scenario("abandoned", tmp_path, python)
    end = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < end, pids
        time.sleep(0.05)
    assert len(pids) >= 3
