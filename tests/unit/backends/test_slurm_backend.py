from pathlib import Path

import pytest

from prominence_hpc.backends.base import Condition
from prominence_hpc.backends.settings import SiteSettings
from prominence_hpc.backends.slurm import SlurmBackend
from prominence_hpc.errors import BackendError, BackendUnavailable
from tests.unit.backends.helpers import TAG, FakePrograms, submission

BACKEND = SlurmBackend(
    SiteSettings(
        name="here", backend="slurm", slurm_transport="commands", command_timeout_seconds=5
    )
)
OTHER = "f" * 32
SAID = "sbatch: error: "

DIED = f"{SAID}Batch job submission failed: "


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "job 12"
    folder.mkdir()
    return folder


def test_submit(programs: FakePrograms, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_TIME_FORMAT", "%H")
    monkeypatch.setenv("SBATCH_PARTITION", "elsewhere")
    monkeypatch.setenv("SECRET_TOKEN", "x")
    monkeypatch.setenv("SLURM_CONF", "/opt/slurm.conf")
    monkeypatch.setenv("HOME", "/tmp/elsewhere")
    programs.add("sbatch", stdout="4711\n")
    assert BACKEND.submit(submission(folder)) == "4711"
    (call,) = programs.calls()
    assert call["argv"][-1] == str(folder / "job.sh")
    environment = call["environment"]
    assert environment["SLURM_CONF"] == "/opt/slurm.conf"
    assert environment["HOME"] != "/tmp/elsewhere"
    assert not {"SLURM_TIME_FORMAT", "SBATCH_PARTITION", "SECRET_TOKEN"} & environment.keys()
    assert (folder / "job.sh").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("stderr", "words"),
    [
        (
            f"{SAID}invalid partition specified: gpu\n{DIED}Invalid partition name specified\n",
            "the job: invalid partition specified: gpu; Invalid partition name specified; check part",
        ),
        (
            f"{SAID}Memory specification can not be satisfied\n{DIED}Requested node …\n",
            "ask for less memory",
        ),
        (f"{DIED}Requested time limit is invalid (missing or exceeds some limit)\n", "walltime"),
        (f"{DIED}Invalid account or account/partition combination specified\n", "check account"),
        (
            (
                f"{SAID}AssocMaxSubmitJobLimit\n{DIED}Job violates accounting/QOS policy "
                "(job submit limit, user's size and/or time limits)\n"
            ),
            "reached a limit: wait",
        ),
        ("sbatch: unrecognized option '--nosuch'\nTry --help\n", "site's directives"),
        ("", "exit code 1 without a word"),
        (
            f"{DIED}Unable to contact slurm controller (connect failure)\n",
            "Slurm's controller cannot be reached, nothing was submitted",
        ),
    ],
)
def test_refusals(programs: FakePrograms, folder: Path, stderr: str, words: str) -> None:
    programs.add("sbatch", stderr=stderr, returncode=1)
    with pytest.raises(BackendError) as raised:
        BACKEND.submit(submission(folder))
    assert not isinstance(raised.value, BackendUnavailable)
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)
    assert (raised.value.returncode, raised.value.stderr) == (1, stderr)


@pytest.mark.parametrize(
    "stderr",
    [
        f"{DIED}Socket timed out on send/recv operation\n",
        f"{DIED}Zero Bytes were transmitted or received\n",
        f"{DIED}Transport endpoint is not connected\n",
        f"{DIED}Unable to contact slurm controller (send failure)\n",
        f"{DIED}Unable to contact slurm controller (receive failure)\n",
        f"{DIED}Unable to contact slurm controller (shutdown failure)\n",
        f"{DIED}Unable to contact slurm controller\n",
        f"{DIED}Message send failure\n",
        # It was asked again after the first answer was lost.
        (
            f"{SAID}Zero Bytes were transmitted or received\n"
            f"{DIED}Unable to contact slurm controller (connect failure)\n"
        ),
    ],
)
def test_not_knowing_whether_it_was_taken(
    programs: FakePrograms, folder: Path, stderr: str
) -> None:
    programs.add("sbatch", stderr=stderr, returncode=1)
    with pytest.raises(BackendUnavailable, match="did not say whether it took the job"):
        BACKEND.submit(submission(folder))
    assert len(programs.calls()) == 1  # never twice


def test_an_answer_without_an_id_may_be_a_job(programs: FakePrograms, folder: Path) -> None:
    programs.add("sbatch", stdout="All is well.\n")
    with pytest.raises(BackendUnavailable):
        BACKEND.submit(submission(folder))


def test_poll_is_one_call_however_many(programs: FakePrograms) -> None:
    programs.add("squeue", stdout="7|N/A|0|RUNNING|1000|2000|0:0|node1|None\n")
    handles = [str(number) for number in range(1, 5001)]
    states = BACKEND.poll(handles)
    (call,) = programs.calls()
    assert sum(map(len, call["argv"])) < 300
    assert call["environment"]["SLURM_TIME_FORMAT"] == "%s"
    assert list(states) == handles
    assert states["7"].condition is Condition.RUNNING
    assert states["8"].condition is Condition.ABSENT


def test_nothing_asked_nothing_called(programs: FakePrograms) -> None:
    assert [BACKEND.poll([]), BACKEND.history([]), BACKEND.find([])] == [{}, {}, {}]
    BACKEND.cancel([])
    assert programs.calls() == []


def test_a_queue_that_does_not_answer_is_not_an_empty_one(programs: FakePrograms) -> None:
    programs.add("squeue", stderr="slurm_load_jobs error: Unable to contact", returncode=1)
    with pytest.raises(BackendUnavailable, match="squeue got no answer"):
        BACKEND.poll(["7"])
    with pytest.raises(BackendUnavailable):
        BACKEND.find([TAG])


def test_history(programs: FakePrograms) -> None:
    programs.add("sacct", stdout="7|FAILED|1000|2000|3:0|node1|1000|None\n")
    states = BACKEND.history(["7", "8"])
    assert states.keys() == {"7"}
    assert states["7"].exit_code == 3
    assert len(programs.calls()) == 1


def test_a_site_without_accounting(programs: FakePrograms) -> None:
    assert BACKEND.history(["7"]) == {}  # no sacct
    programs.add("sacct", stderr="Slurm accounting storage is disabled\n", returncode=1)
    assert BACKEND.history(["7"]) == {}
    programs.add("squeue", stdout=f"12|prominence:{TAG} id=1\n")
    assert BACKEND.find([TAG, OTHER]) == {TAG: "12"}


def test_accounting_that_is_down_is_no_answer(programs: FakePrograms) -> None:
    programs.add("sacct", stderr="sacct: error: Problem talking to the database\n", returncode=1)
    with pytest.raises(BackendUnavailable, match="Problem talking to the database"):
        BACKEND.history(["7"])


def test_find_looks_into_accounting_for_what_the_queue_forgot(programs: FakePrograms) -> None:
    programs.add("squeue", stdout=f"12|prominence:{TAG} id=1\n")
    assert BACKEND.find([TAG]) == {TAG: "12"}
    assert [call["argv"][0] for call in programs.calls()] == ["squeue"]
    programs.add("sacct", stdout=f"9|sbatch --comment=prominence:{OTHER} id=2\n")
    assert BACKEND.find([TAG, OTHER]) == {TAG: "12", OTHER: "9"}


def test_cancel(programs: FakePrograms) -> None:
    programs.add("scancel")
    BACKEND.cancel([str(number) for number in range(1500)])
    assert [len(call["argv"]) for call in programs.calls()] == [1001, 501]


@pytest.mark.parametrize(
    "stderr",
    [
        "scancel: error: Kill job error on job id 7: Job/step already completing or completed\n",
        "scancel: error: Kill job error on job id 7: Invalid job id specified\n",
    ],
)
def test_cancelling_what_is_over(programs: FakePrograms, stderr: str) -> None:
    programs.add("scancel", stderr=stderr, returncode=1)
    BACKEND.cancel(["7"])


def test_a_cancellation_that_was_not_heard(programs: FakePrograms) -> None:
    programs.add("scancel", stderr="scancel: error: Unable to contact\n", returncode=1)
    with pytest.raises(BackendUnavailable):
        BACKEND.cancel(["7"])


def test_output(tmp_path: Path) -> None:
    assert list(BACKEND.output("7", tmp_path, "stdout")) == []
    (tmp_path / "stdout").write_bytes(b"x" * 200_000)
    assert b"".join(BACKEND.output("7", tmp_path, "stdout")) == b"x" * 200_000
