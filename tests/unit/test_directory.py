"""create --directory: what is packed, what is refused before it is, and what is left afterwards."""

import builtins
import os
import resource
import secrets
import socket
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prominence_hpc.adapter.create import create_job
from prominence_hpc.adapter.directory import PackedDirectory, link_problem
from prominence_hpc.adapter.storage import Progress, Storage, StorageSettings, open_storage
from prominence_hpc.adapter.workspace import Workspace, open_workspace
from prominence_hpc.errors import (
    BackendError,
    BackendUnavailable,
    NotFoundError,
    ProminenceError,
    SpecError,
    StorageError,
    UsageError,
)
from prominence_hpc.wrappers.runtime.errors import UnsafeName
from prominence_hpc.wrappers.runtime.fence import check_link

NAME = "0.tar.gz"
REFUSED = BackendError("no")
UNCONFIRMED = BackendUnavailable("no answer")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "work"
    (path / "sub").mkdir(parents=True)
    (path / "sub/file").write_text("content")
    (path / "sub/link").symlink_to("../sub/./file")
    return path


@pytest.fixture
def directory(folder: Path) -> PackedDirectory:
    return PackedDirectory(name=NAME, folder=folder, show=lambda _label, _size: nullcontext())


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return open_storage(StorageSettings(), state_folder=tmp_path / "state", user="alice")


def stored(storage: Storage) -> list[str]:
    return [info.key for info in storage.list_objects("uploads/alice/")]


def test_the_content_is_packed_and_shown(storage: Storage, folder: Path, tmp_path: Path) -> None:
    moved = []

    @contextmanager
    def show(label: str, size: int) -> Iterator[Progress]:
        moved.append((label, -size))
        yield lambda count: moved.append(("", count))

    with PackedDirectory(name=NAME, folder=folder, show=show).uploaded(storage, "alice") as info:
        storage.download(info.key, tmp_path / "fetched")
    with tarfile.open(tmp_path / "fetched") as archive:
        assert archive.getnames() == ["sub", "sub/file", "sub/link"]
    assert moved[0][0] == f"Uploading {folder}"
    assert sum(count for _, count in moved) == 0


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(os.path.relpath(path))


@pytest.mark.parametrize("kind", ["absolute", "outside", "through", "pipe", "socket"])
def test_what_no_node_unpacks_is_refused_before_the_upload(
    storage: Storage, directory: PackedDirectory, kind: str
) -> None:
    path = directory.folder / "sub" / "member"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        make_socket(path)
    else:
        target = {"absolute": "/etc/passwd", "outside": "../../x", "through": "a/../../x"}[kind]
        path.symlink_to(target)
    with (
        pytest.raises(UsageError, match=f"{path} is a .*, which no job can unpack"),
        directory.uploaded(storage, "alice"),
    ):
        raise AssertionError
    assert stored(storage) == []


@given(
    target=st.lists(st.sampled_from(["..", ".", "a", ""]), min_size=1, max_size=6).map("/".join),
    depth=st.integers(0, 3),
)
def test_links_are_judged_as_the_node_judges_them(target: str, depth: int) -> None:
    refused = False
    try:
        check_link((b"d",) * (depth + 1), target.encode())
    except UnsafeName:
        refused = True
    assert bool(link_problem(target, depth)) == (refused and target != "")


def test_a_full_temporary_folder_is_no_missing_file(
    storage: Storage, directory: PackedDirectory
) -> None:
    (directory.folder / "large").write_bytes(secrets.token_bytes(400_000))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with (
            pytest.raises(StorageError, match=r"in the temporary folder .* by setting TMPDIR"),
            directory.uploaded(storage, "alice"),
        ):
            raise AssertionError
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert stored(storage) == []


def test_unreadable_member_is_named(
    storage: Storage, directory: PackedDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = directory.folder / "sub/file"
    look = builtins.open

    def refuse(path: Path, mode: str) -> object:  # root may read everything
        if Path(path) == secret:
            raise PermissionError(13, "Permission denied", str(path))
        return look(path, mode)

    monkeypatch.setattr(tarfile, "bltn_open", refuse)  # its own name for open()
    with (
        pytest.raises(NotFoundError, match=f"{secret} cannot be packed: Permission denied"),
        directory.uploaded(storage, "alice"),
    ):
        raise AssertionError


def fail(storage: Storage, directory: PackedDirectory, error: Exception) -> None:
    with directory.uploaded(storage, "alice"):
        assert len(stored(storage)) == 1
        raise error


@pytest.mark.parametrize("error", [StorageError("x"), BackendError("x"), OSError("x")])
def test_the_archive_is_removed_where_no_job_is_made(
    storage: Storage, directory: PackedDirectory, error: Exception
) -> None:
    with pytest.raises(type(error)):
        fail(storage, directory, error)
    assert stored(storage) == []


def test_the_archive_stays_where_the_job_may_have_been_submitted(
    storage: Storage, directory: PackedDirectory
) -> None:
    with pytest.raises(BackendUnavailable), directory.uploaded(storage, "alice"):
        raise UNCONFIRMED
    assert len(stored(storage)) == 1


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return open_workspace(
        {
            "HOME": str(tmp_path),
            "PROMINENCE_HOME": str(tmp_path / "home"),
            "PROMINENCE_SITE": "local",
            "PROMINENCE_STORAGE_TYPE": "folder",
        }
    )


def document(**changes: object) -> dict[str, object]:
    return {
        "tasks": [{"image": "busybox", "cmd": "true"}],
        "resources": {"cpus": 1, "memory": 1, "nodes": 1, "disk": 1, "walltime": 1},
        "artifacts": [{"url": NAME}],
        **changes,
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"resources": {"cpus": 0, "memory": 1}},
        {"resources": {"cpus": 1, "memory": 1, "nodes": 2}},
        {"artifacts": [{"url": NAME}, {"url": "absent.tgz"}]},
    ],
    ids=["wrong", "not honoured", "missing"],
)
def test_nothing_is_uploaded_for_a_job_that_is_refused(
    workspace: Workspace,
    directory: PackedDirectory,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, object],
) -> None:
    def upload(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(PackedDirectory, "_upload", upload)
    with pytest.raises((SpecError, NotFoundError)):
        create_job(workspace, document(**changes), None, directory)


def test_a_submission_that_fails_leaves_no_archive(
    workspace: Workspace, directory: PackedDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> str:
        raise REFUSED

    user = workspace.config.user
    monkeypatch.setattr(type(workspace.backend("local")), "submit", refuse)
    with pytest.raises(ProminenceError):
        create_job(workspace, document(), None, directory)
    assert list(workspace.storage.list_objects(f"uploads/{user}/")) == []
    assert Path(workspace.state, "storage", user, "uploads").is_dir()  # it had been there
