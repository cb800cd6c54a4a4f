"""What honest archives hold arrives as it was; what is damaged is said to be."""

import bz2
import gzip
import io
import lzma
import os
import struct
import subprocess
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prominence_hpc.wrappers.runtime.decompress import decompressed
from prominence_hpc.wrappers.runtime.errors import Corrupt
from tests.unit.wrappers.archives import in_blocks, member, tar, unpack_tar, unpack_zip, zipped

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "none": lambda data: data,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}
KINDS = [kind for kind in COMPRESS if kind != "none"]


@pytest.mark.parametrize("kind", COMPRESS)
def test_tar_of_any_compression_is_known_by_its_content(kind: str, tmp_path: Path) -> None:
    content = os.urandom(5000) + bytes(100_000)
    data = COMPRESS[kind](tar([member("a/b/file", content, mtime=1_000_000)]))
    unpack_tar(data, tmp_path / "work")
    assert (tmp_path / "work/a/b/file").read_bytes() == content
    assert (tmp_path / "work/a/b/file").stat().st_mtime == 1_000_000


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", ["end", "middle", "bytes"])
def test_damage_is_noticed(kind: str, where: str, tmp_path: Path) -> None:
    data = bytearray(COMPRESS[kind](tar([member("file", os.urandom(40_000))])))
    if where == "bytes":
        data[20_000:20_010] = bytes(10)
    else:
        del data[-4 if where == "end" else 20_000 :]
    with pytest.raises(Corrupt):
        unpack_tar(bytes(data), tmp_path / "work")


def test_tar_that_is_cut_off(tmp_path: Path) -> None:
    data = tar([member("one", b"1"), member("two", bytes(5000))])
    with pytest.raises(Corrupt, match="in the middle of a file"):
        unpack_tar(data[:3000], tmp_path / "work")


def test_tar_with_a_damaged_header_in_the_middle(tmp_path: Path) -> None:
    data = bytearray(tar([member("one", b"1"), member("two", b"2")]))
    data[1024:1034] = b"garbage..."
    with pytest.raises(Corrupt, match="damaged"):
        unpack_tar(bytes(data), tmp_path / "work")


@pytest.mark.parametrize("data", [b"", b"no archive at all" * 100], ids=["empty", "text"])
def test_what_is_no_tar(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(Corrupt, match="not a tar archive"):
        unpack_tar(data, tmp_path / "work")


@pytest.mark.parametrize("kind", KINDS)
def test_several_members_and_padding(kind: str) -> None:
    data = COMPRESS[kind](b"one ") + COMPRESS[kind](b"two ") + COMPRESS[kind](b"three")
    for size in (1, 7, 1000):
        assert b"".join(decompressed(in_blocks(data, size), kind)) == b"one two three"
        padded = in_blocks(data + bytes(1000), size)
        assert b"".join(decompressed(padded, kind)) == b"one two three"


@pytest.mark.parametrize("kind", KINDS)
def test_what_expands_enormously_comes_in_bounded_blocks(kind: str) -> None:
    data = COMPRESS[kind](bytes(15_000_000))
    lengths = [len(block) for block in decompressed(in_blocks(data, len(data)), kind)]
    assert sum(lengths) == 15_000_000
    assert max(lengths) <= 1 << 20


def test_sparse_files_keep_their_content(tmp_path: Path) -> None:
    source = tmp_path / "holes"
    with source.open("wb") as stream:
        stream.seek(3_000_000)
        stream.write(b"in the middle")
        stream.truncate(9_000_000)
    for form in ("gnu", "posix"):
        archive = tmp_path / f"{form}.tar"
        argv = ["tar", "-C", str(tmp_path), "-S", f"--format={form}", "-cf", str(archive), "holes"]
        subprocess.run(argv, check=True)
        assert archive.stat().st_size < 1_000_000
        unpack_tar(archive.read_bytes(), tmp_path / form)
        assert (tmp_path / form / "holes").read_bytes() == source.read_bytes()


NAMES = st.lists(
    st.binary(min_size=1, max_size=40).filter(
        lambda name: not set(name) & {0, 47} and name not in (b".", b"..")
    ),
    min_size=1,
    max_size=3,
).map(b"/".join)


@given(names=st.sets(NAMES, min_size=1, max_size=6), form=st.sampled_from([1, 2]))
def test_names_of_any_bytes(
    names: set[bytes], form: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("names")
    kept = {n for n in names if not any(o.startswith(n + b"/") for o in names)}
    data = tar(
        (member(name.decode("utf-8", "surrogateescape"), name) for name in sorted(kept)),
        format=form,
    )
    unpack_tar(data, folder / "work")
    files = [path for path in (folder / "work").rglob("*") if path.is_file()]
    assert {bytes(path.relative_to(folder / "work")): path.read_bytes() for path in files} == {
        name: name for name in kept
    }


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_zip(method: int, tmp_path: Path) -> None:
    content = os.urandom(3000) + bytes(200_000)
    data = zipped(
        [
            ("d/", b"", 0o040755),
            ("d/program", content, 0o100755),
            ("plain", b"", 0o100600),
            ("no mode", b"x", 0),
            ("d/link", b"program", 0o120777),
        ],
        method,
    )
    unpack_zip(data, tmp_path / "work")
    assert (tmp_path / "work/d/link").readlink() == Path("program")
    assert (tmp_path / "work/d/link").read_bytes() == content
    assert (tmp_path / "work/d/program").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "work/plain").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "work/no mode").read_bytes() == b"x"


class Unseekable(io.BytesIO):
    """Makes zipfile write data descriptors after the members, as a program in a pipe does."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_: object) -> int:
        raise io.UnsupportedOperation

    def tell(self) -> int:
        raise io.UnsupportedOperation


def test_zip_whose_lengths_follow_the_data(tmp_path: Path) -> None:
    buffer = Unseekable()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("one", os.urandom(5000))
        with archive.open("big", "w", force_zip64=True) as stream:
            stream.write(bytes(100_000))
        archive.writestr("last", b"end")
    unpack_zip(buffer.getvalue(), tmp_path / "work")
    assert (tmp_path / "work/big").read_bytes() == bytes(100_000)
    assert (tmp_path / "work/last").read_bytes() == b"end"


def test_zip_that_is_damaged(tmp_path: Path) -> None:
    data = bytearray(zipped([("file", os.urandom(5000), 0o100644)], zipfile.ZIP_STORED))
    data[1000] ^= 1
    with pytest.raises(Corrupt, match="member file: its checksum"):
        unpack_zip(bytes(data), tmp_path / "a")
    with pytest.raises(Corrupt, match="too early"):
        unpack_zip(bytes(data[:1000]), tmp_path / "b")
    with pytest.raises(Corrupt, match="not a zip"):
        unpack_zip(b"something else entirely", tmp_path / "c")


def test_zip_with_a_member_that_its_directory_hides(tmp_path: Path) -> None:
    name = b"hidden"
    crc = zlib.crc32(b"x")
    hidden = b"PK\3\4" + struct.pack("<5H3L2H", 20, 0, 0, 0, 0, crc, 1, 1, len(name), 0)
    data = hidden + name + b"x" + zipped([("shown", b"y", 0o100644)])
    with pytest.raises(Corrupt, match="member hidden is not in the archive's directory"):
        unpack_zip(data, tmp_path / "work")


def test_zip_that_is_encrypted(tmp_path: Path) -> None:
    data = bytearray(zipped([("secret", b"x", 0o100644)]))
    data[6] |= 1
    with pytest.raises(Corrupt, match="member secret: it is encrypted"):
        unpack_zip(bytes(data), tmp_path / "work")


def test_zip_without_members(tmp_path: Path) -> None:
    unpack_zip(zipped([]), tmp_path / "work")
    assert list((tmp_path / "work").iterdir()) == []


def test_many_members(tmp_path: Path) -> None:
    many = tar(member(f"f{number}", b"x") for number in range(400))
    unpack_tar(many, tmp_path / "work")
    assert len(list((tmp_path / "work").iterdir())) == 400
