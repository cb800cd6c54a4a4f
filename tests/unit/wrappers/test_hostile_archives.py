"""No archive writes or links out of the working directory, and each refusal names the member."""

import stat
import tarfile
from pathlib import Path

import pytest

from prominence_hpc.wrappers.runtime.errors import UnsafeName
from tests.unit.wrappers.archives import (
    everything_below,
    link,
    member,
    tar,
    unpack_tar,
    unpack_zip,
    zipped,
)

HARD = tarfile.LNKTYPE
HOSTILE = {
    "absolute": ("/escape", [member("/escape", b"x")]),
    "parent": ("../escape", [member("../escape", b"x")]),
    "parent in the middle": ("a/../../escape", [member("a/../../escape", b"x")]),
    "parent that stays inside": ("a/../b", [member("a/../b", b"x")]),
    "parent as a folder": ("../escape", [member("../escape", type=tarfile.DIRTYPE)]),
    "the folder itself as a file": (".", [member(".", b"x")]),
    "link to an absolute path": ("l", [link("l", "/etc/passwd")]),
    "link to the parent": ("l", [link("l", "..")]),
    "link far up": ("a/l", [link("a/l", "../../escape")]),
    "link that climbs through another": (
        "x",
        [member("d", type=tarfile.DIRTYPE), link("d/up", ".."), link("x", "d/up/../..")],
    ),
    "link without a target": ("l", [link("l", "")]),
    "file through a link": ("l/f", [link("l", "d"), member("l/f", b"x")]),
    "file through a link made of a folder": (
        "d/l/f",
        [member("d", type=tarfile.DIRTYPE), link("d/l", "."), member("d/l/f", b"x")],
    ),
    "folder through a link": ("l/d", [link("l", "d"), member("l/d", type=tarfile.DIRTYPE)]),
    "link through a link": ("l/m", [link("l", "d"), link("l/m", "x")]),
    "folder in place of a link": ("l", [link("l", "d"), member("l", type=tarfile.DIRTYPE)]),
    "file in place of a folder": ("d", [member("d/f", b"x"), member("d", b"y")]),
    "link in place of a folder": ("d", [member("d/f", b"x"), link("d", "e")]),
    "hard link to an absolute path": ("h", [link("h", "/etc/passwd", HARD)]),
    "hard link to the parent's": ("h", [link("h", "../secret", HARD)]),
    "hard link to a symbolic link": ("h", [link("l", "f"), link("h", "l", HARD)]),
    "hard link through a link": ("h", [link("l", "d"), link("h", "l/f", HARD)]),
    "hard link to nothing": ("h", [link("h", "absent", HARD)]),
    "hard link to a folder": ("h", [member("d/f", b""), link("h", "d", HARD)]),
    "character device": ("c", [member("c", type=tarfile.CHRTYPE, devmajor=1, devminor=3)]),
    "block device": ("b", [member("b", type=tarfile.BLKTYPE)]),
    "pipe": ("p", [member("p", type=tarfile.FIFOTYPE)]),
    "unknown kind": ("u", [member("u", type=b"Z")]),
    "path through a file": ("f/g", [member("f", b"x"), member("f/g", b"y")]),
    "long absolute name": ("/" + "n" * 300, [member("/" + "n" * 300, b"x")]),
    "long name with a parent": ("n" * 200 + "/../../../x", [member("n" * 200 + "/../../../x")]),
}


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT], ids=["gnu", "pax"])
@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_tar(case: str, form: int, tmp_path: Path) -> None:
    name, members = HOSTILE[case]
    (tmp_path / "secret").write_text("secret")
    data = tar([member("before", b"b"), *members, member("after", b"a")], format=form)
    with pytest.raises(UnsafeName) as refusal:
        unpack_tar(data, tmp_path / "work")
    assert str(refusal.value).startswith(f"member {name} is refused: ")
    assert {path.name for path in tmp_path.iterdir()} == {"secret", "work"}
    below = everything_below(tmp_path / "work")
    assert "before" in below
    assert "after" not in below
    assert (tmp_path / "secret").stat().st_nlink == 1


HOSTILE_ZIPS = {
    "absolute": ("/escape", 0o100644, b"x"),
    "parent": ("../escape", 0o100644, b"x"),
    "parent in the middle": ("a/../../escape", 0o100644, b"x"),
    "absolute link": ("l", 0o120777, b"/etc/passwd"),
    "link to the parent": ("l", 0o120777, b"../secret"),
    "device": ("c", 0o020666, b""),
    "pipe": ("p", 0o010666, b""),
}


@pytest.mark.parametrize("case", HOSTILE_ZIPS)
def test_hostile_zip(case: str, tmp_path: Path) -> None:
    name, mode, content = HOSTILE_ZIPS[case]
    with pytest.raises(UnsafeName) as refusal:
        unpack_zip(zipped([("before", b"", 0o100644), (name, content, mode)]), tmp_path / "work")
    assert str(refusal.value).startswith(f"member {name} is refused: ")
    assert {path.name for path in tmp_path.iterdir()} == {"work"}
    assert not any(path.is_symlink() for path in (tmp_path / "work").iterdir())


def test_zip_through_a_link_of_an_earlier_archive(tmp_path: Path) -> None:
    unpack_tar(tar([link("l", "d"), member("d/f", b"")]), tmp_path / "work")
    with pytest.raises(UnsafeName, match="member l/x is refused"):
        unpack_zip(zipped([("l/x", b"x", 0o100644)]), tmp_path / "work")


def test_special_bits_are_dropped_and_the_executable_one_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    unpack_tar(
        tar(
            [
                member("program", b"#!", mode=0o7755),
                member("closed", b"", mode=0),
                member("dir", type=tarfile.DIRTYPE, mode=0o7555),
                member("dir/inside", b"x", mode=0o444),
            ]
        ),
        folder,
    )
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in folder.rglob("*")}
    assert modes == {"program": 0o755, "closed": 0o600, "dir": 0o755, "inside": 0o644}


def test_what_was_there_is_replaced_not_written_through(tmp_path: Path) -> None:
    work, outside = tmp_path / "work", tmp_path / "outside"
    work.mkdir()
    outside.write_text("untouched")
    (work / "planted").symlink_to(outside)
    unpack_tar(tar([member("planted", b"new")]), work)
    assert outside.read_text() == "untouched"
    assert (work / "planted").read_bytes() == b"new"
    assert not (work / "planted").is_symlink()


def test_harmless_links_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    unpack_tar(
        tar(
            [
                member("lib/real.so.1", b"so"),
                link("lib/real.so", "real.so.1"),
                link("bin/up", "../lib/real.so"),
                link("dangling", "not/there"),
                link("same", "lib/real.so.1", HARD),
            ]
        ),
        folder,
    )
    assert (folder / "bin/up").read_bytes() == b"so"
    assert (folder / "dangling").is_symlink()
    assert (folder / "same").stat().st_ino == (folder / "lib/real.so.1").stat().st_ino
