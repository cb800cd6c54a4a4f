"""The tasks of a job, one after the other, with retries, and its sidecars beside them."""

from .entries import Entries
from .errors import TASK_NOT_STARTED, JobFailed
from .launch import Launcher
from .metrics import memory_kills
from .sidecars import Sidecars

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .ended import Ended
    from .engine import Engine
    from .ensemble import Ensemble
    from .images import Image
    from .log import Log
    from .namespace import Namespace
    from .presence import Presence
    from .process import Watch
    from .report import ReportFile
    from .scratch import Scratch
    from .udocker import Udocker


class TaskRunner:
    """Runs tasks and notes what became of them in the report."""

    def __init__(
        self,
        ensemble: "Ensemble",
        scratch: "Scratch",
        namespace: "Namespace",
        engines: "dict[str, Engine | Udocker]",
        watch: "Watch",
        report: "ReportFile",
        presence: "Presence",
        log: "Log",
    ) -> None:
        self.ensemble = ensemble
        self.plan = plan = ensemble.plan
        self.scratch = scratch
        self.watch = watch
        self.presence = presence
        self.log = log
        self.launcher = Launcher(plan, scratch, namespace, engines)
        self.entries = Entries(plan, report)
        self.sidecars = Sidecars(self.launcher, watch, self.entries, log)
        self.memory_killed = False
        self.over_time = False

    def run_all(self, images: "dict[int, Image]") -> None:
        """Run the tasks until one fails for good or the job's time is over, sidecars beside them."""
        tasks = list(enumerate(self.plan["tasks"]))
        sidecars = [number for number, task in tasks if task["type"] == "sidecar"]
        try:
            self.sidecars.begin(sidecars, images)
            for number, _ in tasks:
                if number not in sidecars and not self._goes_on_after(number, images):
                    return
        finally:
            self.sidecars.end()

    def _goes_on_after(self, number: int, images: "dict[int, Image]") -> bool:
        """Run one task; whether the next one is to run."""
        code = self._run(number, images[self.plan["tasks"][number]["image"]])
        self.sidecars.look()
        if self.over_time or self.watch.control.signal_number or self.memory_killed:
            return False
        return code == 0 or bool(self.plan["ignore_task_failures"])

    def _run(self, number: int, image: "Image") -> int:
        """Run one task, again where it fails and may; returns its last exit code."""
        entry = self.entries.begin(number, image)
        for retries in range(self.plan["task_retries"] + 1):
            entry["retries"] = retries
            ended = self._once(number, image)
            self.entries.ended(entry, ended)
            self.log("task %d: exit code %d" % (number, ended.exit_code))
            if ended.exit_code == 0 or self.over_time or self.watch.control.signal_number:
                break
        return ended.exit_code

    def _once(self, number: int, image: "Image") -> "Ended":
        launch = self.launcher.prepare(number, image)
        kills = memory_kills()
        self.log("task %d: begins" % number)
        try:
            ended = self.ensemble.run(
                number,
                launch,
                lambda pid: self.presence.task_begins(
                    number, image.path, launch.engine.path, launch.engine.version, pid
                ),
            )
        except OSError as error:
            detail = "Task %d: %s." % (number, error.strerror)
            raise JobFailed(TASK_NOT_STARTED, detail) from error
        finally:
            self.presence.task_ended()
            launch.close()
        self.over_time = ended.over_time
        now = memory_kills()
        killed_here = kills is not None and now is not None and now > kills
        if ended.exit_code != 0 and (killed_here or self.ensemble.memory_killed):
            self.memory_killed = True
        return ended
