"""Images kept on nodes: fetched once, whole or not at all, the least recently used leave first."""

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from prominence_hpc.wrappers.runtime import entry_lock
from prominence_hpc.wrappers.runtime.beat import Beat
from prominence_hpc.wrappers.runtime.control import Control
from prominence_hpc.wrappers.runtime.entry_lock import EntryLock
from prominence_hpc.wrappers.runtime.image_cache import Entry, ImageCache, open_cache
from prominence_hpc.wrappers.runtime.log import Log

A, B, C = ("a" * 64, "b" * 64, "c" * 64)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "made/here"


def opened(folder: Path, control: Control, tmp_path: Path, limit: int = 2500) -> ImageCache:
    found = open_cache(bytes(folder), limit, control, Log(bytes(tmp_path / "log")))
    assert found is not None
    return found


@pytest.fixture
def cache(folder: Path, control: Control, tmp_path: Path) -> Iterator[ImageCache]:
    found = opened(folder, control, tmp_path)
    yield found
    found.end()


class Source:
    """Counts how often it is asked; each image is 1000 bytes."""

    def __init__(self, *, slow: float = 0) -> None:
        self.fetched = 0
        self.slow = slow

    def __call__(self, target: bytes) -> dict[str, str]:
        self.fetched += 1
        time.sleep(self.slow)
        Path(os.fsdecode(target)).write_bytes(bytes(1000))
        return {"sha256": "of the source"}


def got(cache: ImageCache, name: str, source: Source) -> Entry:
    found = cache.get(name, source)
    assert found is not None
    return found


def names(folder: Path) -> set[str]:
    """Images in the cache, by their first letter."""
    return {path.name[0] for path in folder.iterdir() if len(path.name) == 64}


def test_an_image_is_fetched_once(cache: ImageCache, folder: Path) -> None:
    source = Source()
    first, again = got(cache, A, source), got(cache, A, source)
    assert (first.path, first.cached) == (bytes(folder / A), False)
    assert (again.path, again.cached) == (bytes(folder / A), True)
    assert again.source == {"sha256": "of the source"}
    assert source.fetched == 1
    assert folder.stat().st_mode & 0o777 == 0o700


def test_jobs_at_the_same_time_fetch_it_once(
    folder: Path, control: Control, tmp_path: Path
) -> None:
    source, results = Source(slow=0.3), []
    jobs = [opened(folder, control, tmp_path) for _ in range(4)]
    threads = [
        threading.Thread(target=lambda job=job: results.append(got(job, A, source))) for job in jobs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for job in jobs:
        job.end()
    assert source.fetched == 1
    assert sorted(entry.cached for entry in results) == [False, True, True, True]
    assert {path.name for path in folder.iterdir()} == {A, f"{A}.json"}


def test_a_failed_fetch_leaves_nothing(cache: ImageCache, folder: Path) -> None:
    def fail(target: bytes) -> dict[str, str]:
        Path(os.fsdecode(target)).write_bytes(b"half")
        raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        cache.get(A, fail)
    assert list(folder.iterdir()) == []
    assert got(cache, A, Source()).cached is False


def test_a_full_disk_is_no_end(cache: ImageCache, folder: Path, tmp_path: Path) -> None:
    def fail(target: bytes) -> dict[str, str]:
        raise OSError(28, "No space left on device", os.fsdecode(target))

    assert cache.get(A, fail) is None
    assert list(folder.iterdir()) == []
    assert "image cache is full: No space left" in (tmp_path / "log").read_text()


def test_what_is_known_of_the_file_is_not_computed(cache: ImageCache, folder: Path) -> None:
    def fetch(target: bytes) -> dict[str, str]:
        Path(os.fsdecode(target)).write_bytes(b"x")
        return {"file_sha256": "known"}

    cache.get(A, fetch)
    assert json.loads((folder / f"{A}.json").read_text())["sha256"] == "known"


@pytest.mark.parametrize("size", [3, 1000], ids=["other size", "same size"])
def test_a_damaged_image_is_not_used(
    cache: ImageCache, folder: Path, size: int, tmp_path: Path
) -> None:
    source = Source()
    got(cache, A, source)
    (folder / A).chmod(0o600)
    (folder / A).write_bytes(b"x" * size)
    assert got(cache, A, source).cached is False
    assert (folder / A).read_bytes() == bytes(1000)
    assert "is damaged" in (tmp_path / "log").read_text()


def test_an_image_that_was_only_touched_is_read_and_used(cache: ImageCache, folder: Path) -> None:
    source = Source()
    got(cache, A, source)
    (folder / A).touch()
    assert got(cache, A, source).cached is True
    assert got(cache, A, source).cached is True
    assert source.fetched == 1


def test_after_a_day_the_bytes_are_read_again(cache: ImageCache, folder: Path) -> None:
    """A disk that loses bytes changes no time: the note says what they must be, and since when."""
    source = Source()
    got(cache, A, source)
    note = folder / f"{A}.json"
    document = json.loads(note.read_text())
    (folder / A).chmod(0o600)
    (folder / A).write_bytes(b"x" * 1000)
    status = (folder / A).stat()
    document["identity"].update(modified_ns=status.st_mtime_ns, changed_ns=status.st_ctime_ns)
    note.write_text(json.dumps(document))
    assert got(cache, A, source).cached is True  # nothing shows it yet
    document["verified"] -= 90000
    note.write_text(json.dumps(document))
    assert got(cache, A, source).cached is False


def test_the_least_recently_used_leaves(folder: Path, control: Control, tmp_path: Path) -> None:
    source = Source()
    for name in (A, B):
        cache = opened(folder, control, tmp_path)
        got(cache, name, source)
        cache.end()
    for name, age in ((A, 100), (B, 50)):
        moment = time.time() - age
        os.utime(folder / f"{name}.json", (moment, moment))
    cache = opened(folder, control, tmp_path)
    assert got(cache, A, source).cached is True  # used now: B is the oldest
    got(cache, C, source)
    cache.make_room()
    assert names(folder) == {"a", "c"}
    cache.end()


def test_what_a_job_uses_stays(folder: Path, control: Control, tmp_path: Path) -> None:
    """Whichever node it runs on: a file that another node removes is lost to it."""
    source = Source()
    user, other = (opened(folder, control, tmp_path, limit=10) for _ in range(2))
    got(user, A, source)
    got(other, B, source)
    other.make_room()
    other.end()
    assert names(folder) == {"a"}  # larger than the limit, and in use
    user.end()
    assert names(folder) == set()
    assert list(folder.iterdir()) == []


def test_the_mark_of_a_dead_job_keeps_nothing(
    folder: Path, control: Control, tmp_path: Path
) -> None:
    source = Source()
    dead, other = (opened(folder, control, tmp_path, limit=10) for _ in range(2))
    got(dead, A, source)
    dead.beat.end()
    (mark,) = folder.glob("*.use-*")
    moment = time.time() - 1000
    os.utime(mark, (moment, moment))
    remains = [folder / ".x.part", folder / ".x.part.download", folder / "x.seen"]
    for path in remains:
        path.touch()
        os.utime(path, (moment - 90000, moment - 90000))
    got(other, B, source)
    other.end()
    assert names(folder) == set()
    assert not any(path.exists() for path in remains)


@pytest.fixture
def beat() -> Iterator[Beat]:
    found = Beat()
    yield found
    found.end()


def test_the_lock_of_a_dead_job_is_taken_over(
    tmp_path: Path, control: Control, beat: Beat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entry_lock, "STALE_SECONDS", 0.5)
    path = tmp_path / "lock"
    path.touch()
    waits: list[None] = []
    lock = EntryLock(bytes(path), beat)
    assert lock.take(control, lambda: waits.append(None))
    assert len(waits) == 1
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_the_lock_of_a_job_that_lives_is_not(
    tmp_path: Path, control: Control, beat: Beat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entry_lock, "STALE_SECONDS", 0.5)
    monkeypatch.setattr(entry_lock, "WAIT_SECONDS", 1.5)
    monkeypatch.setattr("prominence_hpc.wrappers.runtime.beat.BEAT_SECONDS", 0.1)
    holder = EntryLock(bytes(tmp_path / "lock"), beat)
    assert holder.try_to_take()
    assert EntryLock(bytes(tmp_path / "lock"), beat).take(control, lambda: None) is False
    holder.release()


def test_of_many_that_find_a_dead_lock_one_has_it(
    tmp_path: Path, control: Control, beat: Beat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entry_lock, "STALE_SECONDS", 0.3)
    path = tmp_path / "lock"
    path.touch()
    inside, most = [], []

    def work() -> None:
        lock = EntryLock(bytes(path), beat)
        assert lock.take(control, lambda: None)
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.02)
        inside.pop()
        lock.release()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 8
    assert max(most) == 1


def test_who_dies_while_it_removes_a_dead_lock_stops_nobody(
    tmp_path: Path, control: Control, beat: Beat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entry_lock, "STALE_SECONDS", 0.3)
    path = tmp_path / "lock"
    path.touch()
    status = path.stat()
    (tmp_path / f"lock.{status.st_ino}.{status.st_mtime_ns}").touch()
    lock = EntryLock(bytes(path), beat)
    assert lock.take(control, lambda: None)
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_taken_over_is_left_to_its_new_owner(tmp_path: Path, beat: Beat) -> None:
    """Who was thought dead and is not neither removes nor refreshes what another has made."""
    path = tmp_path / "lock"
    slow, new = EntryLock(bytes(path), beat), EntryLock(bytes(path), beat)
    assert slow.try_to_take()
    path.rename(tmp_path / "aside")
    assert new.try_to_take()
    slow.release()
    assert path.exists()
    new.release()
    assert not path.exists()


@pytest.mark.parametrize("mode", [0o777, 0o770])
def test_a_folder_that_others_can_write_is_not_used(
    mode: int, folder: Path, control: Control, tmp_path: Path
) -> None:
    folder.mkdir(parents=True)
    folder.chmod(mode)
    assert open_cache(bytes(folder), 1, control, Log(bytes(tmp_path / "log"))) is None
    assert "others can write" in (tmp_path / "log").read_text()


def test_a_link_is_not_used(folder: Path, control: Control, tmp_path: Path) -> None:
    folder.parent.mkdir()
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "elsewhere")
    assert open_cache(bytes(folder), 1, control, Log(b"/dev/null")) is None


def test_a_file_elsewhere_is_read_once(
    cache: ImageCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = tmp_path / "image"
    image.write_bytes(b"content")
    right = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"
    assert not cache.checked(bytes(image), "0" * 64)
    assert cache.checked(bytes(image), right)
    with monkeypatch.context() as context:
        context.setattr("prominence_hpc.wrappers.runtime.image_cache.sha256_of", None)
        context.setattr("prominence_hpc.wrappers.runtime.cache_note.sha256_of", None)
        assert cache.checked(bytes(image), right)
    image.write_bytes(b"changed")
    assert not cache.checked(bytes(image), right)
