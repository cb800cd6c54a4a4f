"""Files of a job as a tar stream: every name and kind, nothing outside, nothing changed."""

import os
import socket
import tracemalloc
from pathlib import Path

import pytest

from prominence_hpc.wrappers.runtime.live_archive import LiveArchive
from tests.unit.remote.live import MIB, SECRET, archive_of, contents, packed, tree, unpacked


@pytest.fixture
def top(tmp_path: Path) -> Path:
    (tmp_path / "top").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_bytes(SECRET)
    return tmp_path / "top"


NAMES = [
    b"plain",
    b"two  words ",
    b"'single' \"double\" `back` $HOME \\",
    b"new\nline\ttab\r",
    b"-rf",
    b"--checkpoint-action=exec=false",
    b"*?[a]!",
    b"\xff\xfe not utf-8 \x80",
    "\xe9\u20ac\U0001f680".encode(),
    b"x" * 255,
    b"a/" + b"y" * 200 + b"/" + b"z" * 99,  # 300 characters
    b"~", b".hidden", b"...",
]  # fmt: skip


def test_every_name_content_mode_and_time_comes_back(top: Path, tmp_path: Path) -> None:
    for number, name in enumerate(NAMES):
        path = top / os.fsdecode(name)
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(name * number * 50)
        path.chmod(0o400 + number)
        os.utime(path, (0, 1_600_000_000 + number * 1000))
    (top / "empty").mkdir(0o711)
    (top / "empty/within").mkdir()
    (top / "nothing").touch()
    archive = archive_of(top)
    data = packed(archive)
    assert archive.notes == []
    assert tree(unpacked(data, tmp_path / "out")) == tree(top)
    raw = {os.fsencode(name) for name in contents(data)}
    assert raw == {b"top/" + name for name in [*NAMES, b"nothing"]}
    assert len(data) % 512 == 0


def test_links_stay_links(top: Path, tmp_path: Path) -> None:
    (top / "file").write_bytes(b"content" * 1000)
    (top / "twin").hardlink_to(top / "file")
    for name, target in {
        "relative": "file",
        "outward": "../outside/secret",
        "absolute": str(tmp_path / "outside"),
        "dangling": "t" * 300,
        "circle": "circle",
    }.items():
        (top / name).symlink_to(target)
    archive = archive_of(top)
    data = packed(archive)
    assert archive.notes == []
    assert SECRET not in data
    out = unpacked(data, tmp_path / "out")
    assert tree(out) == tree(top)
    assert (out / "twin").samefile(out / "file")
    assert data.count(b"content" * 1000) == 1


def test_what_is_no_file_is_left_out_and_told(top: Path, tmp_path: Path) -> None:
    os.mkfifo(top / "pipe")
    (top / "file").write_text("x")
    with socket.socket(socket.AF_UNIX) as listener:
        descriptor = os.open(top, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{descriptor}/socket")  # a socket's path must be short
        os.close(descriptor)
        archive = archive_of(top)
        data = packed(archive)
    words = "is a pipe, socket or device and is left out"
    assert archive.notes == [f"top/pipe {words}", f"top/socket {words}"]
    assert {path.name for path in unpacked(data, tmp_path / "out").iterdir()} == {"file"}


@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_may_not_be_read_is_told_and_left_as_it_is(
    what: str, top: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (top / "closed").mkdir() if what == "folder" else (top / "closed").write_text("c")
    (top / "closed").chmod(0)
    (top / "open").write_text("o")
    real = os.open

    def as_another_user(path: bytes, flags: int, **options: int) -> int:  # root may read anything
        if path == b"closed":
            raise PermissionError(13, "Permission denied")
        return real(path, flags, **options)

    monkeypatch.setattr(os, "open", as_another_user)
    archive = archive_of(top)
    data = packed(archive)
    monkeypatch.undo()
    assert archive.notes == ["top/closed is left out: Permission denied"]
    assert contents(data) == {"top/open": b"o"}
    assert (top / "closed").stat().st_mode & 0o777 == 0
    unpacked(data, tmp_path / "out")


def test_size_and_progress_are_of_the_files_alone(top: Path) -> None:
    (top / "a").write_bytes(bytes(3 * MIB + 1))
    (top / "sub").mkdir()
    (top / "sub/b").write_bytes(bytes(1000))
    (top / "link").symlink_to("a")
    counts: list[int] = []
    archive = LiveArchive([(b"top", bytes(top)), (b"b", bytes(top / "sub/b"))], counts.append)
    assert archive.measure() == 3 * MIB + 2001
    packed(archive)
    assert sum(counts) == 3 * MIB + 2001


def test_a_large_file_is_read_in_little_memory(top: Path) -> None:
    size = 300 * MIB
    (top / "sparse").touch()
    os.truncate(top / "sparse", size)
    archive = archive_of(top)
    tracemalloc.start()
    try:
        length = sum(len(block) for block in archive.blocks())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert length >= size
    assert peak < 8 * MIB
