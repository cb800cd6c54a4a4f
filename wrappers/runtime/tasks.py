"""The tasks of a job, one after the other, with retries."""

import os

from .container import argv, environment, runtime_environment, workdir
from .errors import RUNTIME_REFUSED, TASK_NOT_STARTED, JobFailed, UnsafeName
from .metrics import memory_kills
from .text import encode, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from .ended import Ended
    from .engine import Engine
    from .images import Image
    from .log import Log
    from .namespace import Namespace
    from .presence import Presence
    from .process import Watch
    from .report import ReportFile
    from .scratch import Scratch


class TaskRunner:
    """Runs tasks and notes what became of them in the report."""

    def __init__(
        self,
        plan: "dict[str, Any]",
        scratch: "Scratch",
        namespace: "Namespace",
        engine: "Engine",
        watch: "Watch",
        report: "ReportFile",
        presence: "Presence",
        log: "Log",
    ) -> None:
        self.plan = plan
        self.scratch = scratch
        self.namespace = namespace
        self.engine = engine
        self.watch = watch
        self.report = report
        self.presence = presence
        self.log = log
        self.memory_killed = False
        self.over_time = False
        self._used: "set[int]" = set()

    def run_all(self, images: "dict[int, Image]") -> None:
        """Run the tasks until one fails for good or the job's time is over."""
        for number, task in enumerate(self.plan["tasks"]):
            code = self._run(number, images[task["image"]])
            if self.over_time or self.watch.control.signal_number or self.memory_killed:
                return
            if code != 0 and not self.plan["ignore_task_failures"]:
                return

    def _run(self, number: int, image: "Image") -> int:
        """Run one task, again where it fails and may; returns its last exit code."""
        entry = self._entry(number, image)
        for retries in range(self.plan["task_retries"] + 1):
            entry["retries"] = retries
            ended = self._once(number, image)
            self._note(entry, ended)
            self.log("task %d: exit code %d" % (number, ended.exit_code))
            if ended.exit_code == 0 or self.over_time or self.watch.control.signal_number:
                break
        return ended.exit_code

    def _entry(self, number: int, image: "Image") -> "dict[str, Any]":
        index = self.plan["tasks"][number]["image"]
        entry = task_entry(image, index in self._used)
        self._used.add(index)
        self.report.document["tasks"].append(entry)
        self.report.note()
        return entry

    def _once(self, number: int, image: "Image") -> "Ended":
        task = self.plan["tasks"][number]
        check_runtime(task)
        self._make_workdir(task)
        variables = environment(self.plan, number, os.environ)
        env = runtime_environment(os.environb, self.scratch, variables, self.engine.version)
        words = argv(self.engine.path, self.plan, number, image.path, self.scratch)
        stdout = self._open_stdout(task)
        kills = memory_kills()
        self.log("task %d: begins" % number)
        try:
            ended = self.watch.run(
                words,
                env,
                self.scratch.work,
                stdout,
                lambda pid: self.presence.task_begins(
                    number, image.path, self.engine.path, self.engine.version, pid
                ),
            )
        except OSError as error:
            detail = "Task %d: %s." % (number, error.strerror)
            raise JobFailed(TASK_NOT_STARTED, detail) from error
        finally:
            self.presence.task_ended()
            if stdout is not None:
                os.close(stdout)
        self.over_time = ended.over_time
        now = memory_kills()
        if ended.exit_code != 0 and kills is not None and now is not None and now > kills:
            self.memory_killed = True
        return ended

    def _note(self, entry: "dict[str, Any]", ended: "Ended") -> None:
        entry["exit_code"] = ended.exit_code
        entry["wall_time"] = round(entry["wall_time"] + ended.wall_time, 3)
        entry["cpu_time"] = round(entry["cpu_time"] + ended.cpu_time, 3)
        most = max(entry["max_resident_set_size_kb"], ended.max_kb)
        entry["max_resident_set_size_kb"] = most
        document = self.report.document
        document["max_memory_usage_kb"] = max(document["max_memory_usage_kb"], most)

    def _make_workdir(self, task: "dict[str, Any]") -> None:
        """Make a working directory that is ours to make: below /home/user or an artifact's mount."""
        try:
            path = self.namespace.resolve(workdir(self.plan, task))
            os.makedirs(path, exist_ok=True)
        except UnsafeName:
            return  # a folder of the image
        except OSError as error:
            detail = "Working directory %s: %s." % (shown(task["workdir"]), error.strerror)
            raise JobFailed(TASK_NOT_STARTED, detail) from error

    def _open_stdout(self, task: "dict[str, Any]") -> "Optional[int]":
        """The file for the task's standard output, which it writes itself; None: the job's own."""
        name = task.get("stdout")
        if not name:
            return None
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            path = self.namespace.resolve(encode(name))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            return os.open(path, flags, 0o644)
        except (OSError, UnsafeName) as error:
            words = getattr(error, "strerror", None) or str(error)
            detail = "Standard output file %s: %s." % (shown(name), words)
            raise JobFailed(TASK_NOT_STARTED, detail) from error


def task_entry(image: "Image", used: bool) -> "dict[str, Any]":
    """A task's part of the report as it starts; ``used``: an earlier task has had the image."""
    return {
        "exit_code": None,
        "retries": 0,
        "image_pull_time": -1 if used else round(image.seconds, 3),
        "image_pull_status": "cached" if used else image.status,
        "image_sha256": image.sha256,
        "wall_time": 0.0,
        "cpu_time": 0.0,
        "max_resident_set_size_kb": 0,
    }


def check_runtime(task: "dict[str, Any]") -> None:
    if task["runtime"] != "singularity":
        detail = "Runtime %s: nodes run containers by Apptainer or Singularity." % task["runtime"]
        raise JobFailed(RUNTIME_REFUSED, detail)
