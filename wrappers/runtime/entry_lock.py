"""The lock of one cache entry, which holds between the nodes that share a folder.

A file made by O_EXCL, which every file system does at one place for all of its clients. flock(2)
and fcntl(2) locks do not serve: on several shared file systems they hold on one node alone, unless
mounted with the right option, and say nothing about it; and a lock of a node that died stays for
as long as its server likes. The owner touches the file every few seconds. One that has not been
touched for much longer belongs to nobody and is removed, by whichever of those who wait makes a second
file first, of which the name says which lock it is about. No clocks are compared, which differ
between nodes: whoever waits sees for itself how long the file has not changed.

A node that stops for so long and then goes on may find that another has begun as well. That costs
one fetch too many and nothing else: each writes a file of its own and renames it in, whole.
"""

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Optional

    from .beat import Beat
    from .control import Control

STALE_SECONDS = 30.0  # six beats
WAIT_SECONDS = 1800.0  # for another job that is fetching the same image
FIRST_DELAY, LONGEST_DELAY = 0.01, 0.5


class EntryLock:
    """Held from :meth:`take` to :meth:`release`."""

    def __init__(self, path: bytes, beat: "Beat") -> None:
        self.path = path
        self.beat = beat
        self._descriptor = -1

    def take(self, control: "Control", waiting: "Callable[[], None]") -> bool:
        """Wait for it; False where nobody lets go of it. ``waiting`` is told once that we do.

        Raises Stopped, or OSError where no file can be made here.
        """
        end = time.time() + WAIT_SECONDS
        delay, seen, since = FIRST_DELAY, None, time.monotonic()
        while not self.try_to_take():
            if seen is None:
                waiting()
            now = _state(self.path)
            if now != seen:
                seen, since = now, time.monotonic()
            elif now is not None and time.monotonic() - since > STALE_SECONDS:
                if _remove_dead(self.path, now):
                    continue
                if time.monotonic() - since > 2 * STALE_SECONDS:  # who was about to has died too
                    _unlink(_claim(self.path, now))
            if time.time() > end:
                return False
            control.sleep(delay)
            delay = min(delay * 2, LONGEST_DELAY)
        return True

    def try_to_take(self) -> bool:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            self._descriptor = os.open(self.path, flags, 0o600)
        except FileExistsError:
            return False
        self.beat.add(self._descriptor)
        return True

    def now(self) -> float:
        """The time by the clock that the entries' own times are of, the file server's."""
        os.utime(self._descriptor)
        return os.fstat(self._descriptor).st_mtime

    def release(self) -> None:
        mine = os.fstat(self._descriptor).st_ino
        state = _state(self.path)
        if state is not None and state[0] == mine:
            _unlink(self.path)
        self.beat.remove(self._descriptor)


def _state(path: bytes) -> "Optional[tuple[int, int]]":
    """Which file it is and when it was touched; opened, as NFS tells the truth to whoever opens."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        status = os.fstat(descriptor)
        return status.st_ino, status.st_mtime_ns
    finally:
        os.close(descriptor)


def _remove_dead(path: bytes, stale: "tuple[int, int]") -> bool:
    """Remove a lock that belongs to nobody, and only that one; False where another is doing so."""
    claim = _claim(path, stale)
    try:
        os.close(os.open(claim, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError:
        return False
    if _state(path) == stale:  # else it is gone already, and this may be its successor
        _unlink(path)
    _unlink(claim)
    return True


def _claim(path: bytes, stale: "tuple[int, int]") -> bytes:
    return b"%s.%d.%d" % (path, stale[0], stale[1])


def _unlink(path: bytes) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
