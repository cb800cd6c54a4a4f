"""The leader's side of a job of several nodes: it has the others join, tells them what to run, and sends
them home.

While the job is staged in, :meth:`Team.gather` takes them in, in a thread; from then on their words are
heard whenever the :class:`.Watch` pauses, so that no thread runs beside the tasks.
"""

import functools
import os
import time

from . import link
from .errors import NODE_LOST, NODES_FAILED, JobFailed
from .roll import Roll
from .shared import Shared
from .text import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

    from .allocation import Allocation
    from .log import Log
    from .process import Watch
    from .roll import Member
    from .step import Step

JOIN_SECONDS = 300.0  # for a node to begin
END_SECONDS = 30.0  # for a node to have killed a task
LEAVE_SECONDS = 20.0  # for a node to clean up
SIGNALLED_SECONDS = 5.0  # the same when the scheduler has said that all is to end
END_SECONDS = 5.0  # kept of the job's time


class Team:
    """All nodes of a job but the leader's. Errors are JobFailed, with the node's name in the detail."""

    def __init__(
        self, plan: "dict[str, Any]", allocation: "Allocation", watch: "Watch", log: "Log"
    ) -> None:
        self.nodes = allocation.nodes
        self.watch = watch
        self.log = log
        self.shared = Shared(plan)
        self.failure: "Optional[JobFailed]" = None
        self.heard: "dict[int, Callable[[Member, bytes, bytes], None]]" = {}  # by a run's id
        self.usage: "list[dict[str, Any]]" = []
        self._has_storage = plan["storage"] is not None
        self._runs = 0
        self._step: "Optional[Step]" = None
        self.roll = Roll(allocation.nodes)
        self.shared.announce(*self.roll.address())
        self.log("several nodes: %d, working directory %s" % (self.nodes, shown(self.shared.path)))

    @property
    def hosts(self) -> "list[str]":
        """Every node's, by their numbers."""
        return [os.uname().nodename, *(member.host for member in self.members)]

    @property
    def address(self) -> str:
        """Of this node, as another has reached it."""
        found: str = self.members[0].link.connection.getsockname()[0]
        return found[len("::ffff:") :] if found.startswith("::ffff:") else found

    @property
    def members(self) -> "list[Member]":
        return [self.roll.members[number] for number in sorted(self.roll.members)]

    def send_for(self, plan_path: bytes, folder: bytes) -> None:
        """Have the scheduler start the others where it has not yet. No other thread may run."""
        from .step import Step

        self._step = Step(self.nodes, plan_path, folder, self.shared.path, self.watch)

    def gather(self) -> None:
        """Until every node has joined and has its images. Raises JobFailed, or Stopped."""
        end = time.monotonic() + JOIN_SECONDS
        while not self.roll.ready():
            self.watch.control.check()
            for member in self.roll.listen(0.2):
                self.log("%s has joined" % member)
            failed = self.roll.failed()
            if failed is not None:
                raise failed
            missing = self.roll.missing()
            if self._step is not None and missing:
                self._step.check()
            if missing and time.monotonic() > end:
                detail = "Of %d nodes, these have not begun within %d s: %s." % (
                    self.nodes,
                    JOIN_SECONDS,
                    ", ".join(str(number) for number in missing),
                )
                raise JobFailed(NODES_FAILED, detail)
        self.log("all nodes are ready")

    def listen(self) -> None:
        """Hear the members from now on, whenever the watch pauses."""
        self.roll.close()
        for member in self.members:
            self.watch.hear(member.link.fileno(), functools.partial(self._hear, member))

    def _hear(self, member: "Member") -> None:
        try:
            for kind, payload in member.link.take():
                self._heard(member, kind, payload)
        except (OSError, EOFError, link.Refused) as error:
            self._lost(member, error)

    def _heard(self, member: "Member", kind: bytes, payload: bytes) -> None:
        if kind == link.TASK_ENDED:
            self.usage.append(member.parsed(payload))
            member.busy = False
        elif kind == link.CODE:
            document = member.parsed(payload)
            self._listener(document["id"])(member, kind, payload)
        elif kind in (link.OUTPUT, link.ERROR):
            self._listener(int.from_bytes(payload[:4], "big"))(member, kind, payload[4:])

    def _listener(self, run: int) -> "Callable[[Member, bytes, bytes], None]":
        return self.heard.get(run, lambda _member, _kind, _payload: None)

    def _lost(self, member: "Member", error: Exception) -> None:
        self.watch.forget(member.link.fileno())
        member.busy = False
        member.gone = True
        if self.failure is None and not member.dismissed:
            said = str(error) or "it has hung up"
            detail = "%s: the connection to it was lost (%s)." % (member, said)
            self.failure = JobFailed(NODE_LOST, detail)
            self.log("%s: %s" % (NODE_LOST, detail))
            self.watch.give_up()

    def begin_task(self, number: int) -> None:
        self.check()
        self.usage = []
        self.heard = {}
        for member in self.members:
            self._tell(member, link.TASK, {"task": number})

    def run(
        self,
        member: "Member",
        line: "Optional[str]",
        heard: "Callable[[Member, bytes, bytes], None]",
    ) -> int:
        """Start a shell line, or the task's own command, there; ``heard`` is told what comes of it."""
        self._runs += 1
        self.heard[self._runs] = heard
        self._tell(member, link.RUN, {"id": self._runs, "line": line})
        return self._runs

    def signal(self, member: "Member", run: int, number: int) -> None:
        self._tell(member, link.SIGNAL, {"id": run, "signal": number})

    def _tell(self, member: "Member", kind: bytes, document: "dict[str, Any]") -> None:
        if member.gone:
            return
        try:
            member.link.send_json(kind, document)
        except OSError as error:
            self._lost(member, error)

    def end_task(self) -> None:
        """Have all that still runs there killed; raises JobFailed where a node does not say that it has.

        ``usage`` is then what the task has used on each.
        """
        for member in self.members:
            member.busy = not member.gone
            self._tell(member, link.TASK_END, {})
        end = time.monotonic() + min(END_SECONDS, self.watch.patience(END_SECONDS) + 1)
        while any(member.busy for member in self.members) and time.monotonic() < end:
            self.watch.pause(end - time.monotonic())
        for member in self.members:
            if member.busy and not self.watch.control.signal_number:
                self._lost(member, TimeoutError("it does not answer"))
        self.check()

    def check(self) -> None:
        """Raises JobFailed where a node was lost; a scheduler that ends the job takes them away, too."""
        if self.failure is not None and not self.watch.control.signal_number:
            raise self.failure

    def dismiss(self) -> "Optional[JobFailed]":
        """Have the others clean up and go; returns what went wrong there, of which only storage is told."""
        problem = None
        for member in self.members:
            member.dismissed = True
            self._tell(member, link.FINISH, {})
        end = time.monotonic() + self._time_to_leave()
        for member in self.members:
            problem = member.leave(end - time.monotonic()) or problem
            self.watch.forget(member.link.fileno())
            member.link.close()
        self.roll.close()
        if self._step is not None:
            self._step.end(end - time.monotonic())
            self._step = None
        return problem

    def _time_to_leave(self) -> float:
        """Seconds; where remote storage is to be written back, as many as there are for stage-out."""
        control = self.watch.control
        if control.signal_number:
            return self.watch.patience(SIGNALLED_SECONDS)
        if self._has_storage:
            return max(control.hard_end - time.time() - END_SECONDS, LEAVE_SECONDS)
        return self.watch.patience(LEAVE_SECONDS)

    def remove(self) -> None:
        """Raises OSError where something stays."""
        self.shared.remove()


def names(hosts: "list[str]") -> "list[str]":
    """A name for each node that no other has: its host's, without domain where that is enough.

    >>> names(["a.x", "b.x", "b.y", "c.x", "c.x"])
    ['a', 'b.x', 'b.y', 'c.x-3', 'c.x-4']
    """
    short = [host.split(".")[0] for host in hosts]
    found = []
    for number, (host, first) in enumerate(zip(hosts, short)):
        if short.count(first) == 1:
            found.append(first)
        elif hosts.count(host) == 1:
            found.append(host)
        else:
            found.append("%s-%d" % (host, number))
    return found
