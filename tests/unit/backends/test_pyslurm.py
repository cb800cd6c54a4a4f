from pathlib import Path
from typing import Any

import pytest

from prominence_hpc.backends.base import Condition
from prominence_hpc.backends.settings import SiteSettings
from prominence_hpc.backends.slurm import SlurmBackend
from prominence_hpc.backends.slurm.transport import in_use
from prominence_hpc.errors import BackendError, BackendUnavailable, ConfigError
from tests.unit.backends.fake_pyslurm import FakePyslurm
from tests.unit.backends.helpers import TAG, FakePrograms, submission

JOB: dict[str, Any] = {
    "state": "RUNNING",
    "start_time": 1000,
    "end_time": None,
    "exit_code": 0,
    "exit_code_signal": 0,
    "allocated_nodes": "node[1-2]",
    "state_reason": "None",
    "requeue_count": 1,
}


def settings(**more: Any) -> SiteSettings:
    values = {"slurm_transport": "pyslurm", "command_timeout_seconds": 5, **more}
    return SiteSettings(name="here", backend="slurm", **values)


@pytest.fixture
def pyslurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePyslurm:
    return FakePyslurm(tmp_path / "heard", monkeypatch)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "job 12"
    folder.mkdir()
    return folder


def test_submit(
    pyslurm: FakePyslurm, programs: FakePrograms, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv("SECRET_TOKEN", "x")
    assert SlurmBackend(settings(partition="a,b")).submit(submission(folder)) == "4711"
    (_, told, environment) = pyslurm.heard()[0]
    assert not {"SLURM_JOB_ID", "SECRET_TOKEN"} & (told["environment"].keys() | environment.keys())
    assert told["environment"]["SLURM_UMASK"] == "0077"
    assert told["comment"].startswith(f"prominence:{TAG} id=12")
    wanted = {
        "cpus_per_task": 4, "memory_per_node": "2048M", "nice": 97, "nodes": "1", "ntasks": 1,
        "ntasks_per_node": 1, "partitions": ["a", "b"], "time_limit": 45,
        "script": str(folder / "job.sh"), "working_directory": str(folder),
        "mail_types": [], "profile_types": [],
        "standard_output": "\\stdout", "standard_error": "\\stderr",
    }  # fmt: skip
    assert {name: told[name] for name in wanted} == wanted
    assert (folder / "job.sh").stat().st_mode & 0o777 == 0o700
    assert programs.calls() == []


@pytest.mark.parametrize(
    ("site", "config"),
    [
        ({"directives": ("--hold",)}, {}),
        ({"disk_option": "--tmp={mib}M"}, {}),
        ({}, {"cli_filter_plugins": ["lua"]}),
        ({}, {"accounting_store_flags": []}),
        ({}, {"plugin_stack_config": "/"}),
    ],
)
def test_what_sbatch_alone_can_do_is_left_to_it(
    pyslurm: FakePyslurm,
    programs: FakePrograms,
    folder: Path,
    site: dict[str, Any],
    config: dict[str, Any],
) -> None:
    pyslurm.config |= config
    programs.add("sbatch", stdout="12\n")
    assert SlurmBackend(settings(**site)).submit(submission(folder)) == "12"
    assert pyslurm.heard() == []


def test_an_option_that_pyslurm_is_not_told_of(
    pyslurm: FakePyslurm,
    programs: FakePrograms,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from prominence_hpc.backends.slurm import render

    known = render.directive_options
    monkeypatch.setattr(
        render, "directive_options", lambda *arguments: {**known(*arguments), "new": "1"}
    )
    programs.add("sbatch", stdout="12\n")
    assert SlurmBackend(settings()).submit(submission(folder)) == "12"
    assert pyslurm.heard() == []


@pytest.mark.parametrize(
    "error", [ValueError("no"), TypeError("no"), UnicodeEncodeError("a", "b", 0, 1, "c")]
)
def test_what_pyslurm_cannot_write_down_is_submitted_by_sbatch(
    pyslurm: FakePyslurm, programs: FakePrograms, folder: Path, error: Exception
) -> None:
    pyslurm.raised = error
    programs.add("sbatch", stdout="12\n")
    assert SlurmBackend(settings()).submit(submission(folder)) == "12"


def test_a_refusal_in_sbatch_s_words(
    pyslurm: FakePyslurm, programs: FakePrograms, folder: Path
) -> None:
    pyslurm.refuse("Invalid partition name specified")
    programs.add("sbatch", stderr="sbatch: error: invalid partition specified: x\n", returncode=1)
    with pytest.raises(BackendError, match="invalid partition specified: x; check partition"):
        SlurmBackend(settings(partition="x")).submit(submission(folder))
    (call,) = programs.calls()
    assert "--test-only" in call["argv"]


def test_a_refusal_where_sbatch_is_not_there_or_would_not_refuse(
    pyslurm: FakePyslurm, programs: FakePrograms, folder: Path
) -> None:
    pyslurm.refuse("Invalid qos specification")
    with pytest.raises(BackendError, match="refused the job: Invalid qos specification; check qos"):
        SlurmBackend(settings()).submit(submission(folder))
    programs.add("sbatch")
    with pytest.raises(BackendError, match="refused the job: Invalid qos specification; check qos"):
        SlurmBackend(settings()).submit(submission(folder))


@pytest.mark.parametrize(
    "words", ["Socket timed out on send/recv operation", "Zero Bytes were transmitted or received"]
)
def test_not_knowing_whether_it_was_taken(
    pyslurm: FakePyslurm, programs: FakePrograms, folder: Path, words: str
) -> None:
    pyslurm.refuse(words)
    programs.add("sbatch", stdout="12\n")
    with pytest.raises(BackendUnavailable, match="did not say whether it took the job"):
        SlurmBackend(settings()).submit(submission(folder))
    assert programs.calls() == []  # never a second time
    assert [call[0] for call in pyslurm.heard()] == ["submit"]


def test_states(pyslurm: FakePyslurm, programs: FakePrograms) -> None:
    pyslurm.jobs = {7: JOB, 9: {**JOB, "state": "FAILED", "exit_code_signal": 9}}
    states = SlurmBackend(settings()).poll(["7", "8", "9"])
    assert [state.condition for state in states.values()] == [
        Condition.RUNNING,
        Condition.ABSENT,
        Condition.ENDED,
    ]
    assert (states["7"].start_time, states["7"].nodes) == (1000.0, ("node1", "node2"))
    assert states["9"].exit_code == 137
    assert programs.calls() == []


def test_an_exit_code_that_may_be_another_is_asked_for_again(
    pyslurm: FakePyslurm, programs: FakePrograms
) -> None:
    pyslurm.jobs = {7: {**JOB, "state": "FAILED", "exit_code": 72}}
    programs.add("squeue", stdout="7|N/A|0|FAILED|1000|2000|200:0|node1|NonZeroExitCode\n")
    assert SlurmBackend(settings()).poll(["7"])["7"].exit_code == 200


def test_many_jobs_are_asked_for_by_one_command(
    pyslurm: FakePyslurm, programs: FakePrograms
) -> None:
    programs.add("squeue", stdout="7|N/A|0|RUNNING|1000|2000|0:0|node1|None\n")
    SlurmBackend(settings()).poll([str(number) for number in range(17)])
    assert len(programs.calls()) == 1
    assert pyslurm.heard() == []


def test_a_cancellation_that_pyslurm_has_trouble_with(
    pyslurm: FakePyslurm, programs: FakePrograms
) -> None:
    SlurmBackend(settings()).cancel(["7", "8"])
    assert pyslurm.heard() == [["cancel", 7], ["cancel", 8]]
    pyslurm.refuse("Access/permission denied")
    programs.add("scancel", stderr="scancel: error: Access/permission denied\n", returncode=1)
    with pytest.raises(BackendUnavailable, match="Access/permission denied"):
        SlurmBackend(settings()).cancel(["7"])


def test_a_pyslurm_for_another_series(
    pyslurm: FakePyslurm, programs: FakePrograms, folder: Path
) -> None:
    pyslurm.headers = (25, 5, 1)
    misfit = "pyslurm 25.11.2 was built for Slurm 25.05, and the controller is 25.11.4"
    with pytest.raises(ConfigError, match=misfit):
        SlurmBackend(settings()).submit(submission(folder))
    assert in_use(settings(slurm_transport="auto")).name == "commands"
    assert misfit in in_use(settings(slurm_transport="auto")).reason
    programs.add("squeue")
    backend = SlurmBackend(settings(slurm_transport="auto"))
    for _ in range(8):
        backend.poll(["7"])
    assert len(programs.calls()) == 8
    assert pyslurm.heard() == []


def test_pyslurm_takes_over_where_a_command_goes_on_asking(
    pyslurm: FakePyslurm, programs: FakePrograms
) -> None:
    pyslurm.jobs = {7: JOB}
    programs.add("squeue", stdout="7|N/A|0|RUNNING|1000|2000|0:0|node1|None\n")
    backend = SlurmBackend(settings(slurm_transport="auto"))
    states = [backend.poll(["7"])["7"].condition for _ in range(8)]
    assert set(states) == {Condition.RUNNING}
    assert (len(programs.calls()), len(pyslurm.heard())) == (5, 3)
    assert in_use(settings(slurm_transport="auto")).name == "pyslurm"


def test_no_pyslurm(monkeypatch: pytest.MonkeyPatch, programs: FakePrograms) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pyslurm", None)
    assert in_use(settings(slurm_transport="auto")).name == "commands"
    with pytest.raises(ConfigError, match=r"here.*slurm_transport.*cannot be imported"):
        SlurmBackend(settings()).poll(["7"])
    assert programs.calls() == []
