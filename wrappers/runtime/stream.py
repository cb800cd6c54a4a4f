"""Blocks of any size as one stream that is read forward only."""

import os
import stat

from .errors import Corrupt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator


class Stream:
    """``read``, ``tell`` and forward ``seek`` as tarfile wants them, and copying without joining."""

    def __init__(self, blocks: "Iterator[bytes]") -> None:
        self._blocks = iter(blocks)
        self._view = memoryview(b"")
        self._position = 0
        self.last = b""  # what the last read returned

    def _fill(self) -> bool:
        while not self._view:
            block = next(self._blocks, None)
            if block is None:
                return False
            self._view = memoryview(block)
        return True

    def _take(self, count: int) -> memoryview:
        """Up to ``count`` bytes; none at the end."""
        if not self._fill():
            return self._view
        piece = self._view[:count]
        self._view = self._view[len(piece) :]
        self._position += len(piece)
        return piece

    def read(self, count: int) -> bytes:
        """``count`` bytes, fewer only at the end."""
        pieces = []
        while count > 0:
            piece = self._take(count)
            if not piece:
                break
            pieces.append(piece)
            count -= len(piece)
        self.last = b"".join(pieces)
        return self.last

    def exactly(self, count: int) -> bytes:
        data = self.read(count)
        if len(data) != count:
            msg = "the archive ends too early"
            raise Corrupt(msg)
        return data

    def tell(self) -> int:
        return self._position

    def seek(self, position: int, whence: int = 0) -> int:
        if whence != 0 or position < self._position:
            msg = "the archive refers to what has passed already"
            raise Corrupt(msg)
        self.skip(position - self._position)
        return self._position

    def skip(self, count: int) -> None:
        while count > 0:
            piece = self._take(count)
            if not piece:
                return
            count -= len(piece)

    def copy(self, descriptor: int, count: int) -> None:
        """Write the next ``count`` bytes to a file; raises Corrupt where there are fewer."""
        while count > 0:
            piece = self._take(count)
            if not piece:
                msg = "the archive ends in the middle of a file"
                raise Corrupt(msg)
            count -= len(piece)
            write_all(descriptor, piece)

    def some(self) -> bytes:
        """What is at hand, at least one byte unless the end is reached."""
        return bytes(self._take(1 << 20))

    def push_back(self, data: bytes) -> None:
        """Return bytes that were taken too many."""
        if data:
            self._position -= len(data)
            self._view = memoryview(data + bytes(self._view))

    def drain(self) -> None:
        """Read what is left, so that checksums of the whole are computed and compared."""
        self._view = memoryview(b"")
        for _ in self._blocks:
            pass


def write_all(descriptor: int, data: "memoryview | bytes") -> None:
    """write(2) until nothing is left: it may take less, on a nearly full disk for one."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def open_to_read(path: bytes) -> int:
    """A descriptor of a file that is ours, whatever mode a task gave it; no link is followed."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags)
    except PermissionError:
        os.chmod(path, stat.S_IMODE(os.lstat(path).st_mode) | 0o600)
        return os.open(path, flags)
