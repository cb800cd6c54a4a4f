"""Images kept on the node: fetched once, whole or not at all, the least recently used leave first."""

import os
import threading
import time
from pathlib import Path

import pytest

from prominence_hpc.wrappers.runtime.control import Control
from prominence_hpc.wrappers.runtime.image_cache import ImageCache, open_cache
from prominence_hpc.wrappers.runtime.log import Log

A, B, C = ("a" * 64, "b" * 64, "c" * 64)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "made/here"


@pytest.fixture
def cache(folder: Path, control: Control, tmp_path: Path) -> ImageCache:
    found = open_cache(bytes(folder), 2500, control, Log(bytes(tmp_path / "log")))
    assert found is not None
    return found


class Source:
    """Counts how often it is asked; each image is 1000 bytes."""

    def __init__(self, *, slow: float = 0) -> None:
        self.fetched = 0
        self.slow = slow

    def __call__(self, target: bytes) -> None:
        self.fetched += 1
        time.sleep(self.slow)
        Path(os.fsdecode(target)).write_bytes(bytes(1000))


def test_an_image_is_fetched_once(cache: ImageCache, folder: Path) -> None:
    source = Source()
    first, again = cache.get(A, source), cache.get(A, source)
    assert first == (bytes(folder / f"{A}.sif"), False)
    assert again == (bytes(folder / f"{A}.sif"), True)
    assert source.fetched == 1
    assert folder.stat().st_mode & 0o777 == 0o700


def test_jobs_at_the_same_time_fetch_it_once(cache: ImageCache) -> None:
    source, results = Source(slow=0.3), []
    threads = [
        threading.Thread(target=lambda: results.append(cache.get(A, source))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert source.fetched == 1
    assert sorted(cached for _, cached in results) == [False, True, True, True]


def test_a_failed_fetch_leaves_nothing(cache: ImageCache, folder: Path) -> None:
    def fail(target: bytes) -> None:
        Path(os.fsdecode(target)).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        cache.get(A, fail)
    assert [path.suffix for path in folder.iterdir()] == [".lock"]
    assert cache.get(A, Source())[1] is False


def test_an_image_of_another_size_is_fetched_again(cache: ImageCache, folder: Path) -> None:
    source = Source()
    cache.get(A, source)
    (folder / f"{A}.sif").chmod(0o600)
    (folder / f"{A}.sif").write_bytes(b"cut")
    assert cache.get(A, source)[1] is False
    assert (folder / f"{A}.sif").stat().st_size == 1000


def test_the_least_recently_used_leaves(cache: ImageCache, folder: Path) -> None:
    source = Source()
    cache.get(A, source)
    cache.get(B, source)
    for name, age in ((A, 100), (B, 50)):
        moment = time.time() - age
        os.utime(folder / f"{name}.json", (moment, moment))
    assert cache.get(A, source)[1] is True  # used now: B is the oldest
    cache.get(C, source)
    assert {path.stem[0] for path in folder.glob("*.sif")} == {"a", "c"}


def test_one_larger_than_the_limit_is_kept_for_its_job(folder: Path, control: Control) -> None:
    cache = ImageCache(bytes(folder), 10, control, Log(b"/dev/null"))
    folder.mkdir(parents=True)
    path, _ = cache.get(A, Source())
    assert Path(os.fsdecode(path)).exists()


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
