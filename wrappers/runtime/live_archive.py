"""Files of a job that runs, as a tar stream: read once, as they are at that moment.

Nothing is changed on the way, not even the permissions of a file that cannot be read, and no link is
followed: each folder is opened within the one above it (openat(2)), whatever the job moves meanwhile.
"""

import os
import stat
import time

from .pack import BLOCK, RECORD, header
from .text import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterator, Optional, Sequence, Tuple

    Top = Tuple[bytes, bytes]  # name in the archive, path on the node

TAR_BLOCK = 512
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
MEASURE_SECONDS = 2.0
DEEPEST = 200  # folders in each other: Python's own limit is not far
MOST_NOTES = 20


class LiveArchive:
    """``count`` is told how many bytes of files were read; ``notes``: what is not as it should be.

    ``root``: the folder below which all paths are; no link between it and them is followed.
    """

    def __init__(
        self, tops: "Sequence[Top]", count: "Callable[[int], None]", root: bytes = b"/"
    ) -> None:
        self.root = root
        self.tops = tops
        self.count = count
        self.notes: "list[str]" = []
        self.entries = 0
        self._noted = 0
        self._linked: "dict[tuple[int, int], bytes]" = {}

    def measure(self) -> "Optional[int]":
        """How many bytes of files there are; None where looking takes too long."""
        total, end = 0, time.time() + MEASURE_SECONDS
        for _, path in self.tops:
            for size in _sizes(path):
                total += size
                if time.time() > end:
                    return None
        return total

    def blocks(self) -> "Iterator[bytes]":
        """The tar stream; ``notes`` is complete at its end."""
        written = 0
        for name, path in self.tops:
            folder, _, base = path.rstrip(b"/").rpartition(b"/")
            try:
                parent = _open_below(self.root, folder)
            except OSError:
                self._note(name, "vanished before it was read")
                continue
            try:
                for block in self._entry(parent, base, name, 0):
                    written += len(block)
                    yield block
            finally:
                os.close(parent)
        end = 2 * TAR_BLOCK
        yield b"\0" * (end + -(written + end) % RECORD)

    def _entry(self, parent: int, base: bytes, name: bytes, depth: int) -> "Iterator[bytes]":
        """One file or folder, and all that is in it."""
        try:
            status = os.stat(base, dir_fd=parent, follow_symlinks=False)
            kind = stat.S_IFMT(status.st_mode)
            if kind == stat.S_IFLNK:
                yield self._header(name, status, os.readlink(base, dir_fd=parent))
            elif kind == stat.S_IFDIR:
                yield from self._folder(parent, base, name, status, depth)
            elif kind == stat.S_IFREG:
                yield from self._file(parent, base, name)
            else:
                self._note(name, "is a pipe, socket or device and is left out")
        except FileNotFoundError:
            self._note(name, "vanished before it was read")
        except OSError as error:
            self._note(name, "is left out: %s" % error.strerror)

    def _folder(
        self, parent: int, base: bytes, name: bytes, status: os.stat_result, depth: int
    ) -> "Iterator[bytes]":
        if depth > DEEPEST:
            self._note(name, "is nested too deeply and is left out")
            return
        yield self._header(name, status)
        descriptor = os.open(base, FOLDER, dir_fd=parent)
        try:
            for inner in sorted(os.fsencode(entry) for entry in os.listdir(descriptor)):
                yield from self._entry(descriptor, inner, name + b"/" + inner, depth + 1)
        finally:
            os.close(descriptor)

    def _file(self, parent: int, base: bytes, name: bytes) -> "Iterator[bytes]":
        descriptor = os.open(base, FILE, dir_fd=parent)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                self._note(name, "changed its kind while it was read and is left out")
                return
            if status.st_nlink > 1:
                first = self._linked.setdefault((status.st_dev, status.st_ino), name)
                if first != name:
                    yield self._header(name, status, first)
                    return
            yield self._header(name, status)
            yield from self._content(descriptor, name, status)
        finally:
            os.close(descriptor)

    def _content(self, descriptor: int, name: bytes, status: os.stat_result) -> "Iterator[bytes]":
        """As many bytes as the header says: what is appended meanwhile is left, what is gone is zeros."""
        left = status.st_size
        while left:
            try:
                block = os.read(descriptor, min(left, BLOCK))
            except OSError as error:
                # A file system's: an archive that ends here would be no archive.
                self._note(name, "has zeros where it cannot be read: %s" % error.strerror)
                block = b""
            if not block:
                yield from _zeros(left)
                break
            left -= len(block)
            self.count(len(block))
            yield block
        yield b"\0" * (-status.st_size % TAR_BLOCK)
        now = os.fstat(descriptor)
        if (now.st_size, now.st_mtime_ns) != (status.st_size, status.st_mtime_ns):
            self._note(name, "changed while it was read")

    def _header(self, name: bytes, status: os.stat_result, target: bytes = b"") -> bytes:
        self.entries += 1
        return header(name, status, target)

    def _note(self, name: bytes, words: str) -> None:
        self._noted += 1
        if self._noted <= MOST_NOTES:
            self.notes.append("%s %s" % (shown(name), words))
        else:
            self.notes[MOST_NOTES:] = ["and %d more" % (self._noted - MOST_NOTES)]


def _zeros(count: int) -> "Iterator[bytes]":
    for start in range(0, count, BLOCK):
        yield b"\0" * min(BLOCK, count - start)


def _open_below(root: bytes, path: bytes) -> int:
    """A folder, each step of the way opened within the one before."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for step in os.path.relpath(path or b"/", root).split(b"/"):
        if step == b".":
            continue
        try:
            inner = os.open(step, FOLDER, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = inner
    return descriptor


def _sizes(path: bytes, depth: int = 0) -> "Iterator[int]":
    try:
        status = os.lstat(path)
        if stat.S_ISREG(status.st_mode):
            yield status.st_size
        elif stat.S_ISDIR(status.st_mode) and depth <= DEEPEST:
            for entry in os.scandir(path):
                yield from _sizes(entry.path, depth + 1)
    except OSError:
        return
