"""Submissions of many jobs, and such that wait for others, on this machine with real processes."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from prominence_hpc.backends.base import Cause, Condition, Copies, SchedulerState
from prominence_hpc.wrappers import plan as plans
from prominence_hpc.wrappers.report import RETRY_EXIT_CODE, TASK_EXIT_CODE
from tests.unit.backends.helpers import submission
from tests.unit.backends.local_jobs import Local
from tests.unit.wrappers.conftest import a_plan
from tests.unit.wrappers.runs import Runs

# What stands for the runner: its number, and what is to become of it.
NUMBERED = "import os, sys, time\nnumber = int(sys.argv[2])\nhere = os.path.dirname(sys.argv[1])\n"
# Runs until there is a file "go" in the folder of the copy, or of all.
WAITS = (
    NUMBERED
    + "while not any(map(os.path.exists, (f'{here}/go', f'{here}/{number}/go'))): time.sleep(0.01)\n"
)


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Local]:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # where python3 is no slow shim
    jobs = Local(tmp_path, slots=2)
    yield jobs
    jobs.backend.cancel(jobs.handles)
    for handle in jobs.handles:
        jobs.ended(handle)


def states(local: Local, handle: str, count: int) -> list[SchedulerState]:
    handles = [local.backend.copy_handle(handle, number) for number in range(count)]
    found = local.backend.poll(handles)
    return [found[item] for item in handles]


def conditions(local: Local, handle: str, count: int) -> list[str]:
    return [state.condition.name for state in states(local, handle, count)]


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def ends(found: Sequence[SchedulerState]) -> list[tuple[Cause, int | None]]:
    assert {state.condition for state in found} <= {Condition.ENDED}
    return [(state.cause, state.exit_code) for state in found]


def release(folder: Path) -> None:
    """Let those end that wait for this, whether they have come so far as to make their folder or not."""
    folder.mkdir(exist_ok=True)
    (folder / "go").touch()


WELL = (Cause.EXITED, 0)


def test_each_copy_runs_in_its_own_folder(local: Local) -> None:
    before = time.time()
    code = (
        NUMBERED
        + "print(number, sys.argv[1]); print('e', file=sys.stderr); sys.exit(number == 102)"
    )
    handle = local.submit(code, copies=Copies(first=100, count=5))
    whole = local.ended(handle)
    assert (whole.cause, whole.exit_code) == (Cause.EXITED, 1)
    found = states(local, handle, 5)
    assert ends(found) == [WELL, WELL, (Cause.EXITED, 1), WELL, WELL]
    for state in found:
        assert state.start_time is not None
        assert state.end_time is not None
        assert before <= state.start_time <= state.end_time <= time.time()
        assert state.nodes == (os.uname().nodename,)
    plan = local.folder / "1/plan.json"
    for number in range(100, 105):
        folder = local.folder / "1" / str(number)
        assert (folder / "stdout").read_text() == f"{number} {plan}\n"
        assert b"".join(local.backend.output(handle, folder, "stderr")) == b"e\n"
    assert local.backend.find([handle, "f" * 32]) == {handle: handle}
    assert local.backend.poll([f"{handle}.5"])[f"{handle}.5"].condition is Condition.ABSENT


def test_copies_start_in_their_order_as_slots_become_free(local: Local) -> None:
    handle = local.submit(WAITS, copies=Copies(first=0, count=5))
    running = ["RUNNING", "RUNNING", "QUEUED", "QUEUED", "QUEUED"]
    until(lambda: conditions(local, handle, 5) == running)
    assert local.state(handle).condition is Condition.RUNNING
    assert not (local.folder / "1/2").exists()
    release(local.folder / "1/1")
    until(lambda: conditions(local, handle, 5) == ["RUNNING", "ENDED", "RUNNING", *running[2:4]])
    release(local.folder / "1")
    assert local.ended(handle).exit_code == 0
    assert ends(states(local, handle, 5)) == [WELL] * 5
    assert local.record(handle).count == 5


def test_a_submission_keeps_few_files(local: Local) -> None:
    handle = local.submit(NUMBERED, copies=Copies(first=0, count=40))
    local.ended(handle)
    assert {path.name for path in local.record_path(handle).parent.iterdir()} == {
        handle,
        f"{handle}.copies",
    }
    kept = {path.name for path in (local.folder / "1").iterdir() if not path.is_dir()}
    assert kept == {"plan.json", "runner.pyz", "job.sh", "local.json"}


def test_a_copy_is_run_again_where_it_asks_for_it(local: Local) -> None:
    code = NUMBERED + (
        "restarts = int(os.environ['PROMINENCE_RESTART_COUNT'])\n"
        f"sys.exit({RETRY_EXIT_CODE} if number == 1 or (number == 2 and not restarts) else 0)\n"
    )
    handle = local.submit(code, copies=Copies(first=0, count=3), maximum_retries=2)
    assert local.ended(handle).exit_code == 1
    found = states(local, handle, 3)
    assert [state.restarts for state in found] == [0, 2, 1]
    assert ends(found) == [WELL, (Cause.EXITED, RETRY_EXIT_CODE), WELL]


def test_some_copies_are_cancelled(local: Local) -> None:
    handle = local.submit(WAITS, copies=Copies(first=10, count=5))
    until(lambda: conditions(local, handle, 2) == ["RUNNING", "RUNNING"])
    local.backend.cancel([f"{handle}.{number}" for number in (1, 3)])
    until(lambda: conditions(local, handle, 4) == ["RUNNING", "ENDED", "RUNNING", "ENDED"])
    local.backend.cancel([f"{handle}.1", f"{handle}.3", f"{handle}.99"])  # are over: no error
    local.backend.cancel([f"{handle}.4"])
    until(lambda: conditions(local, handle, 5)[4] == "ENDED")
    release(local.folder / "1")
    whole = local.ended(handle)
    assert (whole.cause, whole.exit_code) == (Cause.EXITED, 1)
    cancelled = (Cause.CANCELLED, None)
    found = states(local, handle, 5)
    assert ends(found) == [WELL, cancelled, WELL, cancelled, cancelled]
    assert [state.start_time is None for state in found] == [False, False, False, True, True]


def test_all_copies_are_cancelled(local: Local) -> None:
    handle = local.submit(WAITS, copies=Copies(first=0, count=1000))
    until(lambda: conditions(local, handle, 2) == ["RUNNING", "RUNNING"])
    local.backend.cancel([handle])
    assert local.ended(handle).cause is Cause.CANCELLED
    found = states(local, handle, 1000)
    assert ends(found) == [(Cause.CANCELLED, None)] * 1000
    assert [state.nodes for state in found[1:3]] == [(os.uname().nodename,), ()]
    lines = local.record_path(handle).with_name(f"{handle}.copies").read_text().splitlines()
    assert len(lines) == 4  # however many there were


def test_a_copys_time_is_limited(local: Local) -> None:
    code = NUMBERED + "time.sleep(60 if number == 1 else 0)"
    handle = local.submit(code, copies=Copies(first=0, count=3), limit_seconds=1)
    local.ended(handle)
    assert ends(states(local, handle, 3)) == [WELL, (Cause.WALLTIME, None), WELL]


def test_copies_that_have_waited_too_long_are_not_run(local: Local) -> None:
    handle = local.submit(WAITS, copies=Copies(first=0, count=4), queue_limit_seconds=1)
    until(lambda: conditions(local, handle, 4) == ["RUNNING", "RUNNING", "ENDED", "ENDED"])
    release(local.folder / "1")
    assert local.ended(handle).cause is Cause.QUEUE_TIME
    late = (Cause.QUEUE_TIME, None)
    assert ends(states(local, handle, 4)) == [WELL, WELL, late, late]


def test_a_job_of_higher_priority_comes_between(local: Local) -> None:
    first = local.submit(WAITS, copies=Copies(first=0, count=4))
    until(lambda: conditions(local, first, 2) == ["RUNNING", "RUNNING"])
    low = local.submit("import time; time.sleep(0.05)", priority=-1)
    high = local.submit("import time; time.sleep(0.05)", priority=1)
    release(local.folder / "1/1")
    until(lambda: conditions(local, first, 3)[2] == "RUNNING")
    assert local.state(low).condition is Condition.QUEUED
    release(local.folder / "1")
    local.ended(first)
    starts = [local.ended(high).start_time]
    starts += [state.start_time for state in states(local, first, 4)[2:]]
    starts += [local.ended(low).start_time]
    assert starts == sorted(starts, key=lambda start: start or 0)


def test_a_launcher_that_was_killed(local: Local) -> None:
    handle = local.submit(WAITS, copies=Copies(first=0, count=4))
    release(local.folder / "1/0")
    until(lambda: conditions(local, handle, 4) == ["ENDED", "RUNNING", "RUNNING", "QUEUED"])
    os.kill(local.record(handle).pid, signal.SIGKILL)
    until(lambda: local.state(handle).condition is Condition.ENDED)
    gone = (Cause.NODE_FAILURE, None)
    assert ends(states(local, handle, 4)) == [WELL, gone, gone, gone]
    release(local.folder / "1")


def test_thousands_are_asked_for_at_once(local: Local) -> None:
    handle = local.submit(NUMBERED, copies=Copies(first=0, count=1))
    local.ended(handle)
    record = local.record_path(handle)
    record.write_text(json.dumps(json.loads(record.read_text()) | {"count": 10_000}))
    line = record.with_name(f"{handle}.copies").read_text().splitlines()[-1]
    lines = [json.dumps([number, *json.loads(line)[1:]]) for number in range(10_000)]
    record.with_name(f"{handle}.copies").write_text("\n".join(lines + lines) + "\n[12")
    start = time.monotonic()
    assert ends(states(local, handle, 10_000)) == [WELL] * 10_000
    assert time.monotonic() - start < 3  # 0.2 on a machine that does nothing else


def test_one_submission_waits_for_others(local: Local) -> None:
    first = local.submit(WAITS.replace("sys.argv[2]", "0"))
    second = local.submit(WAITS, copies=Copies(first=0, count=2))
    last = local.submit(NUMBERED, copies=Copies(first=0, count=2), after=(first, second))
    release(local.folder / "1")
    assert local.ended(first).exit_code == 0
    until(lambda: conditions(local, second, 2) == ["RUNNING", "RUNNING"])
    release(local.folder / "2/0")
    until(lambda: conditions(local, second, 2) == ["ENDED", "RUNNING"])
    assert conditions(local, last, 2) == ["QUEUED", "QUEUED"]
    release(local.folder / "2")
    assert local.ended(last).exit_code == 0
    over = [state.end_time or 0 for state in states(local, second, 2)]
    assert max(over) <= min(state.start_time or 0 for state in states(local, last, 2))


@pytest.mark.parametrize(
    "code", ["sys.exit(number == 1)", "if number: os.kill(os.getpid(), 9)"], ids=["exit", "signal"]
)
def test_nothing_is_run_after_what_has_failed(local: Local, code: str) -> None:
    parent = local.submit(NUMBERED + code, copies=Copies(first=0, count=2))
    child = local.submit(NUMBERED, copies=Copies(first=0, count=3), after=(parent,))
    grandchild = local.submit("print('never')", after=(child,))
    assert local.ended(grandchild).cause is Cause.DEPENDENCY
    assert local.ended(child).cause is Cause.DEPENDENCY
    found = states(local, child, 3)
    assert ends(found) == [(Cause.DEPENDENCY, None)] * 3
    assert {state.start_time for state in found} == {None}
    assert not (local.folder / "2/0").exists()
    assert not (local.folder / "3/stdout").exists()


def test_one_failure_is_enough(local: Local) -> None:
    """The other parent goes on; nobody waits for it any more."""
    slow = local.submit(WAITS.replace("sys.argv[2]", "0"))
    wrong = local.submit("import sys; sys.exit(13)")
    child = local.submit("", after=(slow, wrong))
    assert local.ended(child).cause is Cause.DEPENDENCY
    assert local.state(slow).condition is Condition.RUNNING
    release(local.folder / "1")


def test_what_is_cancelled_has_not_ended_well(local: Local) -> None:
    parent = local.submit(WAITS, copies=Copies(first=0, count=3))
    child = local.submit("", after=(parent,))
    other = local.submit("", after=(parent,))
    local.backend.cancel([other])
    assert local.ended(other).cause is Cause.CANCELLED
    until(lambda: conditions(local, parent, 2) == ["RUNNING", "RUNNING"])
    local.backend.cancel([f"{parent}.2"])
    release(local.folder / "1")
    assert local.ended(child).cause is Cause.DEPENDENCY


def test_what_waits_for_a_launcher_that_was_killed_is_not_run(local: Local) -> None:
    parent = local.submit(WAITS.replace("sys.argv[2]", "0"))
    child = local.submit("", after=(parent,))
    until(lambda: local.state(parent).condition is Condition.RUNNING)
    os.kill(local.record(parent).pid, signal.SIGKILL)
    assert local.ended(child).cause is Cause.DEPENDENCY
    release(local.folder / "1")


def test_what_waits_takes_no_place_in_the_line(local: Local) -> None:
    parent = local.submit(WAITS.replace("sys.argv[2]", "0"))
    child = local.submit("", after=(parent,), priority=9, queue_limit_seconds=1)
    begun = time.monotonic()
    assert local.ended(local.submit("import time; time.sleep(1.2)")).exit_code == 0
    assert time.monotonic() - begun > 1  # nor does the limit of the queue count
    release(local.folder / "1")
    assert local.ended(child).exit_code == 0


def test_a_sweep_by_the_runner_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the submission to the reports; a task that fails keeps what depends on it from being run."""
    runs = Runs(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    sweep = plans.Sweep(
        first_job_id=50,
        parameters=(plans.SweepParameter(name="code", values=("0", "3", "0")),),
    )
    plan = a_plan(
        sweep=sweep,
        exit_code="strict",
        images=(plans.Image(name="image.sif", kind="sif", source="image.sif"),),
        tasks=(plans.Task(image=0, command_line="sh -c 'echo $code; exit $code'"),),
        scratch=str(tmp_path / "scratch"),
    )
    (tmp_path / "job/plan.json").write_text(plans.render(plan))
    jobs = Local(tmp_path / "others", slots=2)
    values = {"runner": runs.runner, "copies": Copies(first=0, count=3), "tag": "a" * 32}
    handle = jobs.backend.submit(submission(tmp_path / "job", **values))
    child = jobs.submit("print('never')", after=(handle,))
    assert jobs.ended(child).cause is Cause.DEPENDENCY
    assert ends(states(jobs, handle, 3)) == [WELL, (Cause.EXITED, TASK_EXIT_CODE), WELL]
    for number, code in enumerate(("0", "3", "0")):
        runs.number = number
        report = runs.report()
        assert (report["job_id"], report["outcome"]) == (50 + number, "completed")
        assert (runs.job / "stdout").read_text() == f"{code}\n"
