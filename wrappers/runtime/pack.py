"""A folder as a tar stream whose length is known before its first byte, twice the same."""

import os
import stat
import tarfile

from .stream import open_to_read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

BLOCK = 1 << 20
RECORD = tarfile.RECORDSIZE


class Member:
    """One entry: its header as it will be written, and where its content is."""

    __slots__ = ("header", "path", "size")

    def __init__(self, header: bytes, path: bytes, size: int) -> None:
        self.header = header
        self.path = path
        self.size = size


class Folder:
    """A folder's members, listed once; files that change afterwards are cut or filled up with zeros.

    Links stay links. Sockets, pipes and devices are left out, ``skipped`` names them. ``changed`` names
    the files that were not as long as listed.
    """

    def __init__(self, top: bytes, name: bytes) -> None:
        self.skipped: "list[bytes]" = []
        self.changed: "list[bytes]" = []
        self._linked: "dict[tuple[int, int], bytes]" = {}
        self.members = [_member(top, name, os.lstat(top), b"")]
        self._add_below(top, name)
        content = sum(len(m.header) + _padded(m.size) for m in self.members)
        self.length = content + 2 * tarfile.BLOCKSIZE
        self.length += -self.length % RECORD
        self._trailer = self.length - content

    def _add_below(self, top: bytes, name: bytes) -> None:
        """By name, each folder followed by what is in it."""
        pending = [(entry, name) for entry in _last_first(top)]
        while pending:
            entry, parent = pending.pop()
            status = entry.stat(follow_symlinks=False)
            name = parent + b"/" + entry.name
            self._add(entry.path, name, status)
            if stat.S_ISDIR(status.st_mode):
                pending += [(below, name) for below in _last_first(entry.path)]

    def _add(self, path: bytes, name: bytes, status: os.stat_result) -> None:
        kind = stat.S_IFMT(status.st_mode)
        if kind not in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
            self.skipped.append(name)
            return
        first = b""
        if kind == stat.S_IFREG and status.st_nlink > 1:
            first = self._linked.setdefault((status.st_dev, status.st_ino), name)
            first = b"" if first == name else first
        self.members.append(_member(path, name, status, first))

    def blocks(self) -> "Iterator[bytes]":
        """The tar stream, ``length`` bytes."""
        for member in self.members:
            yield member.header
            if member.size:
                for block in self._content(member):
                    yield block
        yield b"\0" * self._trailer

    def _content(self, member: Member) -> "Iterator[bytes]":
        left = member.size
        descriptor = open_to_read(member.path)
        try:
            while left:
                block = os.read(descriptor, min(left, BLOCK))
                if not block:
                    self.changed.append(member.path)
                    block = b"\0" * min(left, BLOCK)
                left -= len(block)
                yield block
        finally:
            os.close(descriptor)
        yield b"\0" * (-member.size % tarfile.BLOCKSIZE)

    def shrinks_to(self, samples: int = 64, size: int = 1 << 16) -> float:
        """Which part of the content gzip would leave, by samples from all over it."""
        import zlib

        total = sum(member.size for member in self.members)
        step = max(total // samples, 1)
        # Not evenly spaced, or data with a period would be met at the same phase again and again.
        marks = (k * step + k * 0x9E3779B1 % step for k in range(samples))
        taken, packed, position = 0, 0, 0
        mark = next(marks)
        for member in self.members:
            while mark < position + member.size:
                data = _sample(member.path, mark - position, size)
                taken += len(data)
                packed += len(zlib.compress(data, 1))
                mark = next(marks, total)
            position += member.size
        return packed / taken if taken else 0.0


def _last_first(path: bytes) -> "list[os.DirEntry[bytes]]":
    return sorted(_scan(path), key=lambda entry: entry.name, reverse=True)


def _scan(path: bytes) -> "list[os.DirEntry[bytes]]":
    try:
        return list(os.scandir(path))
    except PermissionError:
        os.chmod(path, stat.S_IMODE(os.lstat(path).st_mode) | 0o700)  # ours: a task closed it
        return list(os.scandir(path))


def _member(path: bytes, name: bytes, status: os.stat_result, first: bytes) -> Member:
    target = os.readlink(path) if stat.S_ISLNK(status.st_mode) else first
    size = status.st_size if stat.S_ISREG(status.st_mode) and not first else 0
    return Member(header(name, status, target), path, size)


def header(name: bytes, status: os.stat_result, target: bytes = b"") -> bytes:
    """The header of a folder, a link to ``target``, or a file; with a target, of another name for that."""
    info = tarfile.TarInfo(_text(name))
    info.mode = stat.S_IMODE(status.st_mode)
    info.mtime = int(status.st_mtime)
    info.linkname = _text(target)
    if stat.S_ISDIR(status.st_mode):
        info.type = tarfile.DIRTYPE
    elif stat.S_ISLNK(status.st_mode):
        info.type = tarfile.SYMTYPE
    elif target:
        info.type = tarfile.LNKTYPE
    else:
        info.size = status.st_size
    # GNU's format holds names of any bytes and any length, and sizes beyond 8 GiB.
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _padded(size: int) -> int:
    return size + -size % tarfile.BLOCKSIZE


def _sample(path: bytes, offset: int, size: int) -> bytes:
    descriptor = open_to_read(path)
    try:
        return os.pread(descriptor, size, offset)
    finally:
        os.close(descriptor)
