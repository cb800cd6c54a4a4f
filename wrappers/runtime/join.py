"""Stepping into the namespaces of a container that runs already, as nsenter(1) does.

A container without root's help is a user namespace of its user's own, so that whoever is this user
may join it (setns(2)). The same image with the same folders would look alike if it were started
once more, but /dev/shm and what else the task has mounted are in this one alone. Where it cannot be
joined (a setuid runtime, a Python without ctypes) the caller starts it once more.
"""

import os
import sys
import time

from .orphans import children

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

# In this order: the user namespace gives the right to join the others. See clone(2).
NAMESPACES = (
    ("user", 0x10000000),
    ("ipc", 0x08000000),
    ("uts", 0x04000000),
    ("net", 0x40000000),
    ("cgroup", 0x02000000),
    ("pid", 0x20000000),
    ("mnt", 0x00020000),
)
PR_SET_NO_NEW_PRIVS = 38  # prctl(2); a container's processes have it
BEGIN_SECONDS = 3.0  # from the runtime's start to that of its container's first program


def container_process(runtime_pid: int, start: float) -> "Optional[int]":
    """The first process of a container, below the runtime that started it; None where there is none.

    While the runtime, begun at ``start``, prepares the container its processes are its own program.
    """
    end = start + BEGIN_SECONDS
    while True:
        found = _inner(runtime_pid)
        if found is not None or time.time() > end or not os.path.exists("/proc/%d" % runtime_pid):
            return found
        time.sleep(0.02)


def _inner(runtime_pid: int) -> "Optional[int]":
    program = _link(runtime_pid, "exe")
    outside = {_link(runtime_pid, "ns/mnt"), _link(os.getpid(), "ns/mnt")}
    waiting = children(runtime_pid)
    while waiting:
        pid = waiting.pop(0)
        mounts, own_program = _link(pid, "ns/mnt"), _link(pid, "exe")
        if mounts is not None and mounts not in outside and own_program not in (program, None):
            return pid
        waiting += children(pid)
    return None


def can_join(pid: int) -> bool:
    """Tried by a child process: who has joined half of the namespaces is nowhere."""
    probe = os.fork()
    if probe == 0:
        try:
            join(pid)
            os._exit(0)
        except Exception:  # noqa: BLE001 (whatever it is, it cannot be joined)
            os._exit(1)
    return os.waitpid(probe, 0)[1] == 0


def join(pid: int) -> None:
    """From here on this process sees what the container sees. It must have one thread alone.

    Nothing can be imported afterwards: Python's own files are out of sight. Raises OSError.
    """
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    root = os.open("/proc/%d/root" % pid, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    shut_imports()
    different = [
        (os.open("/proc/%d/ns/%s" % (pid, name), os.O_RDONLY | os.O_CLOEXEC), flag)
        for name, flag in NAMESPACES
        if _link(pid, "ns/" + name) not in (_link(os.getpid(), "ns/" + name), None)
    ]
    for descriptor, flag in different:
        _call(libc, "setns", descriptor, flag)
        os.close(descriptor)
    # A runtime that changed its root instead of its mount namespace's (chroot) is followed there.
    os.fchdir(root)
    os.chroot(".")
    os.close(root)
    _call(libc, "prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def shut_imports() -> None:
    """What an import would find from here on is the container's, which is not ours to run."""
    import traceback  # noqa: F401 (the last that may be needed)

    sys.path[:] = []
    sys.meta_path[:] = []


def _call(libc: "Any", name: str, *arguments: int) -> None:
    import ctypes

    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)


def _link(pid: int, name: str) -> "Optional[str]":
    try:
        return os.readlink("/proc/%d/%s" % (pid, name))
    except OSError:
        return None
