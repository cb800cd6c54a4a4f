from typing import Any

import pytest

from prominence_hpc.backends.base import Cause, Condition
from prominence_hpc.backends.htcondor.parse import handle_of, state_of
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
