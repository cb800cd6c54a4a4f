"""Tar streams of folders that change meanwhile, and what readers make of them."""

import io
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

from prominence_hpc.wrappers.runtime.live_archive import LiveArchive

MIB = 1 << 20
SECRET = b"not for the archive"


def archive_of(top: Path) -> LiveArchive:
    return LiveArchive([(b"top", bytes(top))], lambda _: None)


def packed(archive: LiveArchive, meanwhile: Callable[[bytes], None] = lambda _: None) -> bytes:
    """The stream; ``meanwhile`` is told of every block before the next is asked for."""
    blocks = []
    for block in archive.blocks():
        blocks.append(block)
        meanwhile(block)
    return b"".join(blocks)


def once(wanted: bytes, action: Callable[[], object]) -> Callable[[bytes], None]:
    """Do something when the header of this name has come, and no more."""
    done: list[object] = []

    def look(block: bytes) -> None:
        if block.startswith(wanted + b"\0") and not done:
            done.append(action())

    return look


def contents(data: bytes) -> dict[str, bytes]:
    """Every regular file by its name, as Python reads it."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        files = {member.name: archive.extractfile(member) for member in archive if member.isreg()}
        return {name: file.read() for name, file in files.items() if file is not None}


def unpacked(data: bytes, folder: Path) -> Path:
    """What GNU tar makes of it, without a word."""
    folder.mkdir()
    argv = ["tar", "-xpf", "-", "-C", str(folder)]
    done = subprocess.run(argv, input=data, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    return folder / "top"


def tree(folder: Path) -> dict[bytes, tuple[int, int, object]]:
    """Everything below: mode, time, and content, target or nothing."""
    found: dict[bytes, tuple[int, int, object]] = {}
    for path in [folder, *folder.rglob("*")]:
        status = path.lstat()
        what: object = None
        if path.is_symlink():
            what = path.readlink()
        elif path.is_file():
            what = path.read_bytes()
        time = 0 if path.is_symlink() else int(status.st_mtime)
        found[os.path.relpath(bytes(path), bytes(folder))] = (status.st_mode, time, what)
    return found
