"""What the wrapper leaves beside the plan while it runs, so that others find the way into its job.

``enter`` is a shell script that starts :mod:`.entrance` with the wrapper's own Python; ``running.json``
says where the job has its scratch folder and which task runs. Both go with the wrapper. A folder
that cannot be written to costs the job nothing but this.
"""

import json
import os
import stat
import sys
import time

from .stream import write_all
from .text import decode, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from .log import Log

VERSION = 1
ENTER = b"enter"
RUNNING = b"running.json"
SCRIPT = """\
#!/bin/sh
# The way in for "prominence exec", "snapshot" and "logs", by the Python that runs the job.
{library_path}exec {python} -IS {runner} --enter {plan}{folder}
"""


class Presence:
    """The two files, kept up to date; written whole, by write-and-rename."""

    def __init__(self, plan_path: bytes, log: "Log", folder: "Optional[bytes]" = None) -> None:
        """``folder`` is the plan's, unless several nodes see that one."""
        self.plan_path = plan_path
        self.folder = folder or os.path.dirname(plan_path)
        self.log = log
        self.document: "dict[str, Any]" = {
            "version": VERSION,
            "host": os.uname().nodename,
            "pid": os.getpid(),
            "ticks": start_ticks(os.getpid()),
            "scratch": None,
            "work": None,
            "streams": {"stdout": _regular_file(1), "stderr": _regular_file(2)},
            "task": None,
        }

    def begin(self) -> None:
        """Files of an earlier start of this job are replaced."""
        self._write(RUNNING, json.dumps(self.document))
        self._write(ENTER, script(self.plan_path, self.folder))

    def found_scratch(self, path: bytes, work: bytes) -> None:
        """``work``, the working directory, may be elsewhere: where all nodes of the job see it."""
        self._update(scratch=decode(path), work=decode(work))

    def task_begins(self, number: int, image: bytes, engine: bytes, version: str, pid: int) -> None:
        """``pid`` is the container runtime's process, whose child the task is."""
        self._update(
            task={
                "number": number,
                "image": decode(image),
                "engine": decode(engine),
                "engine_version": version,
                "pid": pid,
                "ticks": start_ticks(pid),
                "start": time.time(),
            }
        )

    def task_ended(self) -> None:
        self._update(task=None)

    def end(self) -> None:
        """There is no way in any more."""
        for name in (ENTER, RUNNING):
            try:
                os.unlink(os.path.join(self.folder, name))
            except OSError:
                pass  # it was never written

    def _update(self, **changes: "Any") -> None:
        self.document.update(changes)
        self._write(RUNNING, json.dumps(self.document))

    def _write(self, name: bytes, text: str) -> None:
        path = os.path.join(self.folder, name)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(path + b".part", flags, 0o600)
            try:
                write_all(descriptor, text.encode("utf-8", "surrogateescape"))
            finally:
                os.close(descriptor)
            os.rename(path + b".part", path)
        except OSError as error:
            self.log("%s cannot be written: %s" % (shown(name), error))


def script(plan_path: bytes, folder: bytes) -> str:
    """The text of ``enter``: absolute paths, since it is run from anywhere."""
    import shlex  # whoever comes in reads this module for its names alone

    library_path = os.environ.get("LD_LIBRARY_PATH")  # of a Python that a module brought
    return SCRIPT.format(
        library_path="LD_LIBRARY_PATH=%s " % shlex.quote(library_path) if library_path else "",
        python=shlex.quote(sys.executable or "python3"),
        runner=shlex.quote(os.path.abspath(sys.argv[0])),
        plan=shlex.quote(decode(plan_path)),
        folder="" if folder == os.path.dirname(plan_path) else " " + shlex.quote(decode(folder)),
    )


def start_ticks(pid: int) -> int:
    """When a process began, in clock ticks since boot: process ids are used again, see proc_pid_stat(5)."""
    try:
        with open("/proc/%d/stat" % pid, "rb") as stream:
            return int(stream.read().rpartition(b")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0


def _regular_file(descriptor: int) -> "Optional[str]":
    """The file that the scheduler gave us to write to, if it is one."""
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        return decode(os.readlink(b"/proc/self/fd/%d" % descriptor))
    except OSError:
        return None
