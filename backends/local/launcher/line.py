"""The line before the slots: whose turn it is, among all launchers of this machine."""

from __future__ import annotations

import fcntl
import os
import time

_HIGHEST_PRIORITY = 10**11


class Place:
    """A file whose name says when it is our turn, and whose lock that we are there to take it."""

    def __init__(self, slots_folder: str, priority: int) -> None:
        folder = f"{slots_folder}/waiting"
        os.makedirs(folder, exist_ok=True)
        name = f"{_HIGHEST_PRIORITY - priority:012d}-{time.time_ns():020d}-{os.getpid()}"
        self._path = f"{folder}/{name}"
        self._lock = _open_lock(f"{folder}/.{name}")
        _locked_now(self._lock)
        os.rename(f"{folder}/.{name}", self._path)

    def ahead(self) -> int:
        """How many are before us in the line. The first is removed where nobody holds it any more."""
        folder, _, ours = self._path.rpartition("/")
        before = sorted(name for name in os.listdir(folder) if name < ours and name[0] != ".")
        if before and _is_abandoned(f"{folder}/{before[0]}"):
            return len(before) - 1
        return len(before)

    def leave(self) -> None:
        """Let the next one come forward."""
        os.unlink(self._path)
        os.close(self._lock)


def free_slot(slots_folder: str, slots: int) -> int | None:
    """A locked file, one of as many as there are slots; the kernel frees it when we end."""
    for number in range(slots):
        slot = _open_lock(f"{slots_folder}/{number}")
        if _locked_now(slot):
            return slot
        os.close(slot)
    return None


def _open_lock(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _locked_now(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_abandoned(path: str) -> bool:
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        if not _locked_now(file):
            return False
        try:  # noqa: SIM105 - contextlib is not imported
            os.unlink(path)
        except FileNotFoundError:
            pass  # another in the line was faster
        return True
    finally:
        os.close(file)
