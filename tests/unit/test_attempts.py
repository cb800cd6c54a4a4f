"""Which file holds the stream of an attempt, wherever its backend has left it."""

import json
from pathlib import Path

import pytest

from prominence_hpc.adapter.attempts import earlier_attempts, stream_of_attempt
from prominence_hpc.errors import ConflictError, NotFoundError
from prominence_hpc.wrappers.report import REPORT_VERSION, Report


def report(folder: Path, attempt: int, phase: str = "retrying") -> None:
    document = dict.fromkeys(Report.__required_keys__) | {
        "version": REPORT_VERSION,
        "attempt": attempt,
        "phase": phase,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(document))


def stream(folder: Path, attempt: int, *, begun: bool = False) -> str:
    path = stream_of_attempt(folder, 7, attempt, "stdout", begun=begun)
    return str(path.relative_to(folder))


def test_a_job_that_has_not_begun(tmp_path: Path) -> None:
    with pytest.raises(ConflictError, match="Attempt 1 of job 7 has not begun"):
        stream(tmp_path, 1)
    with pytest.raises(NotFoundError, match="keeps no attempt 2; there are: none so far"):
        stream(tmp_path, 2)
    assert stream(tmp_path, 1, begun=True) == "stdout"


def test_between_attempts_that_share_a_folder(tmp_path: Path) -> None:
    """As on Slurm: the next one puts aside what the one before has left."""
    report(tmp_path, 0)
    assert stream(tmp_path, 1) == "stdout"
    with pytest.raises(ConflictError, match="Attempt 2"):
        stream(tmp_path, 2)
    report(tmp_path / "attempts/1", 0)
    report(tmp_path, 1, "tasks")
    assert stream(tmp_path, 1, begun=True) == "attempts/1/stdout"
    assert stream(tmp_path, 2, begun=True) == "stdout"
    with pytest.raises(ConflictError, match="Attempt 3"):
        stream(tmp_path, 3, begun=True)


def test_between_attempts_that_have_a_folder_each(tmp_path: Path) -> None:
    """As on HTCondor: the one that fails leaves its files itself, and its report twice."""
    for folder in (tmp_path, tmp_path / "attempts/1"):
        report(folder, 0)
    assert stream(tmp_path, 1) == "attempts/1/stdout"
    with pytest.raises(ConflictError, match="Attempt 2"):
        stream(tmp_path, 2)
    assert stream(tmp_path, 2, begun=True) == "stdout"


def test_after_the_last(tmp_path: Path) -> None:
    report(tmp_path / "attempts/1", 0)
    (tmp_path / "attempts/2.part").mkdir()  # of a start that was cut short
    report(tmp_path, 1, "finished")
    assert stream(tmp_path, 2, begun=True) == "stdout"
    with pytest.raises(NotFoundError, match="keeps no attempt 3; there are: 1, 2"):
        stream(tmp_path, 3, begun=True)
    found = earlier_attempts(tmp_path)
    assert list(found) == [1]
    assert found[1] is not None
