"""The runner and its attempts: what is run again, how that is asked for, what is kept of each."""

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from prominence_hpc.wrappers import report as reports
from prominence_hpc.wrappers.runtime import exit_code
from tests.unit.wrappers.runs import Runs, artifact, ended, output, shell

SCONTROL = """\
#!/bin/sh
echo "$*" >> {calls}
{body}
"""


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    """As the launcher of local jobs starts it."""
    return Runs(tmp_path, environment={"PROMINENCE_RESTART_COUNT": "0"})


def scontrol(runs: Runs, body: str = "") -> Path:
    calls = runs.folder / "calls"
    program = runs.folder / "bin/scontrol"
    program.write_text(SCONTROL.format(calls=calls, body=body))
    program.chmod(0o755)
    runs.environment = {"SLURM_JOB_ID": "4711"}
    return calls


def told(report: reports.Report) -> tuple[Any, ...]:
    return report["phase"], report["outcome"], report["cause"], report["retries_left"]


def test_the_exit_code_is_what_backends_know() -> None:
    assert exit_code.RETRY_EXIT_CODE == reports.RETRY_EXIT_CODE
    assert exit_code.TASK_EXIT_CODE == reports.TASK_EXIT_CODE
    assert reports.RETRY_EXIT_CODE not in (*exit_code.EXIT.values(), exit_code.TASK_EXIT_CODE)


def test_a_failing_task_is_run_again(runs: Runs) -> None:
    report = runs.run(shell("exit 3"), maximum_retries=2)
    assert told(report) == ("retrying", "completed", "task", 2)
    assert runs.code == reports.RETRY_EXIT_CODE
    assert runs.left_over() == []


def test_infrastructure_is_told_from_tasks(runs: Runs) -> None:
    report = runs.run(shell("true"), maximum_retries=1, artifacts=(artifact("absent"),))
    assert ended(report) == ("failed", "Artifact download failed")
    assert told(report) == ("retrying", "failed", "infrastructure", 1)
    report = runs.run(shell("true"), maximum_retries=1, outputs=(output("absent"),))
    assert report["cause"] == "infrastructure"
    report = runs.run(shell("exit 1"), maximum_retries=1, outputs=(output("absent"),))
    assert (report["phase"], report["cause"]) == ("retrying", "task")


@pytest.mark.parametrize("tolerant", ["ignore_task_failures", "report_job_success_on_task_failure"])
def test_a_failure_that_is_none_is_not_retried(runs: Runs, tolerant: str) -> None:
    report = runs.run(shell("exit 3"), maximum_retries=2, **{tolerant: True})
    assert told(report) == ("finished", "completed", "", 0)
    assert runs.code == 0


def test_limits_and_success_are_not_retried(runs: Runs) -> None:
    assert told(runs.run(shell("true"), maximum_retries=2)) == ("finished", "completed", "", 0)
    report = runs.run(
        shell("exec sleep 60"),
        maximum_retries=2,
        walltime_seconds=1,
        limit_seconds=60,
        reserve_seconds=2,
    )
    assert told(report) == ("finished", "killed", "limit", 0)


def test_the_schedulers_signal_is_not_retried(runs: Runs) -> None:
    with runs.start(shell("echo up; exec sleep 100"), maximum_retries=2) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()
        runs.finish(process)
    assert told(runs.report()) == ("finished", "killed", "scheduler", 0)


def test_a_job_that_is_run_by_hand_is_run_once(runs: Runs) -> None:
    runs.environment = {}
    assert told(runs.run(shell("exit 3"), maximum_retries=2))[0] == "finished"
    assert runs.code == 0


def test_a_start_that_comes_too_late_ends_at_once(runs: Runs) -> None:
    report = runs.run(shell("echo never"), maximum_retries=2, start_before=1.0)
    assert ended(report) == ("failed", "Maximum time in queue exceeded")
    assert told(report)[:3] == ("finished", "failed", "limit")
    assert runs.stdout == ""
    runs.environment = {"PROMINENCE_RESTART_COUNT": "1"}
    assert ended(runs.run(shell("true"), start_before=1.0)) == ("completed", "")


SQUEUE = """\
#!/bin/sh
[ "$SLURM_TIME_FORMAT $*" = "%s --noheader --jobs=70_3 --Format=EligibleTime" ] && echo {said}
"""


@pytest.mark.parametrize(
    ("said", "outcome", "reason"),
    [
        ("$(( $(date +%s) - 200 ))", "failed", "Maximum time in queue exceeded"),
        ("$(( $(date +%s) - 20 ))", "completed", ""),
        ("N/A", "completed", ""),
    ],
    ids=["late", "in time", "not known"],
)
def test_the_time_of_a_job_that_waited_for_others_begins_after_them(
    runs: Runs, said: str, outcome: str, reason: str
) -> None:
    program = runs.folder / "bin/squeue"
    program.write_text(SQUEUE.format(said=said))
    program.chmod(0o755)
    runs.environment = {
        "SLURM_JOB_ID": "70",
        "SLURM_ARRAY_JOB_ID": "70",
        "SLURM_ARRAY_TASK_ID": "3",
    }
    assert ended(runs.run(shell("true"), queue_seconds=100)) == (outcome, reason)


@pytest.mark.parametrize(("seconds", "outcome"), [(200, "failed"), (20, "completed")])
def test_on_htcondor_it_begins_with_the_submission_by_dagman(
    runs: Runs, seconds: int, outcome: str
) -> None:
    record = runs.folder / "job-ad"
    record.write_text(f"QDate = {int(time.time()) - seconds}\nNumJobStarts = 0\n")
    runs.environment = {"_CONDOR_JOB_AD": str(record)}
    assert ended(runs.run(shell("true"), queue_seconds=100))[0] == outcome


def test_what_an_attempt_left_is_put_aside_by_the_next(runs: Runs) -> None:
    job = runs.folder / "job"
    for number in range(3):
        runs.environment = {"PROMINENCE_RESTART_COUNT": str(number)}
        runs.run_into_files(
            shell(f"echo out {number}; echo err {number} >&2; exit {number + 1}"), maximum_retries=2
        )
    assert (job / "stdout").read_text() == "out 2\n"
    assert (job / "stderr").read_text() == "err 2\n"
    assert told(runs.report()) == ("finished", "completed", "task", 0)
    assert runs.code == 0
    assert {path.name for path in (job / "attempts").iterdir()} == {"1", "2"}
    for number in range(2):
        kept = job / "attempts" / str(number + 1)
        assert (kept / "stdout").read_text() == f"out {number}\n"
        assert (kept / "stderr").read_text() == f"err {number}\n"
        assert "job 7 begins" in (kept / "wrapper.log").read_text()
        document = json.loads((kept / "report.json").read_text())
        assert document["attempt"] == number
        assert document["tasks"][0]["exit_code"] == number + 1
        assert {path.stat().st_mode & 0o077 for path in kept.iterdir()} == {0}


def test_an_attempt_that_was_put_back_by_the_scheduler_is_none_of_the_retries(runs: Runs) -> None:
    """Preempted first, then a node that died: the one costs nothing, the other a retry."""
    job = runs.folder / "job"
    with runs.start(shell("echo up; exec sleep 100"), maximum_retries=2) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()
        runs.finish(process)
    runs.environment = {"PROMINENCE_RESTART_COUNT": "1"}
    with runs.start(shell("echo up; exec sleep 1"), maximum_retries=2) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        runs.finish(process)
    runs.environment = {"PROMINENCE_RESTART_COUNT": "2"}
    report = runs.run(shell("exit 3"), maximum_retries=2)
    assert told(report) == ("retrying", "completed", "task", 1)
    assert {path.name for path in (job / "attempts").iterdir()} == {"1", "2"}


def test_slurm_is_asked_last_of_all(runs: Runs) -> None:
    calls = scontrol(runs, "kill -TERM $PPID; ls {}".format(runs.folder / "scratch"))
    report = runs.run(shell("exit 3"), maximum_retries=2)
    assert told(report) == ("retrying", "completed", "task", 2)
    assert calls.read_text().splitlines() == [
        "requeue 4711",
        "update JobId=4711 StartTime=now+6",
    ]


def test_where_slurm_refuses_the_attempt_was_the_last(runs: Runs) -> None:
    scontrol(runs, "echo 'Requested operation is presently disabled for job 4711' >&2; exit 1")
    report = runs.run(shell("exit 3"), maximum_retries=2)
    assert told(report) == ("finished", "completed", "task", 0)
    assert runs.code == 0
    assert report["detail"] == (
        "Slurm did not take the job back into its queue: Requested operation is presently "
        "disabled for job 4711."
    )
    (runs.folder / "bin/scontrol").unlink()
    report = runs.run(shell("exit 3"), maximum_retries=2, artifacts=(artifact("absent"),))
    assert ended(report) == ("failed", "Artifact download failed")
    assert "scontrol: No such file or directory." in report["detail"]
    assert runs.code == 10


def test_on_htcondor_an_attempt_leaves_its_files_where_the_next_ones_do_not_lie(
    runs: Runs,
) -> None:
    """Every start has a folder of its own; HTCondor's count of ended attempts is what counts."""
    ad = runs.folder / "ad"
    runs.environment = {"_CONDOR_JOB_AD": str(ad)}
    ad.write_text("NumJobStarts = 4\nNumJobCompletions = 1\n")
    runs.run_into_files(shell("echo said; exit 3"), maximum_retries=2)
    assert told(runs.report()) == ("retrying", "completed", "task", 1)
    assert runs.code == reports.RETRY_EXIT_CODE
    kept = runs.folder / "job/attempts/5"
    assert (kept / "stdout").read_text() == (runs.folder / "job/stdout").read_text() == "said\n"
    assert (kept / "report.json").read_text() == (runs.folder / "job/report.json").read_text()
    ad.write_text("NumJobStarts = 5\nNumJobCompletions = 2\n")
    runs.run_into_files(shell("exit 3"), maximum_retries=2)
    assert told(runs.report())[0] == "finished"
