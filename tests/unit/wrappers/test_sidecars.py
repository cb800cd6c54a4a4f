"""Sidecars by the packed runner: beside the tasks, ended with them, no part of the job's verdict."""

import dataclasses
import os
import signal
from typing import Any

import pytest

from prominence_hpc.wrappers import plan as plans
from prominence_hpc.wrappers import report as reports
from tests.unit.wrappers.runs import Runs, ended, output, shell, until
from tests.unit.wrappers.test_runner_endings import running


@pytest.fixture
def runs(tmp_path: Any) -> Runs:
    return Runs(tmp_path)


def sidecar(text: str, **fields: Any) -> plans.Task:
    return dataclasses.replace(shell(text), type="sidecar", **fields)


MARK = str(os.getpid())  # in command lines that are looked for: other runs may be on this machine
WAIT = "while [ ! -e up ]; do sleep 0.02; done; "


def test_begun_first_ended_last_and_reported_in_the_order_of_tasks(runs: Runs) -> None:
    report = runs.run(
        shell(WAIT + "echo one; (sleep 4321 &)"),
        sidecar(
            "trap 'echo saved > state; exit 9' TERM; echo said; echo moaned >&2;"
            f" sh -c 'sleep 2{MARK}' & echo $APPTAINERENV_PROMINENCE_TASK_NUM $APPTAINERENV_WORD > up; wait",
            environment={"WORD": "w"},
        ),
        shell(
            f"cat up; pgrep -fx 'sleep 1{MARK}'; pgrep -fx 'sleep 2{MARK}' > /dev/null && echo there"
        ),
        outputs=(output("state"),),
    )
    assert ended(report) == ("completed", ""), runs.log() + runs.stderr
    assert runs.stdout == "one\n1 w\nthere\n"
    assert runs.stderr == ""
    assert runs.result("state") == b"saved\n"
    entries = report["tasks"]
    assert [(entry["number"], entry["type"], entry["exit_code"]) for entry in entries] == [
        (0, "basic", 0),
        (1, "sidecar", 9),
        (2, "basic", 0),
    ]
    assert entries[1]["ended_early"] is False
    assert (entries[1]["output_bytes"], entries[1]["output_tail"]) == (12, "said\nmoaned\n")
    assert entries[1]["wall_time"] > entries[2]["wall_time"]
    assert not running(f"sleep\0002{MARK}")
    assert runs.left_over() == []


def test_one_that_ends_early_or_cannot_be_run_fails_nothing(runs: Runs) -> None:
    lines = "for i in $(seq 2000); do echo line $i; done"
    report = runs.run(
        sidecar(f"{lines}; echo > up; exit 5"),
        sidecar("echo kept; echo apart >&2", stdout="side/out"),
        sidecar("exec /nonexistent"),
        shell(WAIT + "while [ ! -s side/out ]; do sleep 0.02; done; sleep 0.3; cat side/out"),
        shell("exit 3"),
        shell("echo never"),
    )
    assert ended(report) == ("completed", "")
    assert runs.stdout == "kept\n"
    entries = report["tasks"]
    assert [entry["exit_code"] for entry in entries] == [5, 0, 127, 0, 3]
    assert [entry["ended_early"] for entry in entries[:3]] == [True, True, True]
    assert entries[1]["output_tail"] == "apart\n"
    tail = entries[0]["output_tail"]
    assert entries[0]["output_bytes"] > 10000
    assert len(tail) < 4096
    assert tail.startswith("line ")
    assert tail.endswith("line 2000\n")
    assert [task["number"] for task in reports.failed_tasks(report)] == [4]


def test_retries_and_ignored_failures_are_of_tasks_alone(runs: Runs) -> None:
    report = runs.run(
        sidecar("echo x >> ran; exit 1"),
        shell("while [ ! -e ran ]; do sleep 0.02; done; echo y >> tries; [ $(wc -l < tries) = 3 ]"),
        shell("exit 4"),
        shell("wc -l < ran"),
        task_retries=2,
        ignore_task_failures=True,
    )
    assert [(entry["exit_code"], entry["retries"]) for entry in report["tasks"]] == [
        (1, 0),
        (0, 2),
        (4, 2),
        (0, 0),
    ]
    assert runs.stdout == "1\n"


DEAF = "trap '' TERM; echo > up; while :; do sleep 0.1; done; : {}"


def test_walltime_and_a_deaf_sidecar(runs: Runs) -> None:
    report = runs.run(
        sidecar(DEAF.format(f"walltime-{MARK}")),
        shell(WAIT + "sleep 100"),
        walltime_seconds=2,
        limit_seconds=40,
        reserve_seconds=10,
        outputs=(output("up"),),
    )
    assert ended(report) == ("killed", "Walltime limit exceeded")
    assert [entry["exit_code"] for entry in report["tasks"]] == [137, 143]
    assert not running(f"walltime-{MARK}")
    assert runs.result("up") == b"\n"


def test_the_schedulers_signal_ends_sidecars_after_the_task(runs: Runs) -> None:
    beside = sidecar(f"trap 'ls > seen; exit 8' TERM; echo > up; sleep 3{MARK} & wait")
    main = shell(WAIT + "trap 'echo > task-over; exit 5' TERM; echo ready; sleep 100 & wait")
    with runs.start(beside, main, outputs=(output("seen"),)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        runs.finish(process)
    report = runs.report()
    assert ended(report) == ("killed", "Job was cancelled or preempted")
    assert [entry["exit_code"] for entry in report["tasks"]] == [8, 5]
    assert report["tasks"][0]["ended_early"] is False
    assert b"task-over" in runs.result("seen")
    assert not running(f"sleep\0003{MARK}")


def test_what_a_sidecar_asks_for_and_cannot_have_fails_the_job(runs: Runs) -> None:
    report = runs.run(
        sidecar(f"echo > up; sleep 4{MARK}"), sidecar("true", stdout="/etc/x"), shell("echo never")
    )
    assert ended(report) == ("failed", "Task could not be started")
    assert runs.stdout == ""
    assert not running(f"sleep\0004{MARK}")


def test_it_goes_when_the_wrapper_is_killed(runs: Runs) -> None:
    with runs.start(
        sidecar(f"echo > up; exec sleep 5{MARK}"), shell(WAIT + "echo up; sleep 10")
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.kill()
    until(lambda: not running(f"sleep\0005{MARK}"))
