"""Objects in a folder: the same promises, kept by a file system."""

import hashlib
import os
import pwd
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prominence_hpc.adapter.storage import ObjectInfo, Storage, StorageSettings, open_storage
from prominence_hpc.errors import ConfigError, NotFoundError, StorageError, UsageError

KEY = "uploads/alice/data.tar"
FILE = "alice/uploads/data.tar"


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


class Planted:
    """Folders of other users. Who runs the tests need not be root: lstat is told who owns what."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.owners: dict[str, int] = {}
        for name in ("stat", "lstat"):
            monkeypatch.setattr(Path, name, self._telling(getattr(Path, name)))

    def belongs(self, path: Path, uid: int) -> None:
        self.owners[str(path)] = uid

    def folder(self, name: str, uid: int) -> None:
        """A user's folder with an upload in it."""
        uploads = self.root / name / "uploads"
        uploads.mkdir(parents=True)
        (uploads / "data.tar").write_bytes(b"evil")
        self.belongs(self.root / name, uid)

    def _telling(self, look: Callable[..., os.stat_result]) -> Callable[..., os.stat_result]:
        def told(path: Path, **options: bool) -> os.stat_result:
            status = look(path, **options)
            uid = self.owners.get(str(path))
            fields = list(status)
            return status if uid is None else os.stat_result([*fields[:4], uid, *fields[5:]])

        return told


@pytest.fixture
def planted(root: Path, monkeypatch: pytest.MonkeyPatch) -> Planted:
    return Planted(root, monkeypatch)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_default_folder_is_in_the_state_folder(tmp_path: Path, source: Path) -> None:
    storage = open_storage(StorageSettings(), state_folder=tmp_path / "state", user="alice")
    storage.upload(source, KEY)
    assert (tmp_path / "state" / "storage" / FILE).read_bytes() == b"hello"


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
    assert mode(root / "alice") == 0o700
    assert mode(root / "alice/uploads") == 0o700
    assert mode(root / "alice/scratch/5f") == 0o700
    assert mode(root / FILE) == 0o600


def test_root_that_many_share(storage: Storage, root: Path, source: Path) -> None:
    root.mkdir()
    root.chmod(0o1777)
    storage.upload(source, KEY)
    assert [path.name for path in root.iterdir()] == ["alice"]
    assert mode(root / "alice") == 0o700


def accesses(storage: Storage, source: Path, target: Path) -> list[Callable[[], object]]:
    """Everything that can be done with one's own place."""
    info = ObjectInfo(key=KEY, size_bytes=5)
    return [
        lambda: storage.head_many([KEY]),
        lambda: list(storage.list_objects("uploads/alice/")),
        lambda: storage.download(KEY, target),
        lambda: storage.delete(KEY),
        lambda: storage.upload(source, KEY),
        lambda: storage.prepare("scratch/5f/"),
        lambda: storage.source(info),
        lambda: storage.destination("scratch/5f/x"),
        lambda: storage.destination_prefix("scratch/5f/"),
        lambda: storage.temporary_url(KEY),
    ]


def test_root_without_the_sticky_bit_is_refused(
    storage: Storage, root: Path, source: Path, target: Path
) -> None:
    root.mkdir()
    root.chmod(0o777)
    for access in accesses(storage, source, target):
        with pytest.raises(ConfigError, match="chmod it to 1777"):
            access()


def test_root_of_somebody_else_is_refused(
    storage: Storage, root: Path, source: Path, target: Path, planted: Planted
) -> None:
    root.mkdir()
    planted.belongs(root, 4711)
    for access in accesses(storage, source, target):
        with pytest.raises(ConfigError, match="belongs to user 4711"):
            access()


def test_link_in_the_way_is_refused(
    storage: Storage, root: Path, source: Path, target: Path
) -> None:
    elsewhere = root.parent / "elsewhere"
    (elsewhere / "uploads").mkdir(parents=True)
    (elsewhere / "uploads/data.tar").write_bytes(b"evil")
    root.mkdir()
    (root / "alice").symlink_to(elsewhere)
    for access in accesses(storage, source, target):
        with pytest.raises(StorageError, match="alice should be your own folder and is a link"):
            access()
    assert (elsewhere / "uploads/data.tar").read_bytes() == b"evil"
    assert not target.exists()


def test_planted_folder_is_refused(
    storage: Storage, root: Path, source: Path, target: Path, planted: Planted
) -> None:
    planted.folder("alice", 4711)
    for access in accesses(storage, source, target):
        with pytest.raises(StorageError, match="own folder and is a folder of user 4711"):
            access()
    assert (root / FILE).read_bytes() == b"evil"
    assert not target.exists()


def test_another_users_object_is_read_where_the_place_is_theirs(
    storage: Storage, root: Path, target: Path, planted: Planted
) -> None:
    planted.folder("daemon", pwd.getpwnam("daemon").pw_uid)
    key = "uploads/daemon/data.tar"
    info = storage.head_many([key])[key]
    assert storage.source(info) == str(root / "daemon/uploads/data.tar")
    storage.download(key, target)
    assert target.read_bytes() == b"evil"


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_what_is_planted_for_another_user_counts_as_absent(
    storage: Storage, root: Path, target: Path, planted: Planted, kind: str
) -> None:
    planted.folder("daemon" if kind == "folder" else "nobody", pwd.getpwnam("nobody").pw_uid)
    if kind == "link":
        (root / "daemon").symlink_to(root / "nobody")
        planted.belongs(root / "daemon", pwd.getpwnam("daemon").pw_uid)
    key = "uploads/daemon/data.tar"
    assert storage.head_many([key]) == {}
    assert list(storage.list_objects("uploads/daemon/")) == []
    refused: list[Callable[[], object]] = [
        lambda: storage.download(key, target),
        lambda: storage.source(ObjectInfo(key=key, size_bytes=4)),
        lambda: storage.temporary_url(key),
    ]
    for access in refused:
        with pytest.raises(NotFoundError, match=f"There is no object {key}"):
            access()
    storage.delete(key)
    assert (root / "daemon/uploads/data.tar").exists()


def test_folder_that_others_could_write_to_is_closed(
    storage: Storage, root: Path, source: Path
) -> None:
    storage.upload(source, KEY)
    (root / "alice").chmod(0o777)
    (root / "alice/uploads").chmod(0o777)
    storage.upload(source, KEY)
    assert (mode(root / "alice"), mode(root / "alice/uploads")) == (0o700, 0o700)


def test_nobody_uploads_into_another_users_place(
    storage: Storage, root: Path, source: Path
) -> None:
    with pytest.raises(UsageError, match="in the place of the user bob"):
        storage.upload(source, "uploads/bob/x")
    assert not (root / "bob").exists()


def test_wrong_checksum_leaves_what_was_there(storage: Storage, root: Path, source: Path) -> None:
    storage.upload(source, KEY)
    source.write_bytes(b"other")
    with pytest.raises(StorageError, match="nothing was kept"):
        storage.upload(source, KEY, sha256="0" * 64)
    assert (root / FILE).read_bytes() == b"hello"
    assert storage.head_many([KEY])[KEY].sha256 == sha256(b"hello")
    assert sorted(path.name for path in (root / FILE).parent.iterdir()) == [
        ".prominence",
        "data.tar",
    ]


def test_checksum_of_a_file_changed_by_hand_is_not_believed(
    storage: Storage, root: Path, source: Path
) -> None:
    storage.upload(source, KEY)
    (root / FILE).write_bytes(b"changed by hand")
    assert storage.head_many([KEY])[KEY].sha256 is None


def test_damaged_object_is_not_fetched(
    storage: Storage, root: Path, source: Path, target: Path
) -> None:
    storage.upload(source, KEY)
    times = (root / FILE).stat()
    (root / FILE).write_bytes(b"hallo")
    os.utime(root / FILE, ns=(times.st_atime_ns, times.st_mtime_ns))
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
    assert storage.source(info) == str(root / "alice/uploads/a b")
    assert storage.temporary_url("scratch/5f/a b") == f"file://{root}/alice/scratch/5f/a%20b"
    # The wrapper adds the object's name, slashes and all, to the folder.
    for place in [
        storage.destination("scratch/5f/out/a.txt"),
        storage.destination_prefix("scratch/5f/"),
    ]:
        assert (place.method, place.path) == ("folder", str(root / "alice/scratch/5f"))
