"""Jobs that are run again: what is said while they wait, and when an attempt was the last after all."""

from typing import Any, cast

import pytest

from prominence_hpc.adapter.verdict import Evidence, Verdict, judge
from prominence_hpc.backends.base import Cause, Condition, SchedulerState
from prominence_hpc.wrappers.report import Report

NOW = 1_700_000_000.0
STARTED, ENDED = NOW - 500, NOW - 100


def report(**fields: Any) -> Report:
    values = {
        "attempt": 0,
        "phase": "retrying",
        "outcome": "completed",
        "reason": "",
        "detail": "",
        "cause": "task",
        "retries_left": 2,
        "start_time": STARTED,
        "update_time": ENDED,
        "end_time": ENDED,
        "tasks": [
            {"number": 0, "type": "basic", "exit_code": 0},
            {"number": 1, "type": "basic", "exit_code": 3},
            {"number": 2, "type": "sidecar", "exit_code": 143},
        ],
    }
    return cast("Report", {**values, **fields})


def verdict(queue: SchedulerState, found: Report | None, **fields: Any) -> Verdict:
    values = {"job_id": 17, "now": NOW, "created": NOW - 1000, "queue": queue, "report": found}
    return judge(Evidence(**{**values, **fields}))


def waits(restarts: int | None = 1, reason: str = "") -> SchedulerState:
    return SchedulerState(condition=Condition.QUEUED, restarts=restarts, reason=reason)


def ended(cause: Cause, **fields: Any) -> SchedulerState:
    values = {"start_time": STARTED, "end_time": ENDED, "restarts": 0}
    return SchedulerState(condition=Condition.ENDED, cause=cause, **{**values, **fields})


def test_a_job_that_waits_to_be_run_again_says_what_became_of_it() -> None:
    found = verdict(waits(), report())
    words = "Attempt 2 of 3 is waiting; attempt 1 failed: exit code 3 of task 1"
    assert (found.status, found.reason, found.final) == ("idle", words, False)
    why = verdict(waits(reason="Waiting for resources (Resources)"), report()).reason
    assert why == f"{words}. Waiting for resources (Resources)"
    failure = report(
        attempt=1,
        outcome="failed",
        reason="Artifact download failed",
        detail="x: 503.",
        retries_left=1,
    )
    assert verdict(waits(2), failure).reason == (
        "Attempt 3 of 3 is waiting; attempt 2 failed: Artifact download failed (x: 503)"
    )


def test_a_job_that_was_put_back_by_its_scheduler_says_so() -> None:
    preempted = report(
        phase="finished",
        outcome="killed",
        reason="Job was cancelled or preempted",
        cause="scheduler",
    )
    assert verdict(waits(), preempted).reason == (
        "Attempt 2 is waiting; attempt 1 ended: Job was cancelled or preempted"
    )
    silent = report(phase="tasks", outcome=None, end_time=None)
    assert "attempt 1 ended without a word: its node failed" in verdict(waits(), silent).reason


def test_a_job_that_never_ran_says_why_it_waits_and_nothing_else() -> None:
    assert verdict(waits(0, "Resources"), None).reason == "Resources"
    assert verdict(waits(None, "Resources"), report()).reason == "Resources"


@pytest.mark.parametrize("restarts", [1, None])
def test_the_report_of_the_attempt_before_says_nothing_of_the_one_that_runs(
    restarts: int | None,
) -> None:
    runs = SchedulerState(condition=Condition.RUNNING, start_time=ENDED + 6, restarts=restarts)
    found = verdict(runs, report())
    assert (found.status, found.reason, found.started) == ("running", "", ENDED + 6)


def test_starts_in_quick_succession_are_told_apart_by_their_number() -> None:
    """HTCondor starts a job again within a second, which clocks cannot tell."""
    last = ended(Cause.SIGNALED, start_time=ENDED + 1, end_time=NOW - 90, restarts=1, exit_code=137)
    assert verdict(last, report()).status == "killed"
    assert "signal" in verdict(last, report()).reason


@pytest.mark.parametrize("cause", [Cause.EXITED, Cause.SIGNALED])
def test_an_attempt_that_could_not_ask_for_another_was_the_last(cause: Cause) -> None:
    """Its wrapper was killed, or the scheduler's own limit was lower."""
    early = ended(cause, end_time=NOW - 10, exit_code=137)
    assert verdict(early, report()).final is False  # its last word may be on its way
    found = verdict(ended(cause, exit_code=137), report())
    assert (found.status, found.final) == ("completed", True)
    assert found.reason.startswith("exit code 3 of task 1; not run again: ")
    failure = report(outcome="failed", reason="Container image pull failed")
    assert verdict(ended(cause), failure).status == "failed"


def test_deletion_while_it_waits_is_for_good() -> None:
    gone = ended(Cause.CANCELLED, start_time=None, restarts=1)
    found = verdict(gone, report(), deleted=True)
    assert (found.status, found.final) == ("deleted", True)
    outside = verdict(gone, report())
    assert (outside.status, outside.reason) == ("killed", "Cancelled outside PROMINENCE")


def test_waiting_too_long_is_a_failure_with_that_reason() -> None:
    for found in (None, report()):
        late = verdict(ended(Cause.QUEUE_TIME, start_time=None), found)
        assert (late.status, late.reason) == ("failed", "Maximum time in queue exceeded")
        assert late.final
