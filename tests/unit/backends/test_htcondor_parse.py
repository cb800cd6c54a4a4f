from pathlib import Path
from typing import Any

import classad2
import pytest

from prominence_hpc.backends.base import Cause, Condition
from prominence_hpc.backends.htcondor.constraints import exactly
from prominence_hpc.backends.htcondor.parse import (
    by_tag,
    handle_of,
    running,
    state_of,
    states_of,
    to_come,
)
from prominence_hpc.backends.htcondor.states import HOLD_CAUSES, JOB_STATUS

# Records as HTCondor 25.14 gave them, with the attributes that we ask for.
RUNNING = {
    "ClusterId": 25,
    "ProcId": 0,
    "JobStatus": 2,
    "RemoteHost": "slot1_1@exec1.site.test",
    "LastRejMatchReason": "no match found",
    "JobCurrentStartDate": 1795417861,
    "EnteredCurrentStatus": 1795417861,
}
IMPOSSIBLE = {
    "ClusterId": 29,
    "ProcId": 0,
    "JobStatus": 1,
    "LastRejMatchReason": "no match found ",
    "EnteredCurrentStatus": 1795417861,
}
SIGNALED = {
    "ClusterId": 30,
    "ProcId": 0,
    "JobStatus": 4,
    "ExitBySignal": True,
    "ExitSignal": 9,
    "JobCurrentStartDate": 1795417861,
    "CompletionDate": 1795417862,
    "LastRemoteHost": "slot1_5@exec1.site.test",
    "EnteredCurrentStatus": 1795417862,
}
REMOVED = {
    "ClusterId": 21,
    "ProcId": 0,
    "JobStatus": 3,
    "ExitBySignal": False,
    "ExitCode": 0,
    "RemoveReason": "Deleted through prominence (by user alice)",
    "LastRemoteHost": "slot1_3@exec1.site.test",
    "CompletionDate": 0,
    "EnteredCurrentStatus": 1795417861,
}
LOST_OUTPUT = {
    "ClusterId": 26,
    "ProcId": 0,
    "JobStatus": 5,
    "HoldReason": "Transfer output files failure at execution point slot1_2@exec1.site.test",
    "HoldReasonCode": 12,
    "JobCurrentStartDate": 1795417861,
    "EnteredCurrentStatus": 1795417870,
}


def held(code: int) -> dict[str, Any]:
    return {**LOST_OUTPUT, "HoldReasonCode": code}


def test_running() -> None:
    state = state_of(RUNNING)
    assert (state.condition, state.raw, state.reason) == (Condition.RUNNING, "2", "")
    assert (state.start_time, state.end_time) == (1795417861, None)
    assert state.nodes == ("exec1.site.test",)


def test_idle_says_why() -> None:
    state = state_of(IMPOSSIBLE)
    assert (state.condition, state.reason) == (
        Condition.QUEUED,
        "No slot of the pool matches its request so far (no match found)",
    )
    assert (state.start_time, state.end_time, state.nodes) == (None, None, ())


def test_an_idle_job_that_was_rejected_otherwise_says_so_in_htcondor_s_words() -> None:
    said = "PREEMPTION_REQUIREMENTS == False "
    assert state_of({**IMPOSSIBLE, "LastRejMatchReason": said}).reason == said.strip()


def test_signaled() -> None:
    state = state_of(SIGNALED)
    assert (state.condition, state.cause, state.exit_code) == (
        Condition.ENDED,
        Cause.SIGNALED,
        137,
    )
    assert (state.start_time, state.end_time) == (1795417861, 1795417862)
    assert state.nodes == ("exec1.site.test",)


def test_exited() -> None:
    state = state_of({**SIGNALED, "ExitBySignal": False, "ExitCode": 3})
    assert (state.cause, state.exit_code) == (Cause.EXITED, 3)


def test_removed() -> None:
    state = state_of(REMOVED)
    assert (state.condition, state.cause, state.exit_code) == (
        Condition.ENDED,
        Cause.CANCELLED,
        None,
    )
    assert state.reason == "Deleted through prominence (by user alice)"
    assert state.end_time == 1795417861


@pytest.mark.parametrize("code", HOLD_CAUSES)
def test_held_for_a_cause_that_waiting_does_not_mend(code: int) -> None:
    state = state_of(held(code))
    assert (state.condition, state.cause) == (Condition.HELD, HOLD_CAUSES[code])
    assert state.reason == LOST_OUTPUT["HoldReason"]
    assert (state.start_time, state.end_time) == (1795417861, 1795417870)


@pytest.mark.parametrize("code", [0, 1, 3, 15, 21, 26, 999])
def test_held_by_somebody(code: int) -> None:
    state = state_of(held(code))
    assert (state.condition, state.cause, state.end_time) == (Condition.HELD, Cause.NONE, None)


def test_causes_of_holds() -> None:
    assert HOLD_CAUSES[34] is Cause.MEMORY
    assert HOLD_CAUSES[46] is HOLD_CAUSES[47] is Cause.WALLTIME
    assert HOLD_CAUSES[12] is HOLD_CAUSES[13] is Cause.REFUSED


@pytest.mark.parametrize("status", JOB_STATUS)
def test_every_status(status: int) -> None:
    state = state_of({"ClusterId": 1, "ProcId": 0, "JobStatus": status})
    assert state.condition is JOB_STATUS[status][0]
    assert state.raw == str(status)


def test_a_status_that_is_new_is_a_value() -> None:
    state = state_of({"ClusterId": 1, "ProcId": 0, "JobStatus": 8})
    assert (state.condition, state.raw) == (Condition.UNKNOWN, "8")


def test_handles() -> None:
    assert handle_of({"ClusterId": 123456, "ProcId": 0}) == "123456.0"


REMOVED_WHILE_HELD = {
    **REMOVED,
    "RemoveReason": "ProminenceFinalHolds",
    "LastJobStatus": 5,
    "LastHoldReasonCode": 47,
    "LastHoldReason": "The job exceeded allowed execute duration of 00:12",
}


def test_a_job_removed_since_it_was_held_for_good() -> None:
    state = state_of(REMOVED_WHILE_HELD)
    assert (state.condition, state.cause) == (Condition.ENDED, Cause.WALLTIME)
    assert state.reason == "The job exceeded allowed execute duration of 00:12"
    assert state.exit_code is None


def test_a_held_job_that_somebody_has_removed() -> None:
    state = state_of({**REMOVED_WHILE_HELD, "RemoveReason": "via condor_rm (by user alice)"})
    assert (state.cause, state.reason) == (Cause.CANCELLED, "via condor_rm (by user alice)")


def test_a_job_of_a_graph_s_sweep_that_ended_since_it_was_held_for_good() -> None:
    ended = {**SIGNALED, "ExitBySignal": False, "ExitCode": 0, "LastHoldReasonCode": 34}
    held = {**ended, "LastHoldReason": "memory usage exceeded"}
    state = state_of({**held, "ProminenceSparesOthers": True})
    assert (state.cause, state.exit_code) == (Cause.MEMORY, None)
    assert state.reason == "memory usage exceeded"
    assert state_of(held).cause is Cause.EXITED  # released by hand, and well then


# A cluster's own record, in the words of HTCondor 25.14.
CLUSTER = {
    "ClusterId": 25,
    "JobStatus": 1,
    "JobMaterializeNextProcId": 116,
    "TotalSubmitProcs": 1000,
    "JobMaterializePaused": 0,
    "ProminenceCopy": 0,
}


def test_copies_that_are_made_to_come_and_gone() -> None:
    states = states_of(["25.0", "25.3", "25.116", "25.999", "25.1000", "26.0"], [RUNNING, CLUSTER])
    assert [state.condition for state in states.values()] == [
        Condition.RUNNING,
        Condition.ABSENT,
        Condition.QUEUED,
        Condition.QUEUED,
        Condition.ABSENT,
        Condition.ABSENT,
    ]


@pytest.mark.parametrize("paused", [1, -1])
def test_copies_of_a_cluster_that_makes_no_more(paused: int) -> None:
    state = states_of(["25.500"], [{**CLUSTER, "JobMaterializePaused": paused}])["25.500"]
    assert (state.condition, state.cause) == (Condition.HELD, Cause.NONE)


def test_submissions_by_tag() -> None:
    records = [{**CLUSTER, "ProminenceTag": "a"}, {"ClusterId": 7, "ProminenceTag": "b"}]
    assert by_tag(records) == {"a": "25", "b": "7.0"}


def test_the_running_jobs_of_a_cluster() -> None:
    copy = {**RUNNING, "ProcId": 4, "Iwd": "/jobs/3", "ProminenceCopy": 4}
    single = {**RUNNING, "ClusterId": 27, "Iwd": "/jobs/5"}
    records: list[dict[str, Any]] = [copy, {**copy, "ProcId": 5, "JobStatus": 1}, single, CLUSTER]
    (job,) = running(["25"], records)
    assert (job.handle, job.folder, job.copy) == ("25.4", Path("/jobs/3/4"), "4")
    (job,) = running(["27.0", "25.5"], records)
    assert (job.handle, job.folder, job.copy) == ("27.0", Path("/jobs/5"), None)


def test_dagman_runs_on_no_node_but_what_it_has_submitted_does() -> None:
    dagman = {**RUNNING, "ClusterId": 63, "JobUniverse": 7, "Iwd": "/workflows/7"}
    ran = {**RUNNING, "ClusterId": 64, "DAGManJobId": 63, "Iwd": "/workflows/7/one"}
    other = {**RUNNING, "ClusterId": 65, "DAGManJobId": 60, "Iwd": "/workflows/8"}
    assert [job.handle for job in running(["63.0"], [dagman, ran, other])] == ["64.0"]


def test_jobs_that_are_to_come_of_those_to_be_deleted() -> None:
    records: list[dict[str, Any]] = [RUNNING, CLUSTER, {**CLUSTER, "ClusterId": 26}]
    assert to_come(["25.0", "25.200", "25.201", "25", "27.200"], records) == ["25.200", "25.201"]


def test_history_names_no_jobs_but_those_asked_for() -> None:
    handles = [f"12.{number}" for number in range(500)] + ["12.700", "9.0", "10.0"]
    constraint, limit = exactly(handles)
    assert limit == len(handles)
    assert len(constraint) < 300
    for proc, cluster, asked in [
        (499, 12, True),
        (500, 12, False),
        (700, 12, True),
        (0, 9, True),
        (1, 9, False),
        (0, 11, False),
    ]:
        ad = classad2.ClassAd({"ProcId": proc, "ClusterId": cluster, "ProminenceTag": "a"})
        ad["Asked"] = classad2.ExprTree(constraint)
        assert ad.eval("Asked") is asked, (cluster, proc)


def test_history_of_scattered_jobs_is_asked_for_in_a_few_words() -> None:
    constraint, limit = exactly([f"12.{number}" for number in range(1, 10_000, 3)])
    assert len(constraint) < 200
    assert limit == 9997  # with what lies between them
