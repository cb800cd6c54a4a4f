"""What each scheduler is told of retries, of waiting and of preemption, and how it says what came of it."""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import classad2
import htcondor2
import pytest

from prominence_hpc.backends.base import Cause, Condition
from prominence_hpc.backends.htcondor import HTCondorBackend
from prominence_hpc.backends.htcondor.parse import state_of
from prominence_hpc.backends.htcondor.render import submit_description
from prominence_hpc.backends.settings import SiteSettings
from prominence_hpc.backends.slurm import SlurmBackend
from prominence_hpc.backends.slurm.parse import parse_history, parse_queue
from prominence_hpc.backends.slurm.render import directives
from prominence_hpc.wrappers.report import RETRY_EXIT_CODE
from tests.unit.backends.helpers import FakePrograms, submission
from tests.unit.backends.local_jobs import Local

CLUSTER = SiteSettings(
    name="cluster",
    backend="slurm",
    directives=("--qos=normal",),
    preemptible_directives=("--qos=scavenger",),
)
POOL = SiteSettings(
    name="pool", backend="htcondor", preemptible_directives=("My.MayBePreempted = true",)
)
JOB = submission(Path("/home/a b/jobs/0/12"))  # of 2690 seconds
MANY = replace(JOB, maximum_retries=2, queue_limit_seconds=600)


def slurm(**fields: Any) -> list[str]:
    return directives(replace(JOB, **fields), CLUSTER)


def test_slurm_is_to_put_back_what_may_be_run_again_or_preempted() -> None:
    assert "#SBATCH --requeue" not in slurm()
    assert "#SBATCH --requeue" in slurm(maximum_retries=1)
    assert "#SBATCH --requeue" in slurm(preemptible=True)


def test_directives_for_preemption_come_last() -> None:
    assert slurm(preemptible=True)[-2:] == ["#SBATCH --qos=normal", "#SBATCH --qos=scavenger"]
    assert slurm()[-1] == "#SBATCH --qos=normal"
    assert "\nMy.MayBePreempted = true\nqueue\n" in submit_description(
        replace(JOB, preemptible=True), POOL
    )
    assert "MayBePreempted" not in submit_description(JOB, POOL)


@pytest.mark.parametrize(
    ("fields", "minutes"),
    [
        ({"queue_limit_seconds": 60}, 1 + 45),
        ({"queue_limit_seconds": 44640 * 60}, 44640 + 45),
        ({"queue_limit_seconds": 60, "limit_seconds": 60}, 2),
        # Time for every attempt, and for being put back: Slurm's deadline cannot be moved.
        ({"queue_limit_seconds": 600, "maximum_retries": 2}, 10 + 45 + 2 * (45 + 3)),
    ],
)
def test_a_deadline_leaves_time_to_run(fields: dict[str, Any], minutes: int) -> None:
    assert f"#SBATCH --deadline=now+{minutes}minutes" in slurm(**fields)
    assert not any("deadline" in line for line in slurm())


def test_a_job_that_waits_for_others_has_no_deadline() -> None:
    """It would count from submission, and the others may take days."""
    lines = slurm(queue_limit_seconds=60, after=("7", "8"))
    assert not any("--deadline" in line for line in lines)


def test_a_deadline_missed_in_the_queue_is_not_a_walltime_exceeded() -> None:
    waited = parse_queue("7|N/A|0|DEADLINE|100|100|0:1||DeadLine", ["7"])["7"]
    assert (waited.condition, waited.cause) == (Condition.ENDED, Cause.QUEUE_TIME)
    assert waited.start_time is None
    ran = parse_history("7|DEADLINE|100|200|0:15|node1|50|DeadLine", ["7"])["7"]
    assert ran.cause is Cause.WALLTIME


def test_the_node_can_find_the_programs_of_slurm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = FakePrograms(tmp_path / "opt slurm")
    programs.add("sbatch")
    monkeypatch.setenv("PATH", str(programs.folder))
    backend = SlurmBackend(CLUSTER)
    line = f"export PATH=\"$PATH\":'{programs.folder}'\n"
    assert line in backend.job_script(replace(JOB, maximum_retries=1))
    assert line not in backend.job_script(JOB)
    monkeypatch.setattr(
        "prominence_hpc.backends.slurm.backend.find_program", lambda _: "/usr/bin/x"
    )
    assert "export PATH" not in backend.job_script(replace(JOB, maximum_retries=1))


def evaluated(command: str, **attributes: int) -> bool:
    """An expression of the submit description, as HTCondor evaluates it in a job's record."""
    text = htcondor2.Submit(submit_description(MANY, POOL)).expand(command)
    ad = classad2.ClassAd(attributes)
    ad["Question"] = classad2.ExprTree(text)
    answer = ad.eval("Question")
    assert isinstance(answer, bool)
    return answer


@pytest.mark.parametrize(
    ("code", "completions", "over"),
    [
        (0, 1, True),
        (10, 1, True),
        (RETRY_EXIT_CODE, 1, False),
        (RETRY_EXIT_CODE, 2, False),
        (RETRY_EXIT_CODE, 3, True),
    ],
)
def test_htcondor_keeps_what_is_to_be_run_again(code: int, completions: int, over: bool) -> None:
    assert evaluated("on_exit_remove", ExitCode=code, NumJobCompletions=completions) is over
    assert evaluated("on_exit_remove", ExitSignal=9, NumJobCompletions=completions) is True


def test_htcondor_removes_what_is_idle_for_too_long() -> None:
    limit = {"ProminenceQueueLimitSeconds": 600}
    now = int(time.time())
    assert evaluated("periodic_remove", JobStatus=1, EnteredCurrentStatus=now - 700, **limit)
    assert not evaluated("periodic_remove", JobStatus=1, EnteredCurrentStatus=now - 500, **limit)
    assert not evaluated("periodic_remove", JobStatus=2, EnteredCurrentStatus=now - 700, **limit)
    assert "My.ProminenceQueueLimitSeconds = 600\n" in submit_description(MANY, POOL)
    assert "periodic_remove" not in submit_description(JOB, POOL)


def test_attempts_travel_home_in_a_folder_of_their_own() -> None:
    text = submit_description(MANY, POOL)
    assert "transfer_output_files = report.json, wrapper.log, attempts\n" in text
    assert "mkdir -p attempts" in HTCondorBackend(POOL).job_script(MANY)
    assert "attempts" not in submit_description(JOB, POOL) + HTCondorBackend(POOL).job_script(JOB)


# As HTCondor 25.14 has it.
REMOVED_BY_US = (
    "The job attribute PeriodicRemove expression '(JobStatus == 1) && "
    "(time() - EnteredCurrentStatus > ProminenceQueueLimitSeconds)' evaluated to TRUE"
)


def test_htcondors_reason_tells_who_removed_a_job() -> None:
    record = {"ClusterId": 1, "ProcId": 0, "JobStatus": 3, "NumJobStarts": 0}
    assert state_of({**record, "RemoveReason": REMOVED_BY_US}).cause is Cause.QUEUE_TIME
    other = "via condor_rm (by user alice)"
    assert state_of({**record, "RemoveReason": other}).cause is Cause.CANCELLED


@pytest.mark.parametrize(
    ("status", "starts", "restarts"), [(1, 0, 0), (1, 2, 2), (2, 1, 0), (2, 3, 2), (4, 2, 1)]
)
def test_htcondors_starts_are_counted_before_the_one_that_is_spoken_of(
    status: int, starts: int, restarts: int
) -> None:
    record = {"ClusterId": 1, "ProcId": 0, "JobStatus": status, "NumJobStarts": starts}
    assert state_of(record).restarts == restarts


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Local]:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # where python3 is no slow shim
    jobs = Local(tmp_path)
    yield jobs
    jobs.backend.cancel(jobs.handles)
    for handle in jobs.handles:
        jobs.ended(handle)


AGAIN = (
    f"import os, sys; print(os.environ['PROMINENCE_RESTART_COUNT']); sys.exit({RETRY_EXIT_CODE})"
)


def test_the_launcher_starts_again_what_asks_for_it(local: Local) -> None:
    handle = local.submit(AGAIN, maximum_retries=2)
    state = local.ended(handle)
    assert (state.cause, state.exit_code, state.restarts) == (Cause.EXITED, RETRY_EXIT_CODE, 2)
    assert (local.folder / "1/stdout").read_text() == "0\n1\n2\n"


def test_the_launcher_starts_nothing_again_that_may_not_be(local: Local) -> None:
    assert local.ended(local.submit(AGAIN)).restarts == 0
    assert local.ended(local.submit("import sys; sys.exit(1)", maximum_retries=2)).restarts == 0


def test_a_local_job_waits_no_longer_than_it_is_to(local: Local) -> None:
    local.take_slot()
    began = time.monotonic()
    state = local.ended(local.submit("", queue_limit_seconds=1))
    assert (state.cause, state.start_time) == (Cause.QUEUE_TIME, None)
    assert time.monotonic() - began >= 1


def test_local_jobs_of_higher_priority_start_earlier(local: Local) -> None:
    free = local.take_slot()
    low, none, high, again = (
        local.submit("import time; time.sleep(0.1)", priority=priority)
        for priority in (-5, None, 10**9, 10**9)
    )
    free()
    starts = [local.ended(handle).start_time or 0 for handle in (high, again, none, low)]
    assert starts == sorted(starts)


def test_a_dead_launcher_does_not_block_the_line(local: Local) -> None:
    free = local.take_slot()
    killed = local.submit("", priority=9)
    os.kill(local.record(killed).pid, signal.SIGKILL)
    free()
    assert local.ended(local.submit("")).cause is Cause.EXITED
    assert local.backend.poll([killed])[killed].cause is Cause.NODE_FAILURE
