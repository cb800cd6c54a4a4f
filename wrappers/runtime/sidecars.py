"""Sidecars: tasks that run beside the others, from before the first until after the last."""

import os

from .errors import TASK_NOT_STARTED, JobFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .companion import Companion
    from .ended import Ended
    from .entries import Entries
    from .images import Image
    from .launch import Launcher
    from .log import Log
    from .process import Watch

TAIL_BYTES = 4096  # of what a sidecar wrote, in the report


class Sidecar:
    """One that has begun."""

    def __init__(self, number: int, entry: "dict[str, Any]", companion: "Companion") -> None:
        self.number = number
        self.entry = entry
        self.companion = companion


class Sidecars:
    """All of a job's. What they write is kept apart from the job's own output, in scratch."""

    def __init__(
        self, launcher: "Launcher", watch: "Watch", entries: "Entries", log: "Log"
    ) -> None:
        self.launcher = launcher
        self.watch = watch
        self.entries = entries
        self.log = log
        self._begun: "list[Sidecar]" = []

    def begin(self, numbers: "list[int]", images: "dict[int, Image]") -> None:
        """Start them in their order. Raises JobFailed; those that have begun are to be ended then."""
        for number in numbers:
            task = self.launcher.plan["tasks"][number]
            image = images[task["image"]]
            entry = self.entries.begin(number, image)
            companion = self._start(number, image)
            self._begun.append(Sidecar(number, entry, companion))
            self.log("sidecar %d: begins" % number)

    def _start(self, number: int, image: "Image") -> "Companion":
        launch = self.launcher.prepare(number, image)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        try:
            output = os.open(self._output(number), flags, 0o600)
            try:
                stdout = output if launch.stdout is None else launch.stdout
                work = self.launcher.scratch.work
                return self.watch.begin(launch.argv, launch.env, work, stdout, output)
            finally:
                os.close(output)
        except OSError as error:
            detail = "Sidecar %d: %s." % (number, error.strerror)
            raise JobFailed(TASK_NOT_STARTED, detail) from error
        finally:
            launch.close()

    def look(self) -> None:
        """Note those that have ended of their own accord, which changes nothing for the job."""
        for sidecar in self._begun:
            ended = sidecar.companion.ended
            if ended is not None and sidecar.entry["exit_code"] is None:
                self._note(sidecar, ended, early=not self.watch.control.signal_number)

    def end(self) -> None:
        """End them, and all that they started; their last words go into the report."""
        self.look()
        self.watch.end(sidecar.companion for sidecar in self._begun)
        for sidecar in self._begun:
            ended = sidecar.companion.ended
            if ended is not None and sidecar.entry["exit_code"] is None:
                self._note(sidecar, ended, early=False)
            sidecar.entry.update(read_tail(self._output(sidecar.number)))

    def _note(self, sidecar: Sidecar, ended: "Ended", early: bool) -> None:
        self.entries.ended(sidecar.entry, ended)
        sidecar.entry["ended_early"] = early
        when = "before the tasks" if early else "after the tasks"
        self.log("sidecar %d: exit code %d, %s" % (sidecar.number, ended.exit_code, when))

    def _output(self, number: int) -> bytes:
        return os.path.join(self.launcher.scratch.path, b"sidecar-%d" % number)


def read_tail(path: bytes) -> "dict[str, Any]":
    """The end of a file, from the beginning of a line where there is one, and the file's size."""
    with open(path, "rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(size - TAIL_BYTES, 0))
        tail = stream.read(TAIL_BYTES)
    if size > TAIL_BYTES and b"\n" in tail[:-1]:
        tail = tail.partition(b"\n")[2]
    return {"output_bytes": size, "output_tail": tail.decode("utf-8", "replace")}
