"""Files that change while they are packed: the archive is whole whatever happens, and says so."""

import os
from pathlib import Path

import pytest

from prominence_hpc.wrappers.runtime.live_archive import LiveArchive
from tests.unit.remote.live import MIB, SECRET, archive_of, contents, once, packed, unpacked


@pytest.fixture
def top(tmp_path: Path) -> Path:
    (tmp_path / "top").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_bytes(SECRET)
    return tmp_path / "top"


def test_a_file_that_grows_is_as_long_as_its_header_says(top: Path) -> None:
    start = os.urandom(3 * MIB + 77)
    (top / "a").write_bytes(start)
    (top / "b").write_bytes(b"after")

    def grow() -> None:
        with (top / "a").open("ab") as file:
            file.write(bytes(2 * MIB))

    archive = archive_of(top)
    data = packed(archive, once(b"top/a", grow))
    assert contents(data) == {"top/a": start, "top/b": b"after"}
    assert archive.notes == ["top/a changed while it was read"]


def test_a_file_that_shrinks_is_filled_up_with_zeros(top: Path) -> None:
    start = os.urandom(3 * MIB + 77)
    (top / "a").write_bytes(start)
    (top / "b").write_bytes(b"after")
    archive = archive_of(top)
    data = packed(archive, once(b"top/a", lambda: os.truncate(top / "a", MIB)))
    assert contents(data) == {
        "top/a": start[:MIB] + bytes(2 * MIB + 77),
        "top/b": b"after",
    }
    assert archive.notes == ["top/a changed while it was read"]


def test_a_file_that_fails_to_be_read_midway_leaves_the_archive_whole(
    top: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = os.urandom(3 * MIB + 77)
    (top / "a").write_bytes(start)
    (top / "b").write_bytes(b"after")
    real, reads = os.read, [0]

    def failing(descriptor: int, size: int) -> bytes:
        reads[0] += 1
        if reads[0] == 2:
            raise OSError(5, "Input/output error")
        return real(descriptor, size)

    monkeypatch.setattr(os, "read", failing)
    archive = archive_of(top)
    data = packed(archive)
    monkeypatch.undo()
    assert contents(data) == {"top/a": start[:MIB] + bytes(2 * MIB + 77), "top/b": b"after"}
    assert archive.notes == ["top/a has zeros where it cannot be read: Input/output error"]
    unpacked(data, tmp_path / "out")


def test_what_vanishes_meanwhile_is_told(top: Path) -> None:
    for name in ("a", "b", "c"):
        (top / name).write_text(name)
    archive = archive_of(top)
    data = packed(archive, once(b"top/a", (top / "b").unlink))
    assert contents(data) == {"top/a": b"a", "top/c": b"c"}
    assert archive.notes == ["top/b vanished before it was read"]


def test_a_whole_folder_that_vanished_is_told(top: Path, tmp_path: Path) -> None:
    (top / "a").write_text("a")
    gone = (b"gone/x", bytes(tmp_path / "gone/x"))
    archive = LiveArchive([gone, (b"top", bytes(top))], lambda _: None)
    assert contents(packed(archive)) == {"top/a": b"a"}
    assert archive.notes == ["gone/x vanished before it was read"]


def test_a_folder_that_becomes_a_link_is_not_followed(top: Path, tmp_path: Path) -> None:
    (top / "sub").mkdir()
    (top / "sub/secret").write_text("harmless")

    def swap() -> None:
        (top / "sub").rename(tmp_path / "moved")
        (top / "sub").symlink_to(tmp_path / "outside")

    archive = archive_of(top)
    data = packed(archive, once(b"top/sub/", swap))
    assert SECRET not in data
    assert len(archive.notes) == 1
    assert archive.notes[0].startswith("top/sub is left out: ")


def test_a_folder_that_moves_while_it_is_read_is_read_where_it_went(
    top: Path, tmp_path: Path
) -> None:
    (top / "sub").mkdir()
    (top / "sub/a").write_text("a")
    (top / "sub/secret").write_text("harmless")

    def swap() -> None:
        (top / "sub").rename(tmp_path / "moved")
        (top / "sub").symlink_to(tmp_path / "outside")

    archive = archive_of(top)
    data = packed(archive, once(b"top/sub/a", swap))
    assert contents(data) == {"top/sub/a": b"a", "top/sub/secret": b"harmless"}
