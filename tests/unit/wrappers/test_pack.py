"""Folders as .tgz: the announced length is the real one, and everybody can read it."""

import gzip
import io
import os
import random
import socket
import string
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prominence_hpc.wrappers.runtime import packing
from prominence_hpc.wrappers.runtime.gzip_out import compressed, sized, stored, stored_length
from prominence_hpc.wrappers.runtime.pack import Folder
from prominence_hpc.wrappers.runtime.packing import folder_body


def packed(folder: Path, *, memory: int = 1 << 20, threads: int = 2) -> bytes:
    body, _ = folder_body(bytes(folder), b"name", threads, memory)
    data = b"".join(body.blocks())
    assert body.length in (len(data), None)
    assert data == b"".join(body.blocks())
    return data


def text(count: int) -> bytes:
    return "".join(random.Random(1).choices(string.ascii_lowercase[:6], k=count)).encode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    top = tmp_path / "top"
    (top / "sub/empty").mkdir(parents=True)
    (top / "sub/file").write_bytes(b"content")
    (top / "program").write_bytes(b"#!")
    (top / "program").chmod(0o755)
    (top / "link").symlink_to("sub/file")
    (top / "outside").symlink_to("/etc/passwd")
    os.link(top / "program", top / "sub/same")
    return top


def test_gnu_tar_unpacks_it(folder: Path, tmp_path: Path) -> None:
    (folder / os.fsdecode(b"not utf-8 \xff\xfe")).write_bytes(b"x")
    (folder / ("long" * 50)).write_bytes(b"y")
    out = tmp_path / "out"
    out.mkdir()
    argv = ["tar", "-C", str(out), "-xzf", "-"]
    done = subprocess.run(argv, input=packed(folder), capture_output=True, check=True)
    assert done.stderr == b""
    subprocess.run(["diff", "-r", "--no-dereference", folder, out / "name"], check=True)
    assert (out / "name/program").stat().st_mode & 0o777 == 0o755
    assert (out / "name/program").stat().st_ino == (out / "name/sub/same").stat().st_ino
    assert (out / "name/outside").readlink() == Path("/etc/passwd")


def test_sockets_and_pipes_are_left_out_and_named(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket"))
        found = Folder(bytes(folder), b"name")
    assert sorted(found.skipped) == [b"name/pipe", b"name/socket"]


def test_what_a_task_closed_to_itself_is_packed(folder: Path) -> None:
    (folder / "secret").write_bytes(b"s")
    (folder / "secret").chmod(0)
    (folder / "sub").chmod(0)
    with tarfile.open(fileobj=io.BytesIO(packed(folder))) as archive:
        assert {"name/secret", "name/sub/file"} <= set(archive.getnames())


FILES = st.dictionaries(
    st.binary(min_size=1, max_size=120).filter(
        lambda name: not set(name) & {0, 47} and name not in (b".", b"..")
    ),
    st.binary(max_size=2000) | st.sampled_from(["zeros", "text", "random"]),
    max_size=5,
)
LARGE = {"zeros": bytes(70_000), "text": text(70_000), "random": os.urandom(140_000)}


@settings(max_examples=40, deadline=None)
@given(files=FILES)
def test_round_trip(
    files: dict[bytes, bytes | str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("folder")
    contents = {n: LARGE[c] if isinstance(c, str) else c for n, c in files.items()}
    for name, content in contents.items():
        (folder / os.fsdecode(name)).write_bytes(content)
    with tarfile.open(fileobj=io.BytesIO(packed(folder, memory=1000))) as archive:
        found = {
            os.fsencode(info.name): archive.extractfile(info).read()  # type: ignore[union-attr]
            for info in archive
            if info.isreg()
        }
    assert found == {b"name/" + name: content for name, content in contents.items()}


@given(st.lists(st.binary(max_size=70_000), max_size=6))
def test_gzip_of_any_blocks(blocks: list[bytes]) -> None:
    whole = b"".join(blocks)
    kept = b"".join(stored(iter(blocks)))
    assert gzip.decompress(kept) == whole
    assert len(kept) == stored_length(len(whole))
    if whole:
        assert gzip.decompress(b"".join(compressed(iter(blocks), 2))) == whole


@given(st.lists(st.binary(max_size=30)), st.integers(1, 20))
def test_sized(blocks: list[bytes], size: int) -> None:
    found = list(sized(iter(blocks), size))
    assert b"".join(found) == b"".join(blocks)
    assert all(len(block) == size for block in found[:-1])


@pytest.mark.parametrize("kind", ["random", "text"])
def test_stored_or_compressed_by_what_it_gains(kind: str, tmp_path: Path) -> None:
    content = os.urandom(3_000_000) if kind == "random" else text(3_000_000)
    (tmp_path / "top").mkdir()
    (tmp_path / "top/file").write_bytes(content)
    data = packed(tmp_path / "top")
    expected = range(3_000_000, 3_020_000) if kind == "random" else range(1_800_000)
    assert len(data) in expected
    assert gzip.decompress(data)[1024:3_001_024] == content


def test_small_folders_are_compressed_whatever_they_hold(tmp_path: Path) -> None:
    (tmp_path / "top").mkdir()
    (tmp_path / "top/line").write_text("17\n")
    assert len(packed(tmp_path / "top")) < 500


def test_members_come_by_name(folder: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(packed(folder))) as archive:
        names = archive.getnames()
    tree = ["", "/link", "/outside", "/program", "/sub", "/sub/empty", "/sub/file", "/sub/same"]
    assert names == ["name" + name for name in tree]


def test_data_with_a_period_are_sampled_at_all_phases(tmp_path: Path) -> None:
    """Half of every MiB is noise: taken at one phase alone it would look like all or nothing."""
    (tmp_path / "top").mkdir()
    with (tmp_path / "top/file").open("wb") as stream:
        for _ in range(64):
            stream.write(os.urandom(1 << 19) + bytes(1 << 19))
    share = Folder(bytes(tmp_path / "top"), b"name").shrinks_to()
    assert 0.3 < share < 0.7


def test_a_file_that_changes_keeps_the_announced_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "SMALL_BYTES", 0)
    monkeypatch.setattr(packing, "WORTH_IT", -1.0)  # stored: its length was announced before
    (tmp_path / "grows").write_bytes(b"1" * 1000)
    (tmp_path / "shrinks").write_bytes(b"2" * 1000)
    body, found = folder_body(bytes(tmp_path), b"name", 1, 1)
    (tmp_path / "grows").write_bytes(b"1" * 5000)
    (tmp_path / "shrinks").write_bytes(b"2" * 10)
    data = b"".join(body.blocks())
    assert len(data) == body.length
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        content = {
            info.name: archive.extractfile(info).read()  # type: ignore[union-attr]
            for info in archive
            if info.isreg()
        }
    assert content == {"name/grows": b"1" * 1000, "name/shrinks": b"2" * 10 + bytes(990)}
    assert found.changed == [bytes(tmp_path / "shrinks")]
