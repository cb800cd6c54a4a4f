"""The verdict: for each kind of evidence what a user is told, and what may never be said."""

from dataclasses import replace
from itertools import product
from typing import Any, cast, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prominence_hpc.adapter.store.records import JobStatus
from prominence_hpc.adapter.verdict import Evidence, Verdict, judge
from prominence_hpc.backends.base import Cause, Condition, SchedulerState
from prominence_hpc.wrappers.report import REPORT_VERSION, Outcome, Phase, Report

NOW = 1_700_000_000.0  # 22:13:20 UTC
CREATED = NOW - 1000
STARTED = NOW - 500
ENDED = NOW - 100


def report(phase: Phase = "tasks", outcome: Outcome | None = None, **fields: Any) -> Report:
    done = phase == "finished"
    defaults: dict[str, Any] = {
        "version": REPORT_VERSION,
        "job_id": 17,
        "attempt": 0,
        "phase": phase,
        "outcome": outcome,
        "reason": "",
        "detail": "",
        "host": "node1",
        "start_time": STARTED,
        "update_time": ENDED,
        "end_time": ENDED if done else None,
        "stage_in_time": None,
        "stage_out_time": None,
        "cpu": {},
        "runtime_version": "",
        "max_memory_usage_kb": 0,
        "provisioned": {},
        "tasks": [],
        "outputs": [],
    }
    return cast("Report", {**defaults, **fields})


def says(condition: Condition, cause: Cause = Cause.NONE, **fields: Any) -> SchedulerState:
    return SchedulerState(condition=condition, cause=cause, **fields)


QUEUED = says(Condition.QUEUED, reason="Resources")
RUNNING = says(Condition.RUNNING, start_time=STARTED)
ABSENT = says(Condition.ABSENT)
COMPLETED = report("finished", "completed")
FAILED = report("finished", "failed", reason="Artifact download failed")
KILLED = report("finished", "killed", reason="Walltime limit exceeded")


def ended(cause: Cause, **fields: Any) -> SchedulerState:
    return says(Condition.ENDED, cause, **{"end_time": ENDED, "start_time": STARTED, **fields})


def evidence(**fields: Any) -> Evidence:
    return Evidence(**{"job_id": 17, "now": NOW, "created": CREATED, **fields})


def verdict(**fields: Any) -> Verdict:
    return judge(evidence(**fields))


def test_queued() -> None:
    assert verdict(queue=QUEUED) == Verdict(status="idle", reason="Resources")


def test_running() -> None:
    assert verdict(queue=RUNNING) == Verdict(status="running", started=STARTED)


@pytest.mark.parametrize(
    ("phase", "reason"),
    [
        ("starting", ""),
        ("stage-in", "Fetching images and artifacts"),
        ("tasks", ""),
        ("stage-out", "Storing outputs"),
    ],
)
def test_running_says_the_phase_where_it_is_known(phase: Phase, reason: str) -> None:
    assert verdict(queue=RUNNING, report=report(phase)).reason == reason


def test_held_jobs_wait_for_somebody() -> None:
    held = says(Condition.HELD, reason="JobHeldAdmin")
    assert verdict(queue=held) == Verdict(
        status="idle", reason="Held by the scheduler: JobHeldAdmin"
    )


@pytest.mark.parametrize(
    ("cause", "status", "reason"),
    [
        (Cause.MEMORY, "killed", "Memory limit exceeded"),
        (Cause.WALLTIME, "killed", "Walltime limit exceeded"),
        (Cause.REFUSED, "failed", "The scheduler could not start the job: no such file"),
    ],
)
def test_held_for_good(cause: Cause, status: str, reason: str) -> None:
    told = verdict(queue=says(Condition.HELD, cause, reason="no such file"))
    assert (told.status, told.reason, told.final) == (status, reason, True)


@pytest.mark.parametrize("queue", [ended(Cause.EXITED, exit_code=0), ABSENT, None, RUNNING])
def test_a_report_of_completion_settles_the_matter(queue: SchedulerState | None) -> None:
    assert verdict(queue=queue, report=COMPLETED) == Verdict(
        status="completed", final=True, started=STARTED, ended=ENDED
    )


@pytest.mark.parametrize("queue", [ended(Cause.EXITED), ended(Cause.CANCELLED), ABSENT])
@pytest.mark.parametrize("written", [FAILED, KILLED])
def test_a_report_of_failure_counts_once_the_job_has_gone(
    queue: SchedulerState, written: Report
) -> None:
    told = verdict(queue=queue, report=written, history=ABSENT)
    assert (told.status, told.reason, told.final) == (written["outcome"], written["reason"], True)


@pytest.mark.parametrize("queue", [QUEUED, RUNNING, None])
@pytest.mark.parametrize("written", [FAILED, KILLED])
def test_a_failed_attempt_is_not_the_end_while_the_scheduler_may_start_another(
    queue: SchedulerState | None, written: Report
) -> None:
    assert not verdict(queue=queue, report=written).final


def test_the_scheduler_gives_the_reason_that_the_wrapper_did_not_know() -> None:
    cut_short = report("finished", "killed")
    told = verdict(queue=ended(Cause.CANCELLED), report=cut_short)
    assert (told.status, told.reason) == ("killed", "Cancelled outside PROMINENCE")


def test_a_report_of_an_earlier_attempt_says_nothing_of_this_one() -> None:
    later = ended(Cause.NODE_FAILURE, start_time=NOW - 50, end_time=NOW - 10)
    told = verdict(queue=later, report=FAILED)
    assert (told.status, told.reason, told.started) == ("failed", "Compute node failed", NOW - 50)
    running = says(Condition.RUNNING, start_time=NOW - 50)
    stale = report("stage-out")
    assert verdict(queue=running, report=stale) == Verdict(status="running", started=NOW - 50)


EXPLAINED = [
    (Cause.WALLTIME, "killed", "Walltime limit exceeded"),
    (Cause.MEMORY, "killed", "Memory limit exceeded"),
    (Cause.CANCELLED, "killed", "Cancelled outside PROMINENCE"),
    (Cause.PREEMPTED, "killed", "Preempted by the scheduler"),
    (Cause.NODE_FAILURE, "failed", "Compute node failed"),
    (Cause.REFUSED, "failed", "The scheduler could not start the job"),
]


@pytest.mark.parametrize(("cause", "status", "reason"), EXPLAINED)
@pytest.mark.parametrize("written", [None, report("stage-in")])
def test_causes_that_explain_an_end(
    cause: Cause, status: JobStatus, reason: str, written: Report | None
) -> None:
    expected = Verdict(status=status, reason=reason, final=True, started=STARTED, ended=ENDED)
    assert verdict(queue=ended(cause), report=written) == expected
    # the same from history, after the job left the queue
    assert verdict(queue=ABSENT, history=ended(cause), report=written) == expected
    # or where the queue knows that it ended, but not of what
    assert verdict(queue=ended(Cause.NONE), history=ended(cause), report=written) == expected


@pytest.mark.parametrize("code", [0, 1, None])
def test_an_end_without_a_report_is_a_failure_after_the_grace(code: int | None) -> None:
    recent = ended(Cause.EXITED, exit_code=code, end_time=NOW - 59)
    told = verdict(queue=recent, report=report("stage-in"))
    assert (told.status, told.reason, told.final) == (
        "running",
        "The job has ended; waiting for its report",
        False,
    )
    words = "" if code is None else f"; exit code {code}"
    for last, when in [
        (report("stage-in"), "ended in phase stage-in without a final report"),
        (None, "ended without a report"),
    ]:
        told = verdict(queue=replace(recent, end_time=NOW - 61), report=last)
        assert (told.status, told.final) == ("failed", True)
        assert told.reason == f"The job {when}{words}; see prominence stderr 17"


def test_an_end_by_signal_is_a_kill() -> None:
    told = verdict(queue=ended(Cause.SIGNALED, exit_code=137), report=report("tasks"))
    assert (told.status, told.final) == ("killed", True)
    assert told.reason == (
        "The job was ended by a signal in phase tasks without a final report; exit code 137;"
        " see prominence stderr 17"
    )


def test_a_young_job_that_is_not_seen_yet_is_as_it_was() -> None:
    for history in (None, ABSENT):
        young = verdict(created=NOW - 119, queue=ABSENT, history=history)
        assert young == Verdict(status="idle")


def test_a_job_that_nobody_knows_has_failed_after_two_looks() -> None:
    first = verdict(status="running", started=STARTED, queue=ABSENT, history=ABSENT)
    assert (first.status, first.final, first.absent_since) == ("running", False, NOW)

    def again(after: float, written: Report | None = None) -> Verdict:
        return verdict(
            now=NOW + after,
            queue=ABSENT,
            history=ABSENT,
            absent_since=first.absent_since,
            report=written,
            status="running",
        )

    assert not again(59).final
    told = again(60)
    assert (told.status, told.final) == ("failed", True)
    assert told.reason == "The scheduler no longer knows this job and it left no report"
    told = again(60, report("tasks"))
    assert told.reason == (
        "The scheduler no longer knows this job, last heard of in phase tasks;"
        " see prominence stderr 17"
    )
    assert told.ended == ENDED
    assert again(60, COMPLETED).status == "completed"


def test_history_that_has_not_noticed_the_end_explains_nothing() -> None:
    told = verdict(queue=ABSENT, history=RUNNING, status="running", absent_since=NOW - 100)
    assert (told.status, told.final) == ("failed", True)


def test_a_job_that_comes_back_is_forgiven() -> None:
    for queue in (QUEUED, RUNNING):
        assert verdict(queue=queue, absent_since=NOW - 999).absent_since is None


def test_silent_history_is_waited_for() -> None:
    told = verdict(queue=ABSENT, history=None, status="running", absent_since=NOW - 9999)
    assert (told.status, told.final) == ("running", False)
    assert "history does not answer" in told.reason


def test_a_silent_scheduler_changes_nothing() -> None:
    known = {"status": "running", "started": STARTED, "queue": None}
    told = verdict(**known, seen=NOW - 10)
    assert (told.status, told.started, told.final) == ("running", STARTED, False)
    assert told.reason == "As last known at 22:13:10 UTC: the scheduler does not answer"
    told = verdict(**known, seen=NOW - 86400)
    assert told.reason == "As last known at 2023-11-13 22:13:20 UTC: the scheduler does not answer"
    told = verdict(**known)
    assert told.reason == "The scheduler has not answered since the job was submitted"


def test_an_unknown_word_changes_nothing() -> None:
    told = verdict(status="running", queue=says(Condition.UNKNOWN, raw="EXPEDITE"))
    assert (told.status, told.final) == ("running", False)
    assert "'EXPEDITE'" in told.reason


def test_an_unconfirmed_job_is_idle() -> None:
    told = verdict(submitted=False, queue=ABSENT, history=ABSENT, absent_since=5.0)
    assert told == Verdict(
        status="idle",
        reason="Submission not confirmed by the scheduler yet",
        absent_since=5.0,
    )


@pytest.mark.parametrize(
    ("fields", "final"),
    [
        ({"queue": QUEUED}, False),
        ({"queue": RUNNING}, False),
        ({"queue": None}, False),
        ({"queue": ABSENT, "submitted": False}, False),
        ({"queue": ABSENT, "created": NOW - 10}, False),
        ({"queue": ABSENT}, True),
        ({"queue": ended(Cause.CANCELLED)}, True),
        ({"queue": ended(Cause.EXITED, end_time=NOW - 1), "report": report("tasks")}, True),
        ({"queue": ended(Cause.EXITED), "report": KILLED}, True),
        ({"queue": says(Condition.HELD, Cause.MEMORY)}, True),
    ],
)
def test_deleted_is_shown_at_once_and_final_when_it_has_gone(
    fields: dict[str, Any], final: bool
) -> None:
    told = verdict(deleted=True, status="running", **fields)
    assert (told.status, told.reason, told.final) == ("deleted", "", final)


def test_a_job_that_completed_before_its_deletion_is_completed() -> None:
    assert verdict(deleted=True, queue=ended(Cause.EXITED), report=COMPLETED).status == "completed"


def test_a_wrong_clock_does_not_hold_a_job_for_ever() -> None:
    told = verdict(queue=ended(Cause.EXITED, end_time=NOW + 86400))
    assert (told.status, told.final) == ("failed", True)
    # a few seconds ahead is no wrong clock
    assert not verdict(queue=ended(Cause.EXITED, end_time=NOW + 3)).final


times = st.one_of(st.none(), st.floats(NOW - 10_000, NOW + 10_000))
reports = st.builds(
    report,
    st.sampled_from(get_args(Phase)),
    st.sampled_from([None, *get_args(Outcome)]),
    start_time=st.floats(NOW - 10_000, NOW),
    update_time=st.floats(NOW - 10_000, NOW),
    end_time=times,
    reason=st.sampled_from(["", "Container image pull failed"]),
)
states = st.builds(
    SchedulerState,
    condition=st.sampled_from(Condition),
    cause=st.sampled_from(Cause),
    raw=st.text(max_size=5),
    reason=st.text(max_size=5),
    exit_code=st.one_of(st.none(), st.integers(0, 255)),
    start_time=times,
    end_time=times,
)
anything = st.builds(
    Evidence,
    job_id=st.just(1),
    now=st.just(NOW),
    created=st.floats(NOW - 10_000, NOW),
    submitted=st.booleans(),
    deleted=st.booleans(),
    status=st.sampled_from(["idle", "running"]),
    started=times,
    absent_since=times,
    seen=times,
    report=st.one_of(st.none(), reports),
    queue=st.one_of(st.none(), states),
    history=st.one_of(st.none(), states),
)


@settings(max_examples=200)
@given(anything)
def test_laws(given_evidence: Evidence) -> None:
    told = judge(given_evidence)
    written, queue = given_evidence.report, given_evidence.queue

    completed = written is not None and (written["phase"], written["outcome"]) == (
        "finished",
        "completed",
    )
    # silence is never success, and success is never lost
    assert (told.status == "completed") == completed
    # nothing ends while its scheduler has it, or says nothing; but for holds that nobody lifts
    if not completed and (
        queue is None or queue.condition in (Condition.QUEUED, Condition.RUNNING)
    ):
        assert not told.final
    # what has ended says when, and why where it is not as it should be
    if told.final:
        assert told.ended is not None
        assert told.status not in ("idle", "running")
    else:
        assert told.status in ("idle", "running", "deleted")
        assert told.ended is None
    # the wish of the user is seen at once
    if given_evidence.deleted and not completed:
        assert told.status == "deleted"
    elif not given_evidence.deleted:
        assert told.status != "deleted"


def test_every_condition_and_cause_has_a_verdict() -> None:
    for condition, cause, written in product(Condition, Cause, [None, report(), FAILED]):
        told = verdict(queue=says(condition, cause), history=ABSENT, report=written)
        assert told.status in ("idle", "running", "failed", "killed")
        if told.final:
            assert told.reason
