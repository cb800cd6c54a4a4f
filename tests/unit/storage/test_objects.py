"""What upload, ls and rm do, and what names in job descriptions mean."""

import errno
import hashlib
import os
import pwd
from pathlib import Path

import pytest

from prominence_hpc.adapter.objects import (
    list_objects,
    object_key,
    object_name,
    remove_object,
    resolve_names,
    upload_object,
)
from prominence_hpc.adapter.storage import Storage, StorageSettings, open_storage
from prominence_hpc.errors import NotFoundError, StorageError, UsageError

# Another user than alice, whose files those of this process are.
OTHER = pwd.getpwuid(os.geteuid()).pw_name


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return open_storage(StorageSettings(), state_folder=tmp_path, user="alice")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(b"hello")
    return path


@pytest.fixture
def stored(storage: Storage, source: Path, tmp_path: Path) -> list[str]:
    names = ["data.tar", "images/lammps.sif", "images/namd.sif", "images2"]
    for name in names:
        upload_object(storage, "alice", name, source)
    others = open_storage(StorageSettings(), state_folder=tmp_path, user=OTHER)
    upload_object(others, OTHER, "shared.tar", source)
    return names


def test_list_shows_ones_own(storage: Storage, stored: list[str]) -> None:
    found = list(list_objects(storage, "alice"))
    assert [object_name("alice", info.key) for info in found] == stored
    assert {info.sha256 for info in found} == {None}


def test_list_below_a_path(storage: Storage, stored: list[str]) -> None:
    for path in ["images", "images/"]:
        found = [object_name("alice", info.key) for info in list_objects(storage, "alice", path)]
        assert found == stored[1:3]
    (one,) = list_objects(storage, "alice", "data.tar", checksums=True)
    assert one.sha256 == hashlib.sha256(b"hello").hexdigest()


def test_list_of_nothing(storage: Storage, stored: list[str]) -> None:
    assert list(list_objects(storage, "carol")) == []
    with pytest.raises(NotFoundError, match=r"There is no object data\.tgz; did you mean data.tar"):
        list(list_objects(storage, "alice", "data.tgz"))
    assert stored


def test_remove(storage: Storage, stored: list[str]) -> None:
    remove_object(storage, "alice", "data.tar")
    assert len(list(list_objects(storage, "alice"))) == len(stored) - 1
    with pytest.raises(NotFoundError, match=r"There is no object image2; did you mean images2\?"):
        remove_object(storage, "alice", "image2")
    with pytest.raises(NotFoundError, match="`prominence ls` shows what there is"):
        remove_object(storage, "alice", "qqqqqq")


def test_names_become_objects(storage: Storage, stored: list[str]) -> None:
    names = ["data.tar", "images/namd.sif", f"{OTHER}/shared.tar", "alice/images2", "data.tar"]
    found = resolve_names(storage, "alice", names)
    assert {name: info.key for name, info in found.items()} == {
        "data.tar": "uploads/alice/data.tar",
        "images/namd.sif": "uploads/alice/images/namd.sif",
        f"{OTHER}/shared.tar": f"uploads/{OTHER}/shared.tar",
        "alice/images2": "uploads/alice/images2",
    }
    assert stored


def test_ones_own_object_wins(storage: Storage, stored: list[str], source: Path) -> None:
    upload_object(storage, "alice", f"{OTHER}/shared.tar", source)
    found = resolve_names(storage, "alice", [f"{OTHER}/shared.tar"])
    assert found[f"{OTHER}/shared.tar"].key == f"uploads/alice/{OTHER}/shared.tar"
    assert stored


def test_all_missing_names_are_told_at_once(storage: Storage, stored: list[str]) -> None:
    with pytest.raises(NotFoundError) as raised:
        resolve_names(storage, "alice", ["data.tar", "no such.sif", "images/none", "daemon/none"])
    assert str(raised.value) == (
        "There are no uploaded objects 'no such.sif', 'images/none', 'daemon/none'; upload with:\n"
        "  prominence upload --name 'no such.sif' --filename FILE\n"
        "  prominence upload --name images/none --filename FILE\n"
        "The user daemon has no object 'none', or has not made it readable."
    )
    assert stored


def test_checksum_of_the_user(storage: Storage, source: Path) -> None:
    right = hashlib.sha256(b"hello").hexdigest()
    upload_object(storage, "alice", "x", source, checksum=right.upper())
    with pytest.raises(StorageError, match="nothing was kept"):
        upload_object(storage, "alice", "x", source, checksum="0" * 64)
    for wrong in ["", "0" * 63, "g" * 64]:
        with pytest.raises(UsageError, match="is not a SHA-256"):
            upload_object(storage, "alice", "x", source, checksum=wrong)


@pytest.mark.parametrize("name", ["", "../bob/x", "/x", "x/"])
def test_names_that_cannot_be(name: str) -> None:
    with pytest.raises(UsageError):
        object_key("alice", name)


def test_unreadable_file_is_as_one_that_is_not_there(
    storage: Storage, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)  # root may read everything
    with pytest.raises(NotFoundError, match="You may not read"):
        upload_object(storage, "alice", "x", source)
