"""Whose child a process is, and what becomes of it when its parent ends."""

import os
import signal

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # prctl(2)


def adopt_orphans() -> None:
    """Have processes whose parents end become our children, so that none outlives its task."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)  # without it sessions are killed all the same


def end_with_parent() -> None:
    """Have this process killed when the one that started it is."""
    hear_of_parents_end(signal.SIGKILL)


def hear_of_parents_end(number: int) -> None:
    """Have this process sent a signal when the thread that started it ends."""
    _prctl(PR_SET_PDEATHSIG, number)


def _prctl(option: int, value: int) -> None:
    try:
        import ctypes

        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        pass  # a Python without ctypes


def children(pid: int) -> "list[int]":
    """A process's children: from /proc, which says it in a few files where the kernel is built so."""
    found: "list[int]" = []
    try:
        for thread in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/children" % (pid, thread), "rb") as stream:
                found += [int(word) for word in stream.read().split()]
    except OSError:
        return [other for other in _processes() if _parent(other) == pid]
    return found


def descendants(pid: int) -> "list[int]":
    """All below a process, parents first."""
    found = children(pid)
    for one in found:  # grows meanwhile
        found += children(one)
    return found


def send(pid: int, number: int) -> None:
    """Signal a process, or by its negative id a process group, where it is still there."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def _processes() -> "list[int]":
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _parent(pid: int) -> int:
    try:
        with open("/proc/%d/stat" % pid, "rb") as stream:
            return int(stream.read().rpartition(b")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0
