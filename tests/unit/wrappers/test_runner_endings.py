"""How jobs end before their time: limits, signals, processes that stay behind."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from prominence_hpc.wrappers.report import RETRY_EXIT_CODE
from tests.unit.wrappers.runs import Runs, artifact, ended, output, shell, until
from tests.unit.wrappers.servers import Handler, serving


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


def test_walltime(runs: Runs) -> None:
    start = time.monotonic()
    report = runs.run(
        shell(
            f"trap '' TERM; echo kept > f; setsid sleep 7{os.getpid()} & while :; do sleep 0.1; done"
        ),
        walltime_seconds=3,  # time for the task to set its trap, on a busy machine too
        limit_seconds=12,
        reserve_seconds=4,
        outputs=(output("f"), output("absent")),
    )
    assert ended(report) == ("killed", "Walltime limit exceeded")
    assert [entry["exit_code"] for entry in report["tasks"]] == [137]
    assert runs.result("f") == b"kept\n"
    assert runs.code == 11
    assert time.monotonic() - start < 20
    assert not running(f"sleep\0007{os.getpid()}")


def test_time_kept_for_stage_out_ends_the_tasks_too(runs: Runs) -> None:
    times = {"walltime_seconds": 1000, "limit_seconds": 24, "reserve_seconds": 20}
    report = runs.run(shell("echo kept > f; exec sleep 100"), outputs=(output("f"),), **times)
    assert ended(report) == ("killed", "Walltime limit exceeded")
    assert [entry["exit_code"] for entry in report["tasks"]] == [143]
    assert runs.result("f") == b"kept\n"


def running(words: str) -> bool:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if words in path.read_bytes().decode(errors="replace"):
                return True
        except OSError:
            continue
    return False


def test_processes_that_a_task_leaves_are_gone_before_stage_out(runs: Runs) -> None:
    detached = "(setsid sh -c 'while :; do echo x >> f; sleep 0.02; done' &) ; sleep 0.1"
    report = runs.run(shell(detached), outputs=(output("f"),))
    assert ended(report) == ("completed", "")
    assert not running("do echo x >> f; sleep 0.02; done")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_schedulers_signal_during_a_task(number: int, runs: Runs) -> None:
    waiting = shell("trap 'echo saved > state; exit 5' TERM; echo up; sleep 100 & wait")
    with runs.start(waiting, shell("echo never"), outputs=(output("state"),)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        assert runs.report()["phase"] == "tasks"
        process.send_signal(number)
        runs.finish(process)
    report = runs.report()
    assert ended(report) == ("killed", "Job was cancelled or preempted")
    assert report["detail"] == f"The scheduler ended the job ({signal.Signals(number).name})."
    assert [entry["exit_code"] for entry in report["tasks"]] == [5]
    assert runs.result("state") == b"saved\n"
    assert (runs.code, runs.stdout) == (11, "")
    assert runs.left_over() == []


def test_a_signal_near_the_limit_is_the_limit(runs: Runs) -> None:
    times = {"walltime_seconds": 1000, "limit_seconds": 12, "reserve_seconds": 1}
    with runs.start(shell("echo up; exec sleep 100"), **times) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()
        runs.finish(process)
    assert ended(runs.report()) == ("killed", "Walltime limit exceeded")


def test_the_schedulers_signal_during_stage_in(runs: Runs) -> None:
    def hang(_request: Handler) -> None:
        time.sleep(1)

    with serving(hang) as server:
        data = (artifact("a", source=server.url), artifact("b", source=server.url))
        with runs.start(shell("echo never"), artifacts=data) as process:
            until(lambda: server.seen)
            assert runs.report()["phase"] == "stage-in"
            process.terminate()
            runs.finish(process)
    assert ended(runs.report()) == ("killed", "Job was cancelled or preempted")
    assert (runs.code, runs.stdout) == (11, "")
    assert runs.left_over() == []


def test_signals_that_warn_do_no_harm(runs: Runs) -> None:
    with runs.start(shell("echo up; sleep 0.3")) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGUSR1)
        runs.finish(process)
    assert ended(runs.report()) == ("completed", "")


@pytest.mark.parametrize(
    ("text", "fields", "plain", "strict"),
    [
        ("true", {}, 0, 0),
        ("exit 3", {}, 0, 13),
        ("exit 3", {"report_job_success_on_task_failure": True}, 0, 0),
        ("exit 3", {"outputs": (output("absent"),)}, 10, 10),
        ("true", {"artifacts": (artifact("absent"),)}, 10, 10),
        ("kill -TERM $PPID; sleep 60", {}, 11, 11),
        ("true", {"shared_scratch": 7}, 1, 1),  # the wrapper itself fails
    ],
)
def test_the_exit_code_is_as_the_plan_wants_it(
    runs: Runs, text: str, fields: dict[str, Any], plain: int, strict: int
) -> None:
    found = []
    for kind in ("plain", "strict", "silent"):
        runs.environment = {"SLURM_JOB_NUM_NODES": "2"}
        runs.run(shell(text), exit_code=kind, **fields)
        found.append(runs.code)
    assert found == [plain, strict, 0]


def test_another_attempt_is_asked_for_whatever_the_plan_wants(runs: Runs) -> None:
    runs.environment = {"PROMINENCE_RESTART_COUNT": "0"}
    for kind in ("plain", "strict", "silent"):
        runs.run(shell("exit 3"), exit_code=kind, maximum_retries=1)
        assert runs.code == RETRY_EXIT_CODE


def test_a_wrapper_that_cannot_report_is_silent_too(runs: Runs) -> None:
    (runs.folder / "job/report.json").mkdir()
    for kind, code in (("plain", 1), ("silent", 0)):
        with runs.start(shell("true"), exit_code=kind) as process:
            runs.finish(process)
        assert runs.code == code
        assert "Is a directory" in runs.stderr
