"""The state folder: where it is, and that nobody else can read what is in it."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from prominence_hpc.adapter.store.state_folder import (
    job_folder,
    make_job_folder,
    state_folder,
    write_private,
)
from prominence_hpc.errors import ConfigError, ConflictError


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def _open_umask() -> Iterator[None]:
    """The most generous umask there is: modes must not depend on it."""
    before = os.umask(0o000)
    yield
    os.umask(before)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"PROMINENCE_HOME": "{}/p", "XDG_STATE_HOME": "{}/x", "HOME": "{}/h"}, "p"),
        ({"XDG_STATE_HOME": "{}/x", "HOME": "{}/h"}, "x/prominence"),
        ({"XDG_STATE_HOME": "relative", "HOME": "{}/h"}, "h/.local/state/prominence"),
        ({"PROMINENCE_HOME": "", "HOME": "{}/h"}, "h/.local/state/prominence"),
    ],
)
def test_location(tmp_path: Path, environ: dict[str, str], expected: str) -> None:
    folder = state_folder({key: value.format(tmp_path) for key, value in environ.items()})

    assert folder == tmp_path / expected
    assert mode(folder) == 0o700


def test_a_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"file/home cannot be made: .*; set PROMINENCE_HOME"):
        state_folder({"PROMINENCE_HOME": str(tmp_path / "file" / "home")})
    with pytest.raises(ConfigError, match=r"file cannot be made: .*; set PROMINENCE_HOME"):
        state_folder({"PROMINENCE_HOME": str(tmp_path / "file")})


def test_a_home_that_is_not_writable_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # root may write anywhere, so that a mode alone would not do here
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ConfigError, match="is not writable; set PROMINENCE_HOME"):
        state_folder({"PROMINENCE_HOME": str(tmp_path)})


def test_job_folders_are_sharded_and_private(tmp_path: Path) -> None:
    assert job_folder(tmp_path, 7) == tmp_path / "jobs/0000/7"
    assert job_folder(tmp_path, 12_345_678) == tmp_path / "jobs/12345/12345678"
    folder = make_job_folder(tmp_path, 1000)
    assert folder == tmp_path / "jobs/0001/1000"
    assert [mode(path) for path in (folder, folder.parent, folder.parent.parent)] == [0o700] * 3


def test_a_folder_left_by_another_store_is_not_taken_over(tmp_path: Path) -> None:
    make_job_folder(tmp_path, 5)
    with pytest.raises(ConflictError, match="job 5 exists already"):
        make_job_folder(tmp_path, 5)


def test_private_files_are_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    write_private(path, "first")
    with pytest.raises(UnicodeEncodeError):
        write_private(path, "\udcff")
    assert path.read_text() == "first"
    write_private(path, b"second")
    assert path.read_text() == "second"
    assert mode(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]
