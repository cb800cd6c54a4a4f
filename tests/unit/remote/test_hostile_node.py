"""A job is not trusted: what its node says is checked, and printed so that a terminal obeys nothing."""

import os
from pathlib import Path

import pytest

from prominence_hpc.adapter.remote.execute import Command, Controls, Streams, execute
from prominence_hpc.adapter.remote.snapshot import follow_packing
from prominence_hpc.adapter.remote.visit import Visit, begin
from prominence_hpc.cli.progress import progress_bar
from prominence_hpc.errors import NotFoundError, RemoteError
from prominence_hpc.wrappers import frames
from prominence_hpc.wrappers.runtime.live_archive import DEEPEST, MOST_NOTES, LiveArchive
from tests.unit.remote.live import SECRET, contents, packed
from tests.unit.remote.scripted import Scripted, hello

ESCAPE = "\x1b]0;owned\x07\nsecond line"


def visit(*blocks: bytes | Exception) -> Visit:
    return begin(Scripted([hello(), *blocks]), 5)


@pytest.mark.parametrize(
    "done", [b"{}", b"[]", b"\xff", b'{"exit_code": "0", "ended_by": ""}', b"[" * 100_000]
)
def test_an_end_that_is_none_is_no_success(done: bytes) -> None:
    streams = Streams(stdin=None, stdout=lambda _: None, stderr=lambda _: None)
    with pytest.raises(RemoteError):
        execute(visit(frames.pack(frames.DONE, done)), Command(argv=["x"]), streams, Controls())


def test_refusals_are_one_harmless_line() -> None:
    refusal = {"error": "not-found", "message": ESCAPE}
    with pytest.raises(NotFoundError) as raised:
        list(visit(frames.pack_json(frames.DONE, refusal)).answers())
    assert str(raised.value).isprintable()


def test_notes_are_harmless_lines() -> None:
    notes: list[str] = []
    done = {"size_bytes": 1, "sha256": "", "parts": []}
    found = visit(
        frames.pack_json(frames.TOTAL, None),
        frames.pack(frames.NOTE, ESCAPE.encode()),
        frames.pack_json(frames.DONE, done),
    )
    assert follow_packing(found, progress_bar, notes.append, {}) == done
    assert [note.isprintable() for note in notes] == [True]


def test_a_snapshot_that_begins_with_something_else() -> None:
    with pytest.raises(RemoteError, match="how much there is"):
        follow_packing(visit(frames.pack(frames.NOTE, b"x")), progress_bar, print, {})


def test_no_link_on_the_way_to_the_top_is_followed(tmp_path: Path) -> None:
    """The job puts one there after its path was looked at."""
    (tmp_path / "work/results").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    for folder in ("work/results", "outside"):
        (tmp_path / folder / "f").write_bytes(SECRET)
    top = (b"results/f", bytes(tmp_path / "work/results/f"))
    archive = LiveArchive([top], lambda _: None, bytes(tmp_path / "work"))
    assert contents(packed(archive)) == {"results/f": SECRET}
    (tmp_path / "work/results").rename(tmp_path / "work/moved")
    (tmp_path / "work/results").symlink_to(tmp_path / "outside")
    archive = LiveArchive([top], lambda _: None, bytes(tmp_path / "work"))
    assert contents(packed(archive)) == {}
    assert archive.notes == ["results/f vanished before it was read"]


def test_neither_depth_nor_number_has_a_hold_on_us(tmp_path: Path) -> None:
    folder = tmp_path / "top"
    for _ in range(DEEPEST + 60):
        folder = folder / "d"
    folder.mkdir(parents=True)
    (folder / "f").touch()
    (tmp_path / "top/many").mkdir()
    for number in range(MOST_NOTES + 30):
        os.mkfifo(tmp_path / "top/many" / f"pipe{number}")
    archive = LiveArchive([(b"top", bytes(tmp_path / "top"))], lambda _: None)
    packed(archive)
    assert len(archive.notes) == MOST_NOTES + 1
    assert "nested too deeply" in archive.notes[0]
    assert archive.notes[-1] == "and 31 more"
