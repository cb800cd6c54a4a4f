"""Objects in a folder: the same promises, kept by a file system."""

import hashlib
import os
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prominence_hpc.adapter.storage import Storage, StorageSettings, open_storage
from prominence_hpc.errors import ConfigError, NotFoundError, StorageError, UsageError

KEY = "uploads/alice/data.tar"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def storage(root: Path, tmp_path: Path) -> Storage:
    settings = StorageSettings(path=str(root))
    return open_storage(settings, state_folder=tmp_path / "state", user="alice")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(b"hello")
    return path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_default_folder_is_in_the_state_folder(tmp_path: Path, source: Path) -> None:
    storage = open_storage(StorageSettings(), state_folder=tmp_path / "state", user="alice")
    storage.upload(source, KEY)
    assert (tmp_path / "state" / "storage" / KEY).read_bytes() == b"hello"


def test_round_trip(storage: Storage, source: Path, target: Path) -> None:
    moved: list[int] = []
    uploaded = storage.upload(source, KEY, progress=moved.append)
    found = storage.head_many([KEY, "uploads/alice/absent"])
    assert found == {KEY: uploaded}
    assert (uploaded.size_bytes, uploaded.sha256) == (5, sha256(b"hello"))
    storage.download(KEY, target, progress=moved.append)
    assert target.read_bytes() == b"hello"
    assert moved == [5, 5]


NAME = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None
)
@given(name=NAME.filter(lambda name: name not in {".", ".."} and name[:11] != ".prominence"))
def test_any_name_comes_back(storage: Storage, source: Path, target: Path, name: str) -> None:
    key = f"uploads/alice/{name[:60]}"
    storage.upload(source, key)
    assert key in [info.key for info in storage.list_objects("uploads/alice/")]
    assert storage.head_many([key])[key].sha256 == sha256(b"hello")
    storage.download(key, target)
    storage.delete(key)
    assert storage.head_many([key]) == {}


def test_nobody_else_can_look(storage: Storage, root: Path, source: Path) -> None:
    storage.upload(source, KEY)
    storage.prepare("scratch/5f/")
    assert mode(root) == 0o700
    assert mode(root / "uploads/alice") == 0o700
    assert mode(root / "scratch/5f") == 0o700
    assert mode(root / KEY) == 0o600


def test_root_that_many_share(storage: Storage, root: Path, source: Path) -> None:
    root.mkdir()
    root.chmod(0o1777)
    storage.upload(source, KEY)
    assert mode(root / "uploads") == 0o1777
    assert mode(root / "uploads/alice") == 0o700


def test_root_without_the_sticky_bit_is_refused(storage: Storage, root: Path, source: Path) -> None:
    root.mkdir()
    root.chmod(0o777)
    with pytest.raises(ConfigError, match="chmod it to 1777"):
        storage.upload(source, KEY)


def test_link_in_the_way_is_refused(storage: Storage, root: Path, source: Path) -> None:
    elsewhere = root.parent / "elsewhere"
    elsewhere.mkdir()
    (root / "uploads").mkdir(parents=True)
    (root / "uploads" / "alice").symlink_to(elsewhere)
    with pytest.raises(StorageError, match="should be a folder and is not"):
        storage.upload(source, KEY)
    assert list(elsewhere.iterdir()) == []


def test_folder_of_somebody_else_is_refused(
    storage: Storage, root: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.prepare("uploads/alice")
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with pytest.raises(StorageError, match="alice belongs to another user"):
        storage.upload(source, KEY)
    assert not (root / KEY).exists()


def test_nobody_uploads_into_another_users_place(
    storage: Storage, root: Path, source: Path
) -> None:
    with pytest.raises(UsageError, match="in the place of the user bob"):
        storage.upload(source, "uploads/bob/x")
    assert not (root / "uploads/bob").exists()


def test_wrong_checksum_leaves_what_was_there(storage: Storage, root: Path, source: Path) -> None:
    storage.upload(source, KEY)
    source.write_bytes(b"other")
    with pytest.raises(StorageError, match="nothing was kept"):
        storage.upload(source, KEY, sha256="0" * 64)
    assert (root / KEY).read_bytes() == b"hello"
    assert storage.head_many([KEY])[KEY].sha256 == sha256(b"hello")
    assert sorted(path.name for path in (root / KEY).parent.iterdir()) == [
        ".prominence",
        "data.tar",
    ]


def test_checksum_of_a_file_changed_by_hand_is_not_believed(
    storage: Storage, root: Path, source: Path
) -> None:
    storage.upload(source, KEY)
    (root / KEY).write_bytes(b"changed by hand")
    assert storage.head_many([KEY])[KEY].sha256 is None


def test_damaged_object_is_not_fetched(
    storage: Storage, root: Path, source: Path, target: Path
) -> None:
    storage.upload(source, KEY)
    times = (root / KEY).stat()
    (root / KEY).write_bytes(b"hallo")
    os.utime(root / KEY, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(StorageError, match="nothing was kept"):
        storage.download(KEY, target)
    assert not target.exists()


def test_what_is_missing(storage: Storage, target: Path) -> None:
    with pytest.raises(NotFoundError, match="There is no object uploads/alice/x in the folder"):
        storage.download("uploads/alice/x", target)
    storage.delete("uploads/alice/x")
    assert list(storage.list_objects("uploads/alice/")) == []


def test_listing_is_in_order_of_keys(storage: Storage, source: Path) -> None:
    keys = [f"uploads/alice/{name}" for name in ["a-b", "a/b", "a.c", "a/a/x", "b"]]
    for key in keys:
        storage.upload(source, key)
    assert [info.key for info in storage.list_objects("uploads/alice/")] == sorted(keys)
    assert [info.key for info in storage.list_objects("uploads/alice/a/")] == [
        "uploads/alice/a/a/x",
        "uploads/alice/a/b",
    ]
    assert [info.key for info in storage.list_objects("uploads/alice/a-")] == [keys[0]]


def test_keys_cannot_leave_the_folder(storage: Storage, source: Path, target: Path) -> None:
    for key in ["uploads/alice/../bob/x", "/etc/passwd", "uploads/alice/.prominence/x"]:
        with pytest.raises(UsageError):
            storage.upload(source, key)
        with pytest.raises(UsageError):
            storage.download(key, target)
        with pytest.raises(UsageError):
            storage.head_many([key])
        with pytest.raises(UsageError):
            storage.delete(key)


def test_places_for_nodes(storage: Storage, root: Path, source: Path) -> None:
    info = storage.upload(source, "uploads/alice/a b")
    assert storage.source(info) == str(root / "uploads/alice/a b")
    assert storage.temporary_url("scratch/5f/a b") == f"file://{root}/scratch/5f/a%20b"
    # The wrapper adds the object's name, slashes and all, to the folder.
    for place in [
        storage.destination("scratch/5f/out/a.txt"),
        storage.destination_prefix("scratch/5f/"),
    ]:
        assert (place.method, place.path) == ("folder", str(root / "scratch/5f"))
