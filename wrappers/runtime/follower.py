"""A node of a job that follows another: it joins the leader, prepares its images, and runs what it is told.

It ends when the leader says so or is gone, and leaves nothing behind: no process, no folder.
"""

import functools
import os
import socket
import time

from . import link
from .allocation import of_environment, of_step
from .cache_place import cache_of
from .control import Control
from .errands import FOREVER, Errands
from .errors import STORAGE_LOST, JobFailed, Stopped
from .log import Log
from .planfile import PlanFile, load
from .presence import Presence
from .process import Watch
from .scratch import BESIDE, INSIDE, MOUNT, Scratch, base_folder, sweep
from .shared import words
from .text import scrub, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from .allocation import Allocation
    from .images import Images
    from .shared import Word
    from .webdav import WebDAV

JOIN_SECONDS = 300.0
CONNECT_SECONDS = 3.0  # to one address
PROOF_SECONDS = 30.0  # for a leader to prove itself
END_SECONDS = 6.0  # kept of the job's time
ALONE_SECONDS = 60.0  # between the scheduler's signal and the leader's word


class Follower:
    """One node, from its start to its end. ``folder``, of its own, takes its log and what it leaves."""

    def __init__(
        self, plan_path: bytes, allocation: "Allocation", folder: bytes, shared: "Optional[bytes]"
    ) -> None:
        start = time.time()
        self.nodes, self.number = allocation.nodes, allocation.number
        self.file = PlanFile(plan_path)
        self.plan = plan = self.file.document
        self.log = Log(os.path.join(folder, b"wrapper.log"))
        self.control = Control(
            start, plan["limit_seconds"], plan["reserve_seconds"], plan["grace_seconds"]
        )
        self.watch = Watch(self.control)
        self.presence = Presence(self.file.path, self.log, folder)
        self._told_shared = shared
        self._scratch: "Optional[Scratch]" = None
        self._link: "Optional[link.Link]" = None
        self._errands: "Optional[Errands]" = None
        self._storage: "Optional[WebDAV]" = None
        self._over = False

    def run(self) -> int:
        """Exit code 0: the leader has sent us home; 1: it was never there, or is gone."""
        host = os.uname().nodename
        self.log("node %d of job %d begins on %s" % (self.number, self.plan["job_id"], host))
        self.presence.begin()
        try:
            word = self._join()
            if word is None:
                return 1
            try:
                images = self._prepare(word)
            except JobFailed as error:
                self._tell(link.FAILED, {"reason": error.reason, "detail": scrub(error.detail)})
                self._wait_for_the_end()
                return 0
            self._serve(images)
            self._close_storage()
            return 0 if self._over else 1
        except (Stopped, OSError, EOFError, link.Refused) as error:
            self.log("the leader is gone: %s" % (str(error) or type(error).__name__))
            return 1
        finally:
            self._clean_up()

    def _join(self) -> "Optional[Word]":
        """Find the leader and prove to each other; None where there is none."""
        for word in words(self.plan, JOIN_SECONDS, self._told_shared):
            for address in word.addresses:
                self.control.check()
                try:
                    self._link = self._connect(address, word)
                except (OSError, link.Refused) as error:
                    self.log("no leader at %s: %s" % (shown(address), error))
                    continue
                self._tell(link.HELLO, {"host": os.uname().nodename})
                self.log("joined the leader at %s" % shown(address))
                return word
        self.log("no leader was found within %d s" % JOIN_SECONDS)
        return None

    def _connect(self, address: str, word: "Word") -> link.Link:
        connection = socket.create_connection((address, word.port), CONNECT_SECONDS)
        try:
            link.keep_alive(connection)
            connection.settimeout(PROOF_SECONDS)
            connected = link.connect(connection, self.number, word.secret)
            connection.settimeout(link.SEND_SECONDS)
        except BaseException:
            connection.close()
            raise
        return connected

    def _tell(self, kind: bytes, document: "dict[str, Any]") -> None:
        assert self._link is not None
        self._link.send_json(kind, document)

    def _prepare(self, word: "Word") -> "Images":
        from .engines import find_engines
        from .fetch import Fetcher
        from .images import Images
        from .parallel import run_all

        engines = find_engines(self.plan)
        self._scratch = scratch = Scratch(base_folder(self.plan), self.plan["job_id"])
        scratch.work = word.work
        self.presence.found_scratch(scratch.path, scratch.work)
        cache = cache_of(self.plan, self.control, self.log)
        for engine in engines.values():
            engine.begin(scratch, self.control)
        images = Images(Fetcher(self.file, self.control), engines, scratch, cache, self.log)
        wanted = sorted({task["image"] for task in self.plan["tasks"]})
        run_all([functools.partial(images.get, index) for index in wanted], self.control)
        if cache is not None:
            cache.make_room()
        self._open_storage(scratch)
        self._errands = Errands(
            self.plan,
            self.nodes,
            self.number,
            scratch,
            engines,
            images,
            self.watch,
            self.presence,
            self.log,
        )
        return images

    def _open_storage(self, scratch: Scratch) -> None:
        settings = self.plan["storage"]
        if settings is not None:
            from .webdav import WebDAV

            self._storage = WebDAV(settings, os.path.join(scratch.path, MOUNT[0]), self.log)
            self._storage.open(self.watch, self.plan["ca_certificates"])

    def _close_storage(self) -> None:
        """Send what tasks wrote; the leader, which waits for us to hang up, is told what went wrong."""
        if self._storage is None:
            return
        self.watch.hear_nothing()
        problem = self._storage.close(self.watch, self.control.hard_end - END_SECONDS)
        if problem:
            self._tell(link.FAILED, {"reason": STORAGE_LOST, "detail": problem})

    def _serve(self, images: "Images") -> None:
        assert self._link is not None
        self._link.send(link.READY)
        self.log("ready, %d images" % len(images.ready))
        self.watch.hear(self._link.fileno(), self._hear)
        self._wait_for_the_end()

    def _wait_for_the_end(self) -> None:
        """Raises EOFError, OSError or Refused where the leader is gone, Stopped where it is silent."""
        assert self._link is not None
        if self._errands is None:
            self.watch.hear(self._link.fileno(), self._hear)
        while not self._over:
            if self._errands is not None:
                self._errands.look()
            end = self.control.hard_end
            if self.control.signal_number:
                end = min(end, self.control.signal_time + ALONE_SECONDS)
            if time.time() > end:
                raise Stopped
            patience = FOREVER if self._errands is None else self._errands.patience
            self.watch.pause(min(end - time.time(), patience))

    def _hear(self) -> None:
        assert self._link is not None
        for kind, payload in self._link.take():
            if kind == link.FINISH:
                self._over = True
            elif self._errands is not None:
                self._errands.do(kind, payload, self._link)

    def _clean_up(self) -> None:
        self.presence.end()
        self.watch.hear_nothing()
        self.watch.end(self.watch.companions)
        self.watch.clear()
        if self._scratch is not None:
            self._scratch.wait_for_visitors(INSIDE, BESIDE)
            try:
                self._scratch.remove()
                sweep(self._scratch.base)
            except OSError as error:
                self.log("scratch folder: %s" % error)
        if self._told_shared is None:  # nor do nodes share the plan
            self.file.remove()
        self.log("node %d ends" % self.number)
        if self._link is not None:
            self._link.close()


def start(plan_path: bytes, shared: "Optional[bytes]") -> int:
    """Follow, as the scheduler's variables tell which node this is.

    Where all nodes see the plan's folder, each has a folder of its own in it; what it writes to its
    standard streams goes there too.
    """
    plan_folder = os.path.dirname(os.path.abspath(plan_path))
    if shared is None:
        allocation = of_environment(load(plan_path), os.environ)
        return Follower(plan_path, allocation, plan_folder, None).run()
    allocation = of_step(os.environ)
    folder = os.path.join(plan_folder, b"node-%d" % allocation.number)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    for descriptor, name in ((1, b"stdout"), (2, b"stderr")):
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        opened = os.open(os.path.join(folder, name), flags, 0o600)
        os.dup2(opened, descriptor)
        os.close(opened)
    return Follower(plan_path, allocation, folder, shared).run()
