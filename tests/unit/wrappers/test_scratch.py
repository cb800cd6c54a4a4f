"""The job's folder on the node: private, removed whole, and what dead jobs left is swept."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from prominence_hpc.wrappers.runtime.errors import JobFailed
from prominence_hpc.wrappers.runtime.scratch import Scratch, base_folder, sweep
from prominence_hpc.wrappers.runtime.text import decode


def test_it_is_private_and_removed_whole(tmp_path: Path) -> None:
    scratch = Scratch(bytes(tmp_path / "base"), 7)
    path = Path(decode(scratch.path))
    assert path.stat().st_mode & 0o777 == 0o700
    work = Path(decode(scratch.work))
    (work / "closed/below").mkdir(parents=True)
    (work / "closed/below/file").write_text("x")
    (work / "closed/below").chmod(0o500)
    (work / "closed").chmod(0)
    (work / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/kept").write_text("x")
    scratch.remove()
    assert list((tmp_path / "base").iterdir()) == []
    assert (tmp_path / "outside/kept").exists()


HOLD = """
import sys, os
from prominence_hpc.wrappers.runtime.scratch import Scratch
Scratch(os.fsencode(sys.argv[1]), 1)
print("made", flush=True)
sys.stdin.read()
os._exit(0)
"""


def test_what_a_killed_job_left_is_swept_and_what_runs_is_not(tmp_path: Path) -> None:
    path = os.pathsep.join(filter(None, sys.path))
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"made\n"
        (tmp_path / "prominence-of-somebody").mkdir()
        assert sweep(bytes(tmp_path)) == []
        holder.kill()
    left = [path.name for path in tmp_path.iterdir() if path.name.startswith("prominence-1-")]
    assert [decode(name) for name in sweep(bytes(tmp_path))] == left
    assert [path.name for path in tmp_path.iterdir()] == ["prominence-of-somebody"]


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("_CONDOR_SCRATCH_DIR", "SLURM_TMPDIR", "TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_where_it_is_made(clean: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert base_folder({"scratch": None}) == b"/tmp"
    for name in ("TMPDIR", "SLURM_TMPDIR", "_CONDOR_SCRATCH_DIR"):
        (tmp_path / name).mkdir()
        clean.setenv(name, str(tmp_path / name))
        assert base_folder({"scratch": None}) == bytes(tmp_path / name)
    clean.setenv("LOCAL", "/local/me")
    assert base_folder({"scratch": "$LOCAL/x"}) == b"/local/me/x"


def test_a_variable_that_is_not_set(clean: pytest.MonkeyPatch) -> None:
    clean.delenv("NOT_SET", raising=False)
    with pytest.raises(JobFailed) as error:
        base_folder({"scratch": "$NOT_SET/x"})
    assert "$NOT_SET/x names a variable" in error.value.detail


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JobFailed) as error:
        Scratch(bytes(tmp_path / "file/below"), 1)
    assert error.value.reason == "Working directory could not be made"
    with pytest.raises(JobFailed, match="has a colon"):
        Scratch(bytes(tmp_path / "a:b"), 1)
