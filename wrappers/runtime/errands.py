"""What the leader has this node run: programs in the task's container, whose output and ends it is told."""

import functools
import json
import os
import subprocess
import time

from . import link
from .agents import script
from .errors import JobFailed
from .metrics import memory_kills
from .mpi import FOLDER, HERE, is_mpi, lay_out, prepared
from .namespace import of_plan
from .orphans import send
from .process import reap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from .engine import Engine
    from .images import Image, Images
    from .log import Log
    from .presence import Presence
    from .process import Watch
    from .scratch import Scratch
    from .udocker import Udocker

BLOCK = 1 << 16
SETTLE_SECONDS = 2.0  # for MPI's daemons to end by themselves, once mpirun has
FOREVER = 1e6
CANNOT_START = 126  # as a shell has it
SHELL = "/bin/sh"  # of the image; what is to be run was written for one, as for ssh


class Errand:
    """One program: its id with the leader, its process, and the pipes that are still open."""

    def __init__(self, number: int, child: "subprocess.Popen[bytes]", start: float) -> None:
        self.number = number
        self.child = child
        self.start = start
        self.pipes: "dict[int, bytes]" = {}  # descriptor: kind of frame


class Errands:
    """All that runs on this node for the task of the moment."""

    def __init__(
        self,
        plan: "dict[str, Any]",
        nodes: int,
        node: int,
        scratch: "Scratch",
        engines: "dict[str, Engine | Udocker]",
        images: "Images",
        watch: "Watch",
        presence: "Presence",
        log: "Log",
    ) -> None:
        self.plan = prepared(plan, nodes, node, os.environ)
        self.scratch = scratch
        self.engines = engines
        self.images = images
        self.watch = watch
        self.presence = presence
        self.log = log
        self._link: "Optional[link.Link]" = None
        self._task = 0
        self._running: "list[Errand]" = []
        self._ending = 0.0  # when what then still runs of the task is killed; 0: it goes on
        self._begin(0)

    def _begin(self, task: int) -> None:
        self._task = task
        self._usage = {"cpu_time": 0.0, "max_kb": 0}
        self._kills = memory_kills()
        if is_mpi(self.plan["tasks"][task]):
            # Daemons look whether it is there; from here nothing can be started elsewhere.
            folder = os.path.join(self.scratch.tmp, FOLDER.encode())
            lay_out(folder, self.plan["node_num"], "", script([HERE, os.uname().nodename]))

    def do(self, kind: bytes, payload: bytes, leader: link.Link) -> None:
        """One word of the leader's. Raises OSError where it takes no answer."""
        self._link = leader
        said = json.loads(payload.decode("ascii"))
        if kind == link.TASK:
            self._begin(said["task"])
            self.log("task %d: begins" % self._task)
        elif kind == link.RUN:
            self._run(said["id"], said["line"])
        elif kind == link.SIGNAL:
            for errand in self._running:
                if errand.number == said["id"]:
                    send(-errand.child.pid, said["signal"])
        elif kind == link.TASK_END:
            self._ending = time.monotonic() + SETTLE_SECONDS

    def _run(self, number: int, line: "Optional[str]") -> None:
        """A shell line, whose output is the leader's to show; or the task's own command, whose is ours."""
        image = self.images.ready[self.plan["tasks"][self._task]["image"]]
        try:
            child = self._start(line, image)
        except (OSError, JobFailed) as error:
            words = error.detail if isinstance(error, JobFailed) else str(error.strerror)
            self.log("task %d: %s" % (self._task, words))
            self._link_send(link.ERROR, number, ("prominence: %s\n" % words).encode())
            self._say_code(number, CANNOT_START)
            return
        what = "begins here" if line is None else "a program of its MPI begins"
        self.log("task %d: %s" % (self._task, what))
        errand = Errand(number, child, time.time())
        self._running.append(errand)
        for stream, kind in ((child.stdout, link.OUTPUT), (child.stderr, link.ERROR)):
            if stream is not None:
                self._listen(errand, stream.fileno(), kind)
        engine = self.engines[self.plan["tasks"][self._task]["runtime"]]
        self.presence.task_begins(self._task, image.path, engine.path, engine.version, child.pid)

    def _start(self, line: "Optional[str]", image: "Image") -> "subprocess.Popen[bytes]":
        from .launch import Launcher

        own = line is None
        plan = self._plan_for(line)
        namespace = of_plan(plan, self.scratch.work)
        launcher = Launcher(plan, self.scratch, namespace, self.engines)
        launch = launcher.prepare(self._task, image)
        try:
            return subprocess.Popen(
                launch.argv,
                env=launch.env,
                cwd=self.scratch.work,
                stdin=subprocess.DEVNULL,
                stdout=launch.stdout if own else subprocess.PIPE,
                stderr=None if own else subprocess.PIPE,
                start_new_session=True,
            )
        finally:
            launch.close()

    def _plan_for(self, line: "Optional[str]") -> "dict[str, Any]":
        """The plan with what is to be run now in the task's place.

        A file for the task's standard output is node 0's; here it has the node's number at its end.
        """
        task = dict(self.plan["tasks"][self._task])
        if line is not None:
            task.update(command=[SHELL, "-c", line], stdout=None)
        elif task.get("stdout"):
            task["stdout"] += ".%d" % self.plan["node_num"]
        return dict(self.plan, tasks=[*self.plan["tasks"][: self._task], task])

    def _listen(self, errand: Errand, descriptor: int, kind: bytes) -> None:
        os.set_blocking(descriptor, False)
        errand.pipes[descriptor] = kind
        self.watch.hear(descriptor, functools.partial(self._pass_on, errand, descriptor))

    def _pass_on(self, errand: Errand, descriptor: int) -> bool:
        """Send what there is; False where there is nothing now, or never will be."""
        try:
            data = os.read(descriptor, BLOCK)
        except BlockingIOError:
            return False
        if not data:
            self.watch.forget(descriptor)
            del errand.pipes[descriptor]
            return False
        self._link_send(errand.pipes[descriptor], errand.number, data)
        return True

    def _link_send(self, kind: bytes, number: int, data: bytes) -> None:
        assert self._link is not None
        self._link.send(kind, number.to_bytes(4, "big") + data)

    def look(self) -> None:
        """Tell the leader of those that have ended, and, where it waits for that, that all have."""
        self._look_at_each()
        if self._ending and (not self._running or time.monotonic() >= self._ending):
            self._ending = 0.0
            self._end_task()

    def _look_at_each(self) -> None:
        for errand in self._running[:]:
            ended = reap(errand.child.pid, errand.start)
            if ended is None:
                continue
            self._running.remove(errand)
            errand.child.returncode = ended.exit_code  # reaped by us
            for descriptor in list(errand.pipes):
                while descriptor in errand.pipes and self._pass_on(errand, descriptor):
                    pass
            self._close(errand)
            self._usage["cpu_time"] += ended.cpu_time
            self._usage["max_kb"] = max(self._usage["max_kb"], ended.max_kb)
            self._say_code(errand.number, ended.exit_code)
            self.log("task %d: exit code %d" % (self._task, ended.exit_code))

    def _close(self, errand: Errand) -> None:
        for descriptor in errand.pipes:
            self.watch.forget(descriptor)
        for stream in (errand.child.stdout, errand.child.stderr):
            if stream is not None:
                stream.close()

    def _say_code(self, number: int, code: int) -> None:
        assert self._link is not None
        self._link.send_json(link.CODE, {"id": number, "code": code})

    @property
    def patience(self) -> float:
        """Seconds until :meth:`look` has something to do by itself."""
        return max(self._ending - time.monotonic(), 0) if self._ending else FOREVER

    def _end_task(self) -> None:
        """Nothing of the task is left when the leader is told."""
        self.watch.clear()
        for errand in self._running:
            errand.child.returncode = -9
            self._close(errand)
        self._running = []
        self.presence.task_ended()
        kills = memory_kills()
        killed = kills is not None and self._kills is not None and kills > self._kills
        assert self._link is not None
        self._link.send_json(link.TASK_ENDED, dict(self._usage, memory_killed=killed))
