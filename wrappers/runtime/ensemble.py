"""A task on the nodes of a job: by MPI, on every node, or, as ever, on the first one alone."""

import json
import os
import shutil
import signal
import time

from . import mpi

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

    from .ended import Ended
    from .launch import Launch
    from .log import Log
    from .process import Watch
    from .roll import Member
    from .scratch import Scratch
    from .team import Team

    Began = Callable[[int], None]


class Ensemble:
    """Runs prepared tasks. ``team`` is None for a job of one node."""

    def __init__(
        self,
        plan: "dict[str, Any]",
        scratch: "Scratch",
        team: "Optional[Team]",
        watch: "Watch",
        log: "Log",
    ) -> None:
        nodes = 1 if team is None else team.nodes
        self.plan = mpi.prepared(plan, nodes, 0, os.environ)
        self.scratch = scratch
        self.team = team
        self.watch = watch
        self.log = log
        self.memory_killed = False

    def run(self, number: int, launch: "Launch", began: "Began") -> "Ended":
        """Run the task to its end on all nodes that take part. Raises JobFailed where one was lost."""
        task = self.plan["tasks"][number]
        self.memory_killed = False
        if mpi.is_mpi(task):
            return self._by_mpi(number, task, launch, began)
        if self.team is None:
            return self._here(launch, began)
        if not self.plan["serial_tasks_on_all_nodes"]:
            self.team.check()
            ended = self._here(launch, began)
            self.team.check()
            return ended
        return self._everywhere(number, launch, began)

    def _here(self, launch: "Launch", began: "Began") -> "Ended":
        return self.watch.run(launch.argv, launch.env, self.scratch.work, launch.stdout, began)

    def _by_mpi(
        self, number: int, task: "dict[str, Any]", launch: "Launch", began: "Began"
    ) -> "Ended":
        folder = os.path.join(self.scratch.tmp, mpi.FOLDER.encode())
        shutil.rmtree(folder, ignore_errors=True)
        members = self._lay_out(folder, task)
        if self.team is None:
            return self._here(launch, began)
        self.team.begin_task(number)
        from .agents import Agents  # what a job of one node has no use for

        agents = Agents(folder, members, self.team, self.watch, self.log, launch.stdout)
        try:
            ended = self._here(launch, began)
        finally:
            agents.close()
        return self._with_others(ended)

    def _lay_out(self, folder: bytes, task: "dict[str, Any]") -> "dict[str, Member]":
        """The files that mpirun is told of; returns the other nodes by their names in them."""
        from .agents import script
        from .team import names

        here = os.uname().nodename
        others = [] if self.team is None else self.team.members
        known = names([here, *(member.host for member in others)])
        address = mpi.HERE if self.team is None else self.team.address
        first = mpi.own_name(task["type"], 1 + len(others), known[0], address)
        count = mpi.processes_per_node(task, mpi.given_cpus(self.plan, os.environ))
        hosts = mpi.host_file(task["type"], [first, *known[1:]], count)
        mpi.lay_out(
            folder, 0, hosts, script(list(dict.fromkeys([first, known[0], here, mpi.HERE])))
        )
        found = {}
        for name, member in zip(known[1:], others):
            found[member.host] = found[name] = member
        return found

    def _everywhere(self, number: int, launch: "Launch", began: "Began") -> "Ended":
        """The same command on every node; what the first that fails says is the task's exit code."""
        from .link import CODE

        assert self.team is not None
        team = self.team
        codes: "dict[int, int]" = {}
        runs: "dict[int, int]" = {}

        def heard(member: "Member", kind: bytes, payload: bytes) -> None:
            if kind == CODE:
                codes[member.number] = json.loads(payload.decode("ascii"))["code"]
                self.log("task %d: exit code %d on %s" % (number, codes[member.number], member))

        def stop() -> None:
            for member in team.members:
                if member.number not in codes:
                    team.signal(member, runs[member.number], signal.SIGTERM)

        team.begin_task(number)
        for member in team.members:
            runs[member.number] = team.run(member, None, heard)
        self.watch.stopping = stop
        try:
            ended = self._here(launch, began)
            self._wait_for_others(codes, ended, stop)
        finally:
            self.watch.stopping = lambda: None
        ended = self._with_others(ended)
        for member in team.members:
            ended.exit_code = ended.exit_code or codes.get(member.number, 128 + signal.SIGKILL)
        return ended

    def _wait_for_others(
        self, codes: "dict[int, int]", ended: "Ended", stop: "Callable[[], None]"
    ) -> None:
        assert self.team is not None
        control = self.watch.control
        start = time.time()
        while len(codes) < len(self.team.members) and not self.team.failure:
            left = control.task_end - time.time()
            if control.signal_number or left <= 0:
                if not ended.over_time:  # else they were told already
                    stop()
                ended.over_time = ended.over_time or left <= 0
                break
            self.watch.pause(left)
        ended.wall_time += time.time() - start

    def _with_others(self, ended: "Ended") -> "Ended":
        """What is left on other nodes is killed; what they have used is added to what was used here.

        CPU time is a sum; of memory the report tells the largest process, on whichever node it was.
        """
        assert self.team is not None
        self.team.end_task()
        for usage in self.team.usage:
            ended.cpu_time += usage["cpu_time"]
            ended.max_kb = max(ended.max_kb, usage["max_kb"])
            self.memory_killed = self.memory_killed or bool(usage["memory_killed"])
        return ended
