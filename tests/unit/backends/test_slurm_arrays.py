"""Job arrays and dependencies: what Slurm is told of them, and what is read in what it says."""

import doctest
import shlex
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prominence_hpc.backends.base import Cause, Condition, Copies
from prominence_hpc.backends.settings import SiteSettings
from prominence_hpc.backends.slurm import SlurmBackend, arrays, render
from prominence_hpc.backends.slurm.arrays import compressed, expand
from prominence_hpc.backends.slurm.parse import (
    parse_history,
    parse_most_copies,
    parse_queue,
    parse_tags,
)
from prominence_hpc.errors import BackendError, BackendUnavailable
from tests.unit.backends.fake_pyslurm import FakePyslurm
from tests.unit.backends.helpers import TAG, FakePrograms, submission

SITE = SiteSettings(
    name="here", backend="slurm", slurm_transport="commands", command_timeout_seconds=5
)
SWEEP = replace(submission(Path("/home/a b/workflows/3")), copies=Copies(first=2000, count=500))
CHILD = replace(submission(Path("/jobs/12")), after=("4711", "4720_3"))
RECORDED = Path(__file__).parent / "recorded"


def test_examples() -> None:
    assert doctest.testmod(arrays).failed == 0


def test_a_sweep_is_one_array(golden: Callable[[str, str], None]) -> None:
    golden("slurm-sweep-job.sh", SlurmBackend(SITE).job_script(SWEEP))
    golden(
        "slurm-sweep-sbatch.txt",
        "".join(f"{shlex.quote(word)}\n" for word in render.sbatch_argv(SWEEP)),
    )


def test_a_sweep_s_job_opens_its_streams_itself_in_any_folder() -> None:
    script = SlurmBackend(SITE).job_script(replace(SWEEP, folder=Path("/back\\slash")))
    assert "exec >>stdout" not in script


def test_a_child_is_taken_out_of_the_queue_where_a_parent_fails() -> None:
    argv = render.sbatch_argv(CHILD)
    assert "--dependency=afterok:4711:4720_3" in argv
    assert "--kill-on-invalid-dep=yes" in argv
    assert not any(
        "depend" in word or "array" in word
        for word in render.test_argv(replace(CHILD, copies=SWEEP.copies))
    )


numbers = st.integers(min_value=0, max_value=60)


def text_of(item: tuple[int, int, int]) -> str:
    first, last, step = item
    if step == 1:
        return f"{first}-{last}" if last > first else f"{first}"
    return f"{first}-{last}:{step}"


@given(
    items=st.lists(st.tuples(numbers, numbers, st.integers(1, 7)), min_size=1, max_size=5),
    asked=st.sets(numbers),
    limit=st.sampled_from(["", "%1", "%20"]),
    bracket=st.booleans(),
)
def test_an_expression_stands_for_what_slurm_means(
    items: list[tuple[int, int, int]], asked: set[int], limit: str, bracket: bool
) -> None:
    ordered = [(min(first, last), max(first, last), step) for first, last, step in items]
    meant = {n for first, last, step in ordered for n in range(first, last + 1, step)}
    text = ",".join(map(text_of, ordered)) + limit
    assert expand(f"[{text}]" if bracket else text, asked) == asked & meant


@given(st.text(alphabet="0123456789-,:%[]. N/A"), st.sets(numbers))
def test_no_expression_is_too_odd(text: str, asked: set[int]) -> None:
    assert expand(text, asked) <= asked


@given(st.sets(st.tuples(st.sampled_from(["7", "8"]), st.none() | numbers)))
def test_what_is_compressed_is_the_same_jobs(jobs: set[tuple[str, int | None]]) -> None:
    words = compressed(number if index is None else f"{number}_{index}" for number, index in jobs)
    assert len(words) <= 2
    whole = {number for number, index in jobs if index is None}
    assert {word for word in words if "_" not in word} == whole
    for word in words:
        number, _, expression = word.partition("_")
        if expression:
            asked = {index for other, index in jobs if other == number and index is not None}
            assert expand(expression, set(range(61))) == asked


QUEUE = """\
Welcome to the cluster
4711|7-9999%20|0|PENDING|N/A|N/A|0:0||Resources
4718|N/A|0|RUNNING|1000|2000|0:0|node2|None
4711|0|0|COMPLETED|1000|1100|0:0|node1|None
4711|1|0|FAILED|1000|1100|3:0|node1|NonZeroExitCode
4711|2|1|PENDING|5000|N/A|0:0||BeginTime
4711|3|0|RUNNING|1000|N/A|0:0|node1|None
4711|4,6|0|PENDING|N/A|N/A|0:0||JobHeldUser
4900|0-2|0|CANCELLED|1200|1200|0:0||DependencyNeverSatisfied
4901|N/A|0|CANCELLED|1200|1200|0:0||DependencyNeverSatisfied
4902|N/A|0|PENDING|N/A|N/A|0:0||Dependency
"""


def test_the_queue_s_word_on_each_copy() -> None:
    handles = [f"4711_{number}" for number in range(10_001)] + ["4900_1", "4901", "4902", "4718"]
    states = parse_queue(QUEUE, handles)
    told = {
        handle: (states[handle].condition.value, states[handle].exit_code)
        for handle in [f"4711_{number}" for number in (0, 1, 2, 3, 4, 6, 7, 9999)]
    }
    assert told == {
        "4711_0": ("ended", 0),
        "4711_1": ("ended", 3),
        "4711_2": ("queued", None),
        "4711_3": ("running", None),
        "4711_4": ("held", None),
        "4711_6": ("held", None),
        "4711_7": ("queued", None),
        "4711_9999": ("queued", None),
    }
    assert states["4711_2"].restarts == 1
    assert states["4711_7"] is states["4711_9998"]
    assert (
        not {"4711_5", "4711_10000", "4711"} & states.keys()
    )  # cancelled as it waited; never was; no job
    assert states["4718"].condition is Condition.RUNNING


def test_a_child_whose_parent_failed() -> None:
    states = parse_queue(QUEUE, ["4900_1", "4901", "4902"])
    for handle in ("4900_1", "4901"):
        state = states[handle]
        assert (state.condition, state.cause) == (Condition.ENDED, Cause.DEPENDENCY)
        assert (state.start_time, state.end_time) == (None, 1200)
    waiting = states["4902"]
    assert waiting.condition is Condition.QUEUED
    assert waiting.reason == "Waiting for the jobs it depends on (Dependency)"


HISTORY = """\
4711_0|COMPLETED|1000|1100|0:0|node1|900|None
4711_1|FAILED|1000|1100|3:0|node1|900|None
4711_[1-5,8%20]|CANCELLED by 1000|1200|1200|0:0|None assigned|900|None
4900_[0-2]|CANCELLED|None|1200|0:0|None assigned|Unknown|None
4901|CANCELLED|None|1200|0:0|None assigned|Unknown|None
4902|CANCELLED by 1000|None|1200|0:0|None assigned|Unknown|None
4903|CANCELLED|1100|1200|0:0|node1|900|None
"""


def test_what_accounting_keeps_of_copies() -> None:
    handles = [f"4711_{number}" for number in (0, 1, 5, 6, 8)] + ["4800_0"]
    states = parse_history(HISTORY, handles)
    assert {handle: state.cause for handle, state in states.items()} == {
        "4711_0": Cause.EXITED,
        "4711_1": Cause.EXITED,
        "4711_5": Cause.CANCELLED,
        "4711_6": Cause.CANCELLED,  # alone, as it waited: on no line
        "4711_8": Cause.CANCELLED,
    }
    assert states["4711_1"].exit_code == 3
    assert states["4711_6"].condition is Condition.ENDED


def test_accounting_tells_a_parent_s_failure_from_a_user_s_cancellation() -> None:
    handles = ["4900_2", "4901", "4902", "4903"]
    causes = [state.cause for state in parse_history(HISTORY, handles).values()]
    assert causes == [Cause.DEPENDENCY, Cause.DEPENDENCY, Cause.CANCELLED, Cause.CANCELLED]


def test_a_copy_s_tag_is_the_array_s() -> None:
    text = f"4711_[5-9]|prominence:{TAG} id=1\n4711_3|prominence:{TAG} id=1\n"
    assert parse_tags(text) == {TAG: "4711"}


def test_ten_thousand_pending_copies_are_read_in_no_time() -> None:
    text = "".join(f"{n}|0-999|0|PENDING|N/A|N/A|0:0||Priority\n" for n in range(10))
    text += "99|0-4000000|0|PENDING|N/A|N/A|0:0||Priority\n"  # somebody else's program made it
    handles = [f"{n}_{index}" for n in range(10) for index in range(1000)]
    start = time.process_time()
    states = parse_queue(text, handles)
    assert time.process_time() - start < 0.1
    assert len(states) == 10_000


@pytest.mark.parametrize(
    ("text", "most"),
    [
        ("MaxArraySize            = 1001\nMaxJobCount             = 10000\n", 1001),
        ("MaxArraySize            = 4000001\nMaxJobCount             = 10000\n", 10000),
        (
            "MaxArraySize            = 1001\nSchedulerParameters     = bf_interval=2,max_array_tasks=50\n",
            50,
        ),
        ("MaxArraySize            = 0\n", 0),
        ("", 0),
    ],
)
def test_how_many_copies_an_array_may_have(text: str, most: int) -> None:
    assert parse_most_copies(text) == most


def test_the_limit_is_asked_once(programs: FakePrograms) -> None:
    programs.add("scontrol", stdout="MaxArraySize            = 1001\n")
    backend = SlurmBackend(SITE)
    assert [backend.most_copies(SWEEP) for _ in range(3)] == [1001] * 3
    assert [call["argv"] for call in programs.calls()] == [["scontrol", "show", "config"]]
    assert backend.copy_handle("4711", 7) == "4711_7"


def test_a_site_without_arrays(programs: FakePrograms) -> None:
    programs.add("scontrol", stdout="MaxArraySize            = 0\n")
    with pytest.raises(BackendError, match="runs no job arrays"):
        SlurmBackend(SITE).most_copies(SWEEP)


def test_ten_thousand_copies_are_cancelled_by_one_command(programs: FakePrograms) -> None:
    programs.add("scancel")
    backend = SlurmBackend(SITE)
    backend.cancel([f"4711_{index}" for index in range(10_000)] + ["12"])
    assert [call["argv"] for call in programs.calls()] == [["scancel", "12", "4711_[0-9999]"]]


def test_history_of_copies_asks_for_their_arrays(programs: FakePrograms) -> None:
    programs.add("sacct", stdout=HISTORY)
    handles = [f"4711_{index}" for index in range(2)]
    assert SlurmBackend(SITE).history(handles).keys() == set(handles)
    (call,) = programs.calls()
    assert "--jobs=4711" in call["argv"]
    assert call["environment"]["SLURM_BITSTR_LEN"] == "0"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "sweep"
    folder.mkdir()
    return folder


FULL = "sbatch: error: Slurm job queue full, sleeping and retrying\n"
BUSY = "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying\n"
SLEEPS = """\
#!/bin/sh
echo x >> {folder}/asked
echo '{said}' >&2
sleep 60
"""


def sleeping_sbatch(programs: FakePrograms, said: str) -> Path:
    """One that was refused, says so, and would ask again."""
    program = programs.folder / "sbatch"
    program.write_text(SLEEPS.format(folder=programs.folder, said=said.strip()))
    program.chmod(0o755)
    return programs.folder / "asked"


def test_a_full_queue_is_a_refusal_at_once(programs: FakePrograms, folder: Path) -> None:
    asked = sleeping_sbatch(programs, FULL)
    programs.add("squeue")
    programs.add("sacct")
    start = time.monotonic()
    with pytest.raises(BackendError, match=r"job queue full; MaxJobCount.*submit fewer") as raised:
        SlurmBackend(SITE).submit(replace(SWEEP, folder=folder))
    assert not isinstance(raised.value, BackendUnavailable)
    assert time.monotonic() - start < 4
    assert asked.read_text() == "x\n"


def test_an_sbatch_that_asked_again_before_it_was_stopped(
    programs: FakePrograms, folder: Path
) -> None:
    sleeping_sbatch(programs, FULL)
    programs.add("squeue", stdout=f"4711|prominence:{TAG} id=1\n")
    assert SlurmBackend(SITE).submit(replace(SWEEP, folder=folder)) == "4711"


def test_a_busy_controller_is_asked_again_for_a_while(
    programs: FakePrograms, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = sleeping_sbatch(programs, BUSY)
    programs.add("squeue")
    programs.add("sacct")
    pauses: list[float] = []
    monkeypatch.setattr("prominence_hpc.backends.slurm.commands.time.sleep", pauses.append)
    with pytest.raises(BackendError, match=r"unable to accept job; try again later") as raised:
        SlurmBackend(SITE).submit(replace(SWEEP, folder=folder))
    assert not isinstance(raised.value, BackendUnavailable)
    assert [pause for pause in pauses if pause >= 1] == [1, 2, 4, 8]
    assert asked.read_text() == "x\n" * 5


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("Job dependency problem", "not known to Slurm any more"),
        ("Invalid job array specification", "more jobs than an array may have.*MaxArraySize"),
    ],
)
def test_refusals(programs: FakePrograms, folder: Path, said: str, words: str) -> None:
    text = f"sbatch: error: Batch job submission failed: {said}\n"
    programs.add("sbatch", stderr=text, returncode=1)
    with pytest.raises(BackendError, match=words) as raised:
        SlurmBackend(SITE).submit(replace(SWEEP, folder=folder))
    assert not isinstance(raised.value, BackendUnavailable)


def test_pyslurm_leaves_copies_and_children_to_the_commands(
    tmp_path: Path, programs: FakePrograms, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pyslurm = FakePyslurm(tmp_path / "heard", monkeypatch)
    programs.add("sbatch", stdout="4711\n")
    programs.add("squeue", stdout=QUEUE)
    programs.add("scancel")
    backend = SlurmBackend(replace(SITE, slurm_transport="pyslurm"))
    assert backend.submit(replace(SWEEP, folder=folder)) == "4711"
    assert backend.submit(replace(CHILD, folder=folder)) == "4711"
    assert backend.poll(["4711_3"])["4711_3"].condition is Condition.RUNNING
    backend.cancel(["4711_3"])
    assert pyslurm.heard() == []
