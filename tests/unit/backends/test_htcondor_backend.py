import logging
import sys
import time
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prominence_hpc.backends.base import Condition, Copies, Transfer
from prominence_hpc.backends.htcondor import HTCondorBackend
from prominence_hpc.backends.htcondor.running_output import JOBS_AT_ONCE
from prominence_hpc.backends.settings import SiteSettings
from prominence_hpc.errors import BackendError, BackendUnavailable, ConfigError
from tests.unit.backends.helpers import TAG, FakePrograms, submission

OTHER = "f" * 32


class HTCondorException(Exception):
    pass


class FakeSchedd:
    """Stands for the schedd: records, or what it does instead of answering."""

    def __init__(self, calls: Path) -> None:
        self.calls = calls
        self.queue: list[dict[str, Any]] = []
        self.past: list[dict[str, Any]] = []
        self.raised: Exception | None = None
        self.seconds = 0.0
        self.denied = 0

    def __call__(self) -> "FakeSchedd":
        return self

    def heard(self, *words: object) -> None:
        with self.calls.open("a") as file:  # calls are made in a child process
            file.write(f"{' '.join(map(str, words))}\n")
        time.sleep(self.seconds)
        if self.raised is not None:
            raise self.raised

    def submit(self, description: str) -> Any:
        self.heard("submit", description)
        return types.SimpleNamespace(cluster=lambda: 12)

    def query(self, constraint: str, attributes: list[str], *, opts: str) -> list[dict[str, Any]]:
        self.heard("query", constraint, len(attributes), opts)
        return self.queue

    def history(self, constraint: str, _attributes: list[str], limit: int) -> list[dict[str, Any]]:
        self.heard("history", constraint, limit)
        return self.past

    def act(self, action: str, handles: list[str], _reason: str) -> dict[str, int]:
        self.heard(action, *handles)
        return {"TotalPermissionDenied": self.denied}

    def lines(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []


@pytest.fixture
def schedd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSchedd:
    schedd = FakeSchedd(tmp_path / "calls")
    bindings = types.ModuleType("htcondor2")
    vars(bindings).update(
        Schedd=schedd,
        Submit=lambda text: text.splitlines()[0],
        HTCondorException=HTCondorException,
        QueryOpt=types.SimpleNamespace(IncludeClusterAd="with clusters"),
        JobAction=types.SimpleNamespace(Remove="remove", Release="release", VacateFast="vacate"),
    )
    monkeypatch.setitem(sys.modules, "htcondor2", bindings)
    return schedd


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "job 12"
    folder.mkdir()
    return folder


BACKEND = HTCondorBackend(SiteSettings(name="pool", backend="htcondor", command_timeout_seconds=10))


def record(cluster: int, status: int = 2, tag: str = TAG) -> dict[str, Any]:
    own = {"ClusterId": cluster, "ProcId": 0, "JobStatus": status, "Iwd": "/nowhere"}
    return {**own, "ProminenceTag": tag}


def test_submit_leaves_all_that_is_needed_by_hand(schedd: FakeSchedd, folder: Path) -> None:
    image, home = folder.parent / "an image, large.sif", folder.parent / "home"
    image.write_text("image")
    home.mkdir()
    transfer = Transfer(inputs=((image, "object-0"),), outputs=(("outputs-0", home),))
    assert BACKEND.submit(submission(folder, transfer=transfer)) == "12.0"
    assert BACKEND.submit(submission(folder, transfer=transfer)) == "12.0"  # over what is there
    assert (folder / "object-0").read_text() == "image"
    assert (folder / "outputs-0").resolve() == home
    assert (folder / "runner.pyz").is_symlink()
    assert (folder / "job.sh").stat().st_mode & 0o777 == 0o700
    assert (folder / "job.sub").stat().st_mode & 0o777 == 0o600
    assert (folder / "job.log").stat().st_mode & 0o777 == 0o600
    for proof in ("stdout", "stderr", "report.json"):  # that the job ran: not ours to make
        assert not (folder / proof).exists()
    assert len(schedd.lines()) == 2


@pytest.mark.usefixtures("schedd")
def test_each_further_node_has_a_folder_for_what_it_brings_home(folder: Path) -> None:
    BACKEND.submit(submission(folder, nodes=3))
    assert (folder / "node-0").readlink() == Path()
    assert sorted(path.name for path in folder.glob("node-[1-9]")) == ["node-1", "node-2"]
    assert (folder / "node-1").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (
            HTCondorException("Unable to locate local daemon."),
            BackendError,
            "cannot be reached from here: Unable to locate local daemon; is condor running",
        ),
        (
            HTCondorException("Failed to connect to <127.0.0.1:9>"),
            BackendError,
            "Nothing was submitted.",
        ),
        (ValueError("parse_up_to_q_line() failed"), BackendError, "check the site's directives"),
        (
            HTCondorException("Failed to create job ad, errmsg=Submit:-1:Parse error in\n\tx = ("),
            BackendError,
            "Parse error in x = (; check the site's directives",
        ),
        (
            HTCondorException("Unable to commit transaction, SCHEDD:2:MAX_JOBS_PER_OWNER is 5"),
            BackendError,
            "refused the job: Unable to commit transaction, SCHEDD:2:MAX_JOBS_PER_OWNER is 5.",
        ),
        (HTCondorException("SECMAN:2007:no answer"), BackendUnavailable, "gave no answer (submit)"),
    ],
)
def test_refusals(
    schedd: FakeSchedd, folder: Path, error: Exception, kind: type[BackendError], words: str
) -> None:
    schedd.raised = error
    with pytest.raises(BackendError) as raised:
        BACKEND.submit(submission(folder))
    assert type(raised.value) is kind
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_schedd_that_does_not_answer(schedd: FakeSchedd, folder: Path) -> None:
    schedd.seconds = 60
    backend = HTCondorBackend(
        SiteSettings(name="pool", backend="htcondor", command_timeout_seconds=0.3)
    )
    with pytest.raises(BackendUnavailable, match=r"did not answer \(submit\) within 0\.3 seconds"):
        backend.submit(submission(folder))
    with pytest.raises(BackendUnavailable):
        backend.poll(["12.0"])
    assert len(schedd.lines()) == 2  # never twice


def test_poll_is_one_call_however_many(schedd: FakeSchedd) -> None:
    schedd.queue = [record(12), record(17)]
    handles = [f"{number}.0" for number in range(10, 5010)]
    states = BACKEND.poll(handles)
    (line,) = schedd.lines()
    assert len(line) < 250
    assert "ClusterId >= 10" in line
    assert "ClusterId <= 5009" in line
    assert list(states) == handles
    assert states["12.0"].condition is Condition.RUNNING
    assert states["13.0"].condition is Condition.ABSENT


def test_nothing_asked_nothing_called(schedd: FakeSchedd) -> None:
    assert [BACKEND.poll([]), BACKEND.history([]), BACKEND.find([])] == [{}, {}, {}]
    BACKEND.cancel([])
    assert schedd.lines() == []


def test_history_is_read_no_further_than_needed(schedd: FakeSchedd) -> None:
    schedd.past = [record(12, 4)]
    states = BACKEND.history(["12.0", "14.0"])
    assert states.keys() == {"12.0"}
    (line,) = schedd.lines()
    assert line.endswith("((ProcId == 0 && member(ClusterId, {12, 14}))) 2")


def test_find_looks_into_history_for_what_the_queue_forgot(schedd: FakeSchedd) -> None:
    schedd.queue = [record(12)]
    assert BACKEND.find([TAG]) == {TAG: "12.0"}
    schedd.past = [record(9, 4, OTHER)]
    assert BACKEND.find([TAG, OTHER]) == {TAG: "12.0", OTHER: "9.0"}
    assert [line.split()[0] for line in schedd.lines()] == ["query", "query", "history"]
    assert schedd.lines()[-1] == f'history ProcId == 0 && member(ProminenceTag, {{"{OTHER}"}}) 1'


def test_cancel(schedd: FakeSchedd) -> None:
    BACKEND.cancel(["12.0", "13.0"])
    assert [line.split()[0] for line in schedd.lines()] == ["query", "remove"]
    assert schedd.lines()[1] == "remove 12.0 13.0"
    schedd.denied = 1
    with pytest.raises(BackendError, match="somebody else's"):
        BACKEND.cancel(["12.0"])


def test_copies_have_the_handle_of_their_cluster(schedd: FakeSchedd, folder: Path) -> None:
    many = submission(folder, copies=Copies(first=0, count=10_000))
    assert BACKEND.submit(many) == "12"
    assert len(schedd.lines()) == 1
    assert len(list(folder.iterdir())) == 4  # job.sub, job.sh, job.log, runner.pyz
    assert BACKEND.copy_handle("12", 3) == "12.3"


@pytest.mark.usefixtures("schedd")
def test_copies_of_several_nodes_share_a_folder(folder: Path) -> None:
    for number in range(3):
        one = submission(folder, nodes=2, copies=Copies(first=number, count=1))
        assert BACKEND.most_copies(one) == 1
        assert BACKEND.submit(one) == "12"
    assert BACKEND.most_copies(submission(folder)) is None
    assert "prominence_copy = 2 + $(ProcId)" in (folder / "2/job.sub").read_text()
    assert "arguments = $(ProcId)" in (folder / "job.sub").read_text()


@pytest.mark.usefixtures("schedd")
def test_what_a_job_may_be_reading_is_left_as_it_is(folder: Path) -> None:
    one = submission(folder, nodes=2, copies=Copies(first=0, count=1))
    BACKEND.submit(one)
    before = {path.name: path.lstat().st_mtime_ns for path in folder.glob("*[.r][ps][hy]*")}
    BACKEND.submit(replace(one, copies=Copies(first=1, count=1)))
    assert "job.sh" in before
    assert before == {path: (folder / path).lstat().st_mtime_ns for path in before}


def test_no_job_waits_for_another_outside_a_graph(schedd: FakeSchedd, folder: Path) -> None:
    with pytest.raises(BackendError, match="run by DAGMan"):
        BACKEND.submit(submission(folder, after=("11.0",)))
    assert schedd.lines() == []


def cluster(number: int) -> dict[str, Any]:
    made = {"JobMaterializeNextProcId": 100, "TotalSubmitProcs": 1000, "ProminenceCopy": 0}
    return {"ClusterId": number, "JobStatus": 1, "ProminenceTag": TAG, **made}


def test_jobs_that_are_not_made_yet_are_marked_as_deleted(
    schedd: FakeSchedd, programs: FakePrograms
) -> None:
    schedd.queue = [record(12, status=1), cluster(12)]
    programs.add("condor_qedit")
    BACKEND.cancel(["12.0", "12.300", "12.301"])
    (call,) = programs.calls()
    assert call["argv"] == [
        *("condor_qedit", "12"),
        *("ProminenceDeleted300", "true", "ProminenceDeleted301", "true"),
    ]
    assert schedd.lines()[-1] == "remove 12.0 12.300 12.301"


def test_jobs_of_a_graph_s_sweep_end_instead_of_being_removed(
    schedd: FakeSchedd, programs: FakePrograms
) -> None:
    """DAGMan would remove all others of their cluster."""
    spares = {"ProminenceSparesOthers": True, "DAGManJobId": 9}
    runs, idle, held = (
        {**record(12, status), "ProcId": proc, **spares} for proc, status in enumerate((2, 1, 5))
    )
    schedd.queue = [runs, idle, held, {**cluster(12), **spares}, record(13, status=1)]
    programs.add("condor_qedit")
    programs.add("condor_tail")
    BACKEND.cancel(["12.0", "12.1", "12.2", "12.300", "12.5", "13.0"])  # 12.5 has ended
    (call,) = (call for call in programs.calls() if call["argv"][0] == "condor_qedit")
    assert call["argv"][2::2] == [f"ProminenceDeleted{proc}" for proc in (0, 1, 2, 300)]
    assert schedd.lines()[1:] == ["vacate 12.0", "release 12.2", "remove 12.5 13.0"]
    BACKEND.cancel(["12"])  # all of them: no other is left to be spared
    assert schedd.lines()[-1] == "remove 12"


def test_a_mark_that_htcondor_does_not_take(schedd: FakeSchedd, programs: FakePrograms) -> None:
    schedd.queue = [cluster(12)]
    programs.add("condor_qedit", stderr="Queue transaction failed.\n", returncode=1)
    with pytest.raises(BackendError, match="cluster 12 be removed: Queue transaction failed"):
        BACKEND.cancel(["12.300"])


def test_what_a_running_copy_has_written_is_kept_in_its_folder(
    schedd: FakeSchedd, programs: FakePrograms, folder: Path
) -> None:
    schedd.queue = [{**running(folder), "ProcId": 7, "ProminenceCopy": 7}, cluster(12)]
    programs.add("condor_tail", stdout="so far\n")
    BACKEND.cancel(["12"])
    assert (folder / "7/stdout").read_text() == "so far\n"
    assert {call["argv"][-1] for call in programs.calls()} == {"7/stdout", "7/stderr"}
    assert schedd.lines()[-1] == "remove 12"


def test_output_of_a_running_copy_comes_from_its_folder_on_the_node(
    schedd: FakeSchedd, programs: FakePrograms, folder: Path
) -> None:
    (folder / "plan.json").write_text("{}")
    schedd.queue = [{**record(12), "ProcId": 7}]
    programs.add("condor_tail", stdout="so far\n")
    assert b"".join(BACKEND.output("12.7", folder / "7", "stderr")) == b"so far\n"
    (call,) = programs.calls()
    assert call["argv"][:2] == ["condor_tail", "-no-stdout"]
    assert call["argv"][-2:] == ["12.7", "7/stderr"]


def running(folder: Path, cluster: int = 12, status: int = 2) -> dict[str, Any]:
    return {**record(cluster, status), "Iwd": str(folder)}


def test_what_a_running_job_has_written_is_kept_before_its_removal(
    schedd: FakeSchedd, programs: FakePrograms, folder: Path
) -> None:
    others = folder.parent / "another job"
    others.mkdir()
    schedd.queue = [running(folder), running(others, 13), running(others, 14, status=1)]
    programs.add("condor_tail", stdout="caf\udce9 so far\n")
    BACKEND.cancel(["12.0", "14.0"])  # 13 is not among them, 14 does not run
    assert (folder / "stdout").read_bytes() == b"caf\xe9 so far\n"
    assert sorted(path.name for path in folder.iterdir()) == ["stderr", "stdout"]
    assert (folder / "stdout").stat().st_mode & 0o777 == 0o600
    assert list(others.iterdir()) == []
    assert schedd.lines()[-1] == "remove 12.0 14.0"


def test_nothing_is_made_of_a_stream_without_a_word(
    schedd: FakeSchedd, programs: FakePrograms, folder: Path
) -> None:
    schedd.queue = [running(folder)]
    programs.add("condor_tail")
    BACKEND.cancel(["12.0"])
    assert len(programs.calls()) == 2
    assert list(folder.iterdir()) == []


def test_what_htcondor_has_brought_meanwhile_is_not_overwritten(
    schedd: FakeSchedd, programs: FakePrograms, folder: Path
) -> None:
    schedd.queue = [running(folder)]
    programs.add("condor_tail", stdout="half\n")
    (folder / "stdout").write_text("half\nand the rest\n")
    BACKEND.cancel(["12.0"])
    assert (folder / "stdout").read_text() == "half\nand the rest\n"
    assert sorted(path.name for path in folder.iterdir()) == ["stderr", "stdout"]


@pytest.mark.parametrize("case", ["fails", "hangs", "is missing", "folder is gone"])
def test_output_that_cannot_be_kept_does_not_stop_the_removal(
    schedd: FakeSchedd,
    programs: FakePrograms,
    folder: Path,
    case: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    schedd.queue = [running(folder / "gone" if case == "folder is gone" else folder)]
    if case != "is missing":
        hangs, fails = case == "hangs", case == "fails"
        programs.add("condor_tail", stdout="x", seconds=60 * hangs, returncode=int(fails))
    backend = HTCondorBackend(
        SiteSettings(name="pool", backend="htcondor", command_timeout_seconds=1)
    )
    with caplog.at_level(logging.DEBUG, "prominence_hpc"):
        backend.cancel(["12.0"])
    assert schedd.lines()[-1] == "remove 12.0"
    assert list(folder.iterdir()) == []
    assert "stdout of job 12.0 is not fetched" in caplog.text


def test_the_output_of_too_many_jobs_is_not_waited_for(
    schedd: FakeSchedd, programs: FakePrograms, folder: Path
) -> None:
    numbers = range(12, 12 + JOBS_AT_ONCE + 1)
    schedd.queue = [running(folder, number) for number in numbers]
    programs.add("condor_tail", stdout="x")
    BACKEND.cancel([f"{number}.0" for number in numbers])
    assert programs.calls() == []
    assert schedd.lines()[-1].startswith("remove 12.0 13.0")


def test_nor_is_that_of_a_few_that_run_of_very_many(
    schedd: FakeSchedd, programs: FakePrograms, folder: Path
) -> None:
    waiting = [{**running(folder, status=1), "ProcId": proc} for proc in range(1, JOBS_AT_ONCE + 1)]
    schedd.queue = [running(folder), *waiting]
    programs.add("condor_tail", stdout="x")
    BACKEND.cancel(["12"])
    assert programs.calls() == []
    assert schedd.lines()[-1] == "remove 12"


def test_a_schedd_that_does_not_say_what_runs_is_told_to_remove_all_the_same(
    schedd: FakeSchedd, monkeypatch: pytest.MonkeyPatch
) -> None:
    def query(_constraint: str, _attributes: list[str], **_: str) -> list[dict[str, Any]]:
        raise HTCondorException

    monkeypatch.setattr(schedd, "query", query)
    BACKEND.cancel(["12.0"])
    assert schedd.lines() == ["remove 12.0"]


def test_bindings_that_are_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "htcondor2", None)
    with pytest.raises(ConfigError, match=r"pip install 'prominence-hpc\[htcondor\]'"):
        BACKEND.poll(["12.0"])


def test_output_of_a_running_job_comes_from_its_node(
    schedd: FakeSchedd, programs: FakePrograms, folder: Path
) -> None:
    schedd.queue = [record(12)]
    programs.add("condor_tail", stdout="so far\n")
    assert b"".join(BACKEND.output("12.0", folder, "stderr")) == b"so far\n"
    (call,) = programs.calls()
    assert call["argv"][:3] == ["condor_tail", "-no-stdout", "-stderr"]
    assert call["argv"][-1] == "12.0"


@pytest.mark.parametrize("status", [1, 4, 5])
def test_output_of_any_other_job_is_in_its_folder(
    schedd: FakeSchedd, programs: FakePrograms, folder: Path, status: int
) -> None:
    schedd.queue = [record(12, status)]
    (folder / "stdout").write_text("all\n")
    assert b"".join(BACKEND.output("12.0", folder, "stdout")) == b"all\n"
    assert programs.calls() == []


def test_output_of_a_job_that_ended_while_we_asked(
    schedd: FakeSchedd, programs: FakePrograms, folder: Path
) -> None:
    schedd.queue = [record(12)]
    programs.add("condor_tail", stderr="job not found\n", returncode=1)
    (folder / "stdout").write_text("all\n")
    assert b"".join(BACKEND.output("12.0", folder, "stdout")) == b"all\n"
