"""The running job as whoever comes in by ``enter`` finds it: its folders, its task, whether it lives."""

import json
import os

from .planfile import PlanError, load
from .presence import RUNNING, VERSION, start_ticks
from .scratch import Folders
from .text import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

WORDS = {
    "starting": "is starting",
    "stage-in": "is fetching its image and artifacts",
    "stage-out": "is storing its outputs",
    "finished": "has ended",
}
BETWEEN_TASKS = "is between two tasks"


ENDED = "The job has just ended."
CONFLICT, NOT_FOUND, REMOTE, USAGE = "conflict", "not-found", "remote", "usage"


class Refusal(Exception):
    """What was asked for cannot be done; ``kind`` names the error that the login node raises."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(kind, message)
        self.kind = kind
        self.message = message


class Place:
    """What ``running.json`` said when it was read last."""

    def __init__(self, plan_path: bytes, folder: "Optional[bytes]" = None) -> None:
        """``folder`` is this node's own, where it is not the plan's."""
        self.plan_path = os.path.abspath(plan_path)
        self.folder = folder or os.path.dirname(self.plan_path)
        self.document = self._read()
        self._plan: "Optional[dict[str, Any]]" = None

    @property
    def plan(self) -> "dict[str, Any]":
        """The job's plan; raises Refusal where it cannot be read."""
        if self._plan is None:
            try:
                self._plan = load(self.plan_path)
            except FileNotFoundError as error:  # a sweep's job removes its plan as it ends
                raise Refusal(CONFLICT, ENDED) from error
            except (OSError, PlanError) as error:
                msg = "The job's plan cannot be read on its node: %s." % error
                raise Refusal(REMOTE, msg) from error
        return self._plan

    def _read(self) -> "dict[str, Any]":
        try:
            with open(os.path.join(self.folder, RUNNING), "rb") as stream:
                document = json.loads(stream.read().decode("utf-8", "surrogateescape"))
        except (OSError, ValueError) as error:
            raise Refusal(CONFLICT, ENDED) from error
        if document["version"] != VERSION:
            msg = (
                "The job was submitted by another version of prominence, which has another way in."
            )
            raise Refusal(REMOTE, msg)
        return dict(document)

    def refresh(self) -> None:
        self.document = self._read()

    @property
    def elsewhere(self) -> bool:
        """Whether the wrapper runs on another node of this job than this one."""
        return bool(self.document["host"] != os.uname().nodename)

    @property
    def follows(self) -> bool:
        """Whether this is one of the other nodes of a job of several, which has a folder of its own."""
        return self.folder != os.path.dirname(self.plan_path)

    @property
    def task(self) -> "Optional[dict[str, Any]]":
        return self.document["task"] or None

    @property
    def scratch(self) -> "Optional[Folders]":
        """The job's scratch folder as it can be reached from here; None while there is none.

        A /tmp of the job's own (job_container.conf(5)) is found through the wrapper's root.
        """
        path = self.document["scratch"]
        if path is None:
            return None
        raw = encode(path)
        if not os.path.isdir(raw):
            raw = b"/proc/%d/root%s" % (self.document["pid"], raw)
        folders = Folders(raw)
        if self.document.get("work"):
            folders.work = encode(self.document["work"])
            if not os.path.isdir(folders.work):
                folders.work = b"/proc/%d/root%s" % (self.document["pid"], folders.work)
        return folders

    def phase(self) -> str:
        """What the job does just now, in words: "is storing its outputs"."""
        try:
            with open(
                os.path.join(os.path.dirname(self.plan_path), b"report.json"), "rb"
            ) as stream:
                phase = json.loads(stream.read().decode("utf-8"))["phase"]
        except (OSError, ValueError, KeyError):
            phase = "starting"
        return WORDS.get(phase, BETWEEN_TASKS)

    def wrapper(self) -> "Mark":
        """True until the wrapper puts everything away, on whichever node of the job it is."""
        alive = None
        if not self.elsewhere:
            alive = Alive(self.document["pid"], self.document["ticks"])
        return Mark(os.path.join(self.folder, RUNNING), alive)

    def check_running(self) -> None:
        """Raises Refusal where the wrapper was killed: then its files are still there."""
        if not self.wrapper():
            raise Refusal(CONFLICT, ENDED)

    def environment(self) -> "dict[bytes, bytes]":
        """The wrapper's, as the scheduler has started it."""
        return read_environment(self.document["pid"])


class Alive:
    """Whether a process still runs; asked through its folder in /proc, which another's never becomes."""

    def __init__(self, pid: int, ticks: int) -> None:
        self._folder = -1
        if start_ticks(pid) == ticks:
            try:
                self._folder = os.open(
                    "/proc/%d" % pid, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
                )
            except OSError:
                pass  # it has ended

    def __bool__(self) -> bool:
        if self._folder < 0:
            return False
        try:
            descriptor = os.open("stat", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._folder)
        except OSError:
            return False
        try:
            return os.read(descriptor, 4096).rpartition(b")")[2].split()[0] not in (b"Z", b"X")
        except (OSError, IndexError):
            return False
        finally:
            os.close(descriptor)


class Mark:
    """A file that goes with a process, and the process where it is on this node."""

    def __init__(self, path: bytes, alive: "Optional[Alive]") -> None:
        self._path = path
        self._alive = alive

    def __bool__(self) -> bool:
        return os.path.exists(self._path) and (self._alive is None or bool(self._alive))


def read_environment(pid: int) -> "dict[bytes, bytes]":
    """The environment that a process of ours began with."""
    with open("/proc/%d/environ" % pid, "rb") as stream:
        entries = [entry.partition(b"=") for entry in stream.read().split(b"\0")]
    return {name: value for name, equals, value in entries if equals and name}
