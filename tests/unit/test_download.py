"""Which files a job's outputs become."""

from pathlib import Path

import pytest

from prominence_hpc.adapter.download import Download, local_names, make_folder, refuse_clashes
from prominence_hpc.errors import ConflictError
from prominence_hpc.wrappers.report import StoredObject


def stored(*names: str) -> list[StoredObject]:
    return [StoredObject(name=name, size_bytes=1, sha256="") for name in names]


def test_files_get_their_own_names() -> None:
    assert local_names(stored("a.nc", "sub/b.nc", "results.tgz")) == {
        "a.nc": "a.nc",
        "sub/b.nc": "b.nc",
        "results.tgz": "results.tgz",
    }


def test_files_of_one_name_keep_their_folders() -> None:
    assert local_names(stored("x/log", "y/log", "other")) == {
        "x/log": "x/log",
        "y/log": "y/log",
        "other": "other",
    }


def test_two_jobs_must_not_overwrite_each_other() -> None:
    same = [Download(f"scratch/{uid}/log", Path("log"), 1, None) for uid in ("a", "b")]
    with pytest.raises(ConflictError, match="--dir"):
        refuse_clashes(same)
    refuse_clashes(same[:1])


def test_a_file_in_the_way_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "2").write_text("a file")
    with pytest.raises(ConflictError, match="there is a file of that name"):
        make_folder(tmp_path / "2")
