"""One job from beginning to end: stage-in, tasks, stage-out, and the report of it."""

import os
import signal
import time

from .allocation import of_environment
from .attempts import Attempts, cause_of
from .cache_place import cache_of
from .control import Control
from .errors import (
    ENDED_EARLY,
    MEMORY,
    QUEUE_TIME,
    STORAGE_FAILED,
    STORAGE_LOST,
    WALLTIME,
    WRAPPER_FAILED,
    JobFailed,
    Stopped,
    UnsafeName,
)
from .exit_code import CRASHED, EXIT, RETRY_EXIT_CODE, told_by
from .given import provisioned
from .gpus import check as check_gpus
from .log import Log
from .metrics import cpu
from .namespace import of_plan
from .parallel import run_all
from .planfile import PlanFile
from .presence import Presence
from .process import Watch
from .report import ReportFile
from .scratch import BESIDE, INSIDE, MOUNT, Scratch, base_folder, sweep
from .text import encode, scrub, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Dict, Optional, Union

    from .engine import Engine
    from .fetch import Fetcher
    from .image_cache import ImageCache
    from .images import Images
    from .namespace import Namespace
    from .team import Team
    from .udocker import Udocker
    from .webdav import WebDAV

    Engines = Dict[str, Union[Engine, Udocker]]

UNMOUNT_SECONDS = 6.0  # kept of the time for writing storage back


class Job:
    """What the phases share. ``outcome``, ``reason`` and ``detail`` are set by the first thing that ends it."""

    def __init__(self, plan_path: bytes) -> None:
        start = time.time()
        self.file = PlanFile(plan_path)
        self.plan = plan = self.file.document
        os.environ.update(plan["forwarded_environment"])
        self.attempts = Attempts(plan, self.file.folder)
        self.log = Log(os.path.join(self.file.folder, b"wrapper.log"))
        self.control = Control(
            start, plan["limit_seconds"], plan["reserve_seconds"], plan["grace_seconds"]
        )
        self.watch = Watch(self.control)
        self.presence = Presence(self.file.path, self.log)
        report_path = os.path.join(self.file.folder, b"report.json")
        self.report = ReportFile(report_path, plan["job_id"], self.attempts.number, start, self.log)
        self.report.document["cpu"] = cpu()
        self.scratch: "Optional[Scratch]" = None
        self.cache: "Optional[ImageCache]" = None
        self.team: "Optional[Team]" = None  # the other nodes of a job of several
        self.outcome, self.reason, self.detail = "completed", "", ""
        self.tasks_began = False
        self.storage: "Optional[WebDAV]" = None
        self.retrying = False

    def run(self) -> int:
        """Run all of it; returns the exit code. The report is written whatever happens."""
        self.log("job %d begins on %s" % (self.plan["job_id"], os.uname().nodename))
        self.presence.begin()
        try:
            try:
                self._stage_in_and_run()
            except JobFailed as error:
                self._end("failed", error.reason, error.detail)
            except Stopped:
                pass
            problem = None if self.team is None else self.team.dismiss()
            self._judge_time()
            if problem is not None:
                self._end("failed", problem.reason, problem.detail)
            self._close_storage()
            if self.tasks_began and self.plan["outputs"]:
                if self.scratch is not None:  # an output must not change while it is stored
                    self.scratch.wait_for_visitors(INSIDE)
                self._stage_out()
            self._conclude()
        finally:
            self._clean_up()
        return self._leave(EXIT[self.outcome])

    def crashed(self, error: Exception) -> int:
        """The wrapper itself failed: leave that as the report, the traceback goes to stderr."""
        self.log("crashed: %r" % error)
        detail = shown(scrub("%s: %s" % (type(error).__name__, error)))
        self.outcome, self.reason, self.detail = "failed", WRAPPER_FAILED, detail
        self._conclude()
        return self._leave(CRASHED)

    def _leave(self, code: int) -> int:
        """The last act, when nobody needs the plan any more; returns the exit code that is asked for."""
        if self._begins_again():
            return RETRY_EXIT_CODE
        self.file.remove()
        return told_by(self.plan["exit_code"], code, self.report.document["cause"])

    def _conclude(self) -> None:
        """Report how the attempt ended, as the job's end unless another attempt is to follow."""
        cause = cause_of(self.plan, self.outcome, self.reason, self.report.document)
        self.report.conclude(self.outcome, self.reason, self.detail, cause)
        self.retrying = self.attempts.may_follow(self.report.document)
        if self.retrying:
            self.report.retry(self.attempts.left())
            self.attempts.keep()
        else:
            self._finish()
        self.log("job ends: %s %s %s" % (self.outcome, self.reason, self.detail))

    def _begins_again(self) -> bool:
        """Whether another attempt follows; where it was to and cannot, the report says so."""
        if not self.retrying:
            return False
        if self.control.signal_number:
            problem: "Optional[str]" = "The scheduler ended it before it could be run again."
        else:
            self.log("to be run again: %d times at most" % self.attempts.left())
            problem = self.attempts.ask()
        if problem is None:
            return True
        self.log(problem)
        self.report.document["detail"] = ("%s %s" % (self.detail, problem)).strip()
        self._finish()
        return False

    def _finish(self) -> None:
        """The job's end, and the e-mail that the user wants then."""
        self.report.finish()
        if self.plan["mail_command"]:
            from .mail import send_mail

            send_mail(self.plan, self.report.document, self.log)

    def _end(self, outcome: str, reason: str, detail: str) -> None:
        if self.outcome == "completed":
            self.outcome, self.reason, self.detail = outcome, reason, scrub(detail)
            self.log("%s: %s" % (reason, detail))

    def _stage_in_and_run(self) -> None:
        from .engines import find_engines, versions

        start = time.time()
        before = self.plan.get("start_before")
        if before and start > before and self.attempts.number == 0:
            raise JobFailed(QUEUE_TIME, "The job began %d s too late." % (start - before))
        if self.plan.get("queue_seconds") and self.attempts.number == 0:
            from .eligible import check_wait

            check_wait(self.plan["queue_seconds"], self.log)
        self.report.phase("stage-in")
        engines = find_engines(self.plan)
        base = base_folder(self.plan)
        self.scratch = Scratch(base, self.plan["job_id"])
        self._assemble(self.scratch)
        self.presence.found_scratch(self.scratch.path, self.scratch.work)
        self.report.document["provisioned"] = provisioned(self.plan, os.environ)
        check_gpus(self.plan)
        for engine in engines.values():
            engine.begin(self.scratch, self.control)
        images = self._stage_in(self.scratch, engines)
        self.report.document["runtime_version"] = versions(engines)
        self.report.document["stage_in_time"] = round(time.time() - start, 3)
        self._run_tasks(self.scratch, engines, images)

    def _assemble(self, scratch: Scratch) -> None:
        """Where the job has several nodes, have the others join, and share the working directory."""
        allocation = of_environment(self.plan, os.environ)
        if allocation.nodes > 1:
            from .team import Team

            self.team = team = Team(self.plan, allocation, self.watch, self.log)
            scratch.work = team.shared.work
            if allocation.by_step:
                team.send_for(self.file.path, scratch.build)

    def _stage_in(self, scratch: Scratch, engines: "Engines") -> "Images":
        from .fetch import Fetcher
        from .images import Images

        if self.plan["inputs"]:
            from .artifacts import write_inputs

            write_inputs(self.plan["inputs"], scratch.work)
        fetcher = Fetcher(self.file, self.control)
        self.cache = cache_of(self.plan, self.control, self.log)
        images = Images(fetcher, engines, scratch, self.cache, self.log)
        wanted = sorted({task["image"] for task in self.plan["tasks"]})
        actions = [] if self.team is None else [self.team.gather]
        actions += [_bound(images.get, index) for index in wanted]
        actions += [
            _bound(lambda index: self._fetch(index, fetcher, scratch), index)
            for index in range(len(self.plan["artifacts"]))
        ]
        try:
            run_all(actions, self.control)
            if self.cache is not None:
                self.cache.make_room()
        finally:
            self._note_missing(images)
        if self.team is not None:
            self.team.listen()
            self.report.document["nodes"] = self.team.hosts
        return images

    def _note_missing(self, images: "Images") -> None:
        """The first image that could not be had is told of by the first task that wanted it."""
        from .entries import task_entry

        for index in sorted(images.failed)[:1]:
            tasks = enumerate(self.plan["tasks"])
            number, task = next(item for item in tasks if item[1]["image"] == index)
            entry = task_entry(number, task, images.failed[index], False)
            self.report.document["tasks"] = [entry]

    def _fetch(self, index: int, fetcher: "Fetcher", scratch: Scratch) -> None:
        from .artifacts import fetch_artifact

        fetch_artifact(index, fetcher, scratch.work, self.log)

    def _run_tasks(self, scratch: Scratch, engines: "Engines", images: "Images") -> None:
        from .ensemble import Ensemble
        from .tasks import TaskRunner

        self.control.check()
        self._open_storage(scratch)
        self.report.document["phase"] = "tasks"  # written as the first task begins
        self.tasks_began = True
        self.control.start_tasks(self.plan["walltime_seconds"])
        namespace = of_plan(self.plan, scratch.work)
        ensemble = Ensemble(self.plan, scratch, self.team, self.watch, self.log)
        runner = TaskRunner(
            ensemble,
            scratch,
            namespace,
            engines,
            self.watch,
            self.report,
            self.presence,
            self.log,
        )
        runner.run_all(images.ready)
        if runner.over_time:
            self._end("killed", WALLTIME, "The tasks were ended when their time was over.")
        elif runner.memory_killed:
            self._end("killed", MEMORY, "The node's kernel killed a process of the task.")

    def _open_storage(self, scratch: Scratch) -> None:
        settings = self.plan["storage"]
        if settings is not None:
            from .webdav import WebDAV

            place_of_mount(of_plan(self.plan, scratch.work), settings["mountpoint"])
            self.storage = WebDAV(settings, os.path.join(scratch.path, MOUNT[0]), self.log)
            self.storage.open(self.watch, self.plan["ca_certificates"])

    def _close_storage(self) -> None:
        """All that tasks wrote gets half of the time that is left, outputs the other half."""
        if self.storage is None:
            return
        self.control.staging_out = True
        share = 2 if self.tasks_began and self.plan["outputs"] else 1
        seconds = max(self.control.left() - UNMOUNT_SECONDS, 0) / share
        problem = self.storage.close(self.watch, time.time() + seconds)
        if problem:
            self._judge_time()
            self._end("failed", STORAGE_LOST, problem)

    def _judge_time(self) -> None:
        """A signal of the scheduler, or time that was over before the tasks began."""
        control = self.control
        if control.signal_number and not control.near_limit:
            name = signal.Signals(control.signal_number).name
            detail = "The scheduler ended the job (%s)." % name
            self._end("killed", ENDED_EARLY, detail)
        elif control.signal_number or (not self.tasks_began and control.left() <= 0):
            self._end("killed", WALLTIME, "The scheduler's time limit for the job was reached.")

    def _stage_out(self) -> None:
        from .fetch import Fetcher
        from .outputs import StageOut
        from .upload import Uploader

        assert self.scratch is not None
        start = time.time()
        self.control.staging_out = True
        self.file.reload()
        fetcher = Fetcher(self.file, self.control)
        uploader = Uploader(self.file, lambda: fetcher.web, self.control)
        namespace = of_plan(self.plan, self.scratch.work)
        stage_out = StageOut(self.file, namespace, uploader, self.report, self.log)
        self.report.document.update(reason=self.reason, detail=self.detail)
        self.report.phase("stage-out")
        try:
            stores = [_bound(stage_out.store, index) for index in range(len(stage_out.entries))]
            run_all(stores, self.control)
        except Stopped:
            stage_out.unfinished()
        failure = stage_out.failure()
        if failure is not None:
            self._judge_time()  # a signal meanwhile is the better explanation
            self._end("failed", *failure)
        self.report.document["stage_out_time"] = round(time.time() - start, 3)

    def _clean_up(self) -> None:
        """Remove what is ours on the node; what cannot be removed is said in the log."""
        self.presence.end()
        self.watch.end(self.watch.companions)
        self.watch.clear()
        try:
            if self.cache is not None:
                self.cache.end()
        except OSError as error:
            self.log("image cache: %s" % error)
        if self.scratch is None:
            return
        self.scratch.wait_for_visitors(INSIDE, BESIDE)
        try:
            if self.team is not None:
                self.team.remove()
            self.scratch.remove()
            for name in sweep(self.scratch.base):
                self.log("removed %s, which a killed job had left" % shown(name))
        except OSError as error:
            self.log("scratch folder: %s" % error)


def place_of_mount(namespace: "Namespace", path: str) -> None:
    """Make the folder to mount at where it is ours to make: below /home/user or an artifact's mount."""
    try:
        os.makedirs(namespace.resolve(encode(path)), exist_ok=True)
    except UnsafeName:
        return  # the container runtime makes it
    except OSError as error:
        detail = "Mountpoint %s: %s." % (shown(path), error.strerror)
        raise JobFailed(STORAGE_FAILED, detail) from error


def _bound(action: "Callable[[int], None]", index: int) -> "Callable[[], None]":
    return lambda: action(index)
