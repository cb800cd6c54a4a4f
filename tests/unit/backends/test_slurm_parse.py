import doctest
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prominence_hpc.backends.base import Cause, Condition
from prominence_hpc.backends.slurm import hostlist, parse, reasons, render
from prominence_hpc.backends.slurm.hostlist import expand_hostlist
from prominence_hpc.backends.slurm.parse import (
    parse_history,
    parse_job_id,
    parse_most_copies,
    parse_queue,
    parse_tags,
)
from prominence_hpc.backends.slurm.states import STATES
from tests.unit.backends.helpers import TAG

RECORDED = Path(__file__).parent / "recorded"
RECORDED_HANDLES = [str(number) for number in range(18, 32)]


@pytest.mark.parametrize("module", [hostlist, parse, reasons, render])
def test_examples(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


def line(state: str, *, exit_code: str = "0:0", nodes: str = "node1", reason: str = "None") -> str:
    return f"7|{state}|1000|2000|{exit_code}|{nodes}|500|{reason}\n"


@pytest.mark.parametrize("word", STATES)
def test_every_state(word: str) -> None:
    state = parse_history(line(word), ["7"])["7"]
    assert (state.condition, state.cause) == STATES[word]
    assert state.raw == word
    ended, running = state.condition is Condition.ENDED, state.condition is Condition.RUNNING
    assert state.start_time == (1000 if ended or running else None)
    assert state.end_time == (2000 if ended else None)


def test_a_word_that_is_new_is_a_value() -> None:
    state = parse_history(line("TELEPORTED"), ["7"])["7"]
    assert (state.condition, state.raw) == (Condition.UNKNOWN, "TELEPORTED")


@pytest.mark.parametrize(
    ("word", "exit_code", "nodes", "cause", "code"),
    [
        ("COMPLETED", "0:0", "node1", Cause.EXITED, 0),
        ("FAILED", "3:0", "node1", Cause.EXITED, 3),
        ("FAILED", "0:9", "node1", Cause.SIGNALED, 137),
        ("FAILED", "0:53", "node1", Cause.REFUSED, None),
        ("FAILED", "0:1", "", Cause.REFUSED, None),
        ("FAILED", "0:1", "None assigned", Cause.REFUSED, None),
        ("CANCELLED by 1000", "0:15", "node1", Cause.CANCELLED, None),
        ("TIMEOUT", "0:15", "node1", Cause.WALLTIME, None),
        ("OUT_OF_MEMORY", "0:125", "node1", Cause.MEMORY, None),
    ],
)
def test_causes(word: str, exit_code: str, nodes: str, cause: Cause, code: int | None) -> None:
    state = parse_history(line(word, exit_code=exit_code, nodes=nodes), ["7"])["7"]
    assert (state.condition, state.cause, state.exit_code) == (Condition.ENDED, cause, code)


def test_a_node_that_could_not_start_the_job_is_explained() -> None:
    text = line("FAILED", exit_code="0:53", reason="RaisedSignal:53(Real-time signal 19)")
    assert "does it see the job's folder" in parse_history(text, ["7"])["7"].reason


@pytest.mark.parametrize(
    ("reason", "condition"),
    [
        ("Priority", Condition.QUEUED),
        ("Resources", Condition.QUEUED),
        ("None", Condition.QUEUED),
        ("QOSMaxCpuPerUserLimit", Condition.QUEUED),
        ("JobHeldUser", Condition.HELD),
        ("PartitionTimeLimit", Condition.HELD),
        ("launch failed requeued held", Condition.HELD),
        ("DependencyNeverSatisfied", Condition.HELD),
    ],
)
def test_a_pending_job_that_nobody_will_start_is_held(reason: str, condition: Condition) -> None:
    state = parse_history(line("PENDING", nodes="", reason=reason), ["7"])["7"]
    assert (state.condition, state.raw) == (condition, "PENDING")


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("None", ""),
        ("Resources", "Waiting for resources (Resources)"),
        ("Priority", "Waiting behind jobs of higher priority (Priority)"),
        (
            "PartitionConfig",
            (
                "it asks for more than the partition's nodes have (PartitionConfig): "
                "delete it and ask for less"
            ),
        ),
        (
            "JobHeldUser",
            "its owner holds it (JobHeldUser): let it go with scontrol release, or delete it",
        ),
        (
            "launch failed requeued held",
            (
                "its node could not start it (launch failed requeued held): "
                "ask your site's administrators, or delete it"
            ),
        ),
        (
            "ReqNodeNotAvail, UnavailableNodes:node[1-2]",
            (
                "Waiting for nodes that are down, drained or reserved "
                "(ReqNodeNotAvail, UnavailableNodes:node[1-2])"
            ),
        ),
        ("SomethingNew", "SomethingNew"),
        ("held by a plugin", "held by a plugin"),
    ],
)
def test_a_pending_job_says_why_in_words(reason: str, words: str) -> None:
    assert parse_history(line("PENDING", nodes="", reason=reason), ["7"])["7"].reason == words


@pytest.mark.parametrize(
    ("reason", "condition", "words"),
    [
        ("AssocMaxCpuPerJobLimit", Condition.HELD, "lets one job have"),
        ("AssocMaxWallDurationPerJobLimit", Condition.HELD, "lets one job have"),
        ("QOSMaxMemoryPerJob", Condition.HELD, "lets one job have"),
        ("QOSMaxCpuPerNode", Condition.HELD, "lets one job have"),
        ("QOSMinCpuNotSatisfied", Condition.HELD, "ask for more"),
        ("AssocMaxJobsLimit", Condition.QUEUED, "other jobs of yours"),
        ("QOSMaxJobsPerUserLimit", Condition.QUEUED, "other jobs of yours"),
        ("MaxCpuPerAccount", Condition.QUEUED, "other jobs of yours"),
        ("AssocGrpCpuLimit", Condition.QUEUED, "other jobs of its account"),
        ("QOSGrpCPURunMinutesLimit", Condition.QUEUED, "other jobs of its account"),
        ("AssocGrpCPUMinutesLimit", Condition.QUEUED, "budget"),
    ],
)
def test_limits_of_accounts_say_whether_waiting_helps(
    reason: str, condition: Condition, words: str
) -> None:
    state = parse_history(line("PENDING", nodes="", reason=reason), ["7"])["7"]
    assert state.condition is condition
    assert words in state.reason
    assert f"({reason})" in state.reason


def test_a_job_that_ended_keeps_slurm_s_own_word() -> None:
    assert parse_history(line("TIMEOUT", reason="TimeLimit"), ["7"])["7"].reason == "TimeLimit"


def test_a_job_cancelled_in_the_queue_never_started() -> None:
    state = parse_history("7|CANCELLED by 7|2000|2000|0:0||500|BeginTime\n", ["7"])["7"]
    assert (state.start_time, state.end_time, state.nodes) == (None, 2000, ())


def test_a_reason_may_hold_the_separator() -> None:
    assert parse_history(line("PENDING", reason="a|b"), ["7"])["7"].reason == "a|b"


def test_other_lines_are_passed_over() -> None:
    text = f"Welcome to the cluster | enjoy\n\n{line('RUNNING')}slurm_load_jobs: note\n"
    assert parse_history(text, ["7"]).keys() == {"7"}


@given(st.text())
def test_no_text_is_too_odd(text: str) -> None:
    parse_history(text, ["7"])
    parse_queue(text, ["7", "7_1"])
    parse_tags(text)
    parse_most_copies(text)
    parse_job_id(text)
    expand_hostlist(text)


@pytest.mark.parametrize(
    ("text", "handle"),
    [
        ("4711\n", "4711"),
        ("4711;cluster\n", "4711"),
        ("Use of this system is monitored.\n\n12\n", "12"),
        ("Submitted batch job 12\n", None),
        ("", None),
    ],
)
def test_job_ids(text: str, handle: str | None) -> None:
    assert parse_job_id(text) == handle


def test_tags() -> None:
    other = "f" * 32
    text = (
        f"12|prominence:{TAG} id=1 labels={{}}\n"
        "13|(null)\n"
        f'14|prominence:{other} id=2 labels={{"a":"prominence:{"0" * 32}"}}\n'
        f"15|prominence:{'a' * 31}\n"
    )
    assert parse_tags(text) == {TAG: "12", other: "14"}


def test_tags_in_lines_that_go_on() -> None:
    text = (
        f"12|sbatch --parsable --comment=prominence:{TAG} id=1 --job-name=two\n"
        f"lines of a name --comment=prominence:{'0' * 32}\n"
        "13|sbatch --job-name=x\n"
        f"y --comment=prominence:{'1' * 32}\n"
    )
    assert parse_tags(text) == {TAG: "12", "1" * 32: "13"}


@pytest.mark.parametrize(
    ("text", "count", "first", "last"),
    [
        ("node[1-3]", 3, "node1", "node3"),
        ("n[001-100]", 100, "n001", "n100"),
        ("a,b[1-2],c", 4, "a", "c"),
        ("None assigned", 0, "", ""),
    ],
)
def test_hostlists(text: str, count: int, first: str, last: str) -> None:
    names = expand_hostlist(text)
    assert len(names) == count
    if count:
        assert (names[0], names[-1]) == (first, last)


def recorded(name: str) -> str:
    """What a real Slurm printed; times were asked for as seconds (SLURM_TIME_FORMAT=%s)."""
    return (RECORDED / name).read_text(encoding="utf-8")


def test_a_recorded_queue() -> None:
    states = parse_queue(recorded("squeue-26.05.txt"), RECORDED_HANDLES)
    told = {
        handle: (state.condition.value, state.raw, state.cause.value, state.exit_code)
        for handle, state in states.items()
    }
    assert told == {
        "18": ("ended", "TIMEOUT", "walltime", None),
        "19": ("running", "RUNNING", "none", None),
        "20": ("running", "RUNNING", "none", None),
        "21": ("ended", "CANCELLED", "cancelled", None),
        "22": ("held", "PENDING", "none", None),
        "23": ("running", "RUNNING", "none", None),
        "24": ("held", "PENDING", "none", None),
        "25": ("queued", "PENDING", "none", None),
        "26": ("held", "PENDING", "none", None),
        "27": ("queued", "PENDING", "none", None),
        "28": ("ended", "FAILED", "exited", 3),
        "29": ("ended", "COMPLETED", "exited", 0),
        "30": ("ended", "FAILED", "signaled", 137),
        "31": ("ended", "COMPLETED", "exited", 0),
    }
    assert states["20"].nodes == ("node1", "node2")
    assert states["25"].start_time is None  # an estimate
    assert (states["18"].start_time, states["18"].end_time) == (1795419038, 1795419105)
    assert "(job requeued in held state): ask your site" in states["26"].reason
    assert (states["26"].restarts, states["25"].restarts) == (1, 0)


def test_recorded_accounting() -> None:
    queue = parse_queue(recorded("squeue-26.05.txt"), RECORDED_HANDLES)
    accounting = parse_history(recorded("sacct-26.05.txt"), RECORDED_HANDLES)
    assert accounting.keys() == queue.keys()
    for handle, state in accounting.items():
        if state.condition is Condition.ENDED:
            known = queue[handle]
            assert (state.cause, state.exit_code) == (known.cause, known.exit_code)
            assert (state.start_time, state.end_time, state.nodes) == (
                known.start_time,
                known.end_time,
                known.nodes,
            )


def test_recorded_tags() -> None:
    assert parse_tags(recorded("squeue-tags-26.05.txt")) == {TAG: "19"}
    assert parse_tags(recorded("sacct-tags-26.05.txt")) == {TAG: "19"}
