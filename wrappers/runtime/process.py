"""Running a program and waiting for it, its deadline or the scheduler's signal, without polling."""

import os
import select
import signal
import subprocess
import time

from .ended import Ended
from .orphans import adopt_orphans, children, send

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterable, Optional

    from .companion import Companion
    from .control import Control

TERM_SECONDS = 8.0  # between SIGTERM and SIGKILL
COMPANION_SECONDS = 5.0  # the same for companions: what a task could want of them is over
CLEAR_SECONDS = 5.0  # for killed processes to be gone
SETTLE_SECONDS = 1.0  # for a scheduler's signal to arrive after it killed the task itself


class Watch:
    """Takes over the signals of this process: children's ends and the scheduler's words."""

    def __init__(self, control: "Control") -> None:
        self.control = control
        self._companions: "dict[int, Companion]" = {}  # by their keepers' process ids
        self._ears: "dict[int, Callable[[], object]]" = {}  # by the descriptors that they listen at
        self._given_up = False
        # Told once when a program that runs is about to be ended before its time.
        self.stopping: "Callable[[], None]" = lambda: None
        self._read, self._write = os.pipe()
        for end in (self._read, self._write):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._write)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGXCPU):
            signal.signal(number, lambda number, _frame: control.signalled(number))
        # A scheduler's warning signals are for tasks that asked for them, and deadly by default.
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, lambda _number, _frame: None)
        adopt_orphans()

    def pause(self, seconds: float) -> None:
        """Sleep until a signal, a companion's end or something to hear comes, at most this long."""
        poll = select.poll()  # select(2) knows no descriptor from 1024 on
        running = [one.words for one in self._companions.values() if one.ended is None]
        for descriptor in (self._read, *running, *self._ears):
            poll.register(descriptor, select.POLLIN)
        found = poll.poll(max(seconds, 0) * 1000)
        try:
            os.read(self._read, 4096)
        except BlockingIOError:
            pass
        for descriptor, _ in found:
            ear = self._ears.get(descriptor)  # another may have forgotten it just now
            if ear is not None:
                ear()

    def hear(self, descriptor: int, ear: "Callable[[], object]") -> None:
        """From now on have ``ear`` called, within :meth:`pause`, when something comes there."""
        self._ears[descriptor] = ear

    def forget(self, descriptor: int) -> None:
        self._ears.pop(descriptor, None)

    def hear_nothing(self) -> None:
        """From now on: nobody is left to be told."""
        self._ears.clear()

    def give_up(self) -> None:
        """What runs, and what would be run, has no sense any more."""
        self._given_up = True

    def run(
        self,
        argv: "list[bytes]",
        env: "dict[bytes, bytes]",
        cwd: bytes,
        stdout: "Optional[int]",
        began: "Callable[[int], None]" = lambda _pid: None,
    ) -> Ended:
        """Run to its end, or to ``control``'s: then SIGTERM, a few seconds, SIGKILL.

        The program gets its own session; ``began`` is told its process id. When this returns, no
        process of it is left. Raises OSError where it cannot be started.
        """
        start = time.time()
        child = subprocess.Popen(
            argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=stdout, start_new_session=True
        )
        began(child.pid)
        over_time = False
        ended = None
        while ended is None:
            left = self.control.task_end - time.time()
            if self.control.signal_number or left <= 0 or self._given_up:
                over_time = left <= 0
                self.stopping()
                ended = self._stop(child.pid, start)
                break
            self.pause(left)
            ended = reap(child.pid, start)
        child.returncode = ended.exit_code  # reaped by us: Popen must not wait for it
        self.clear()
        ended.over_time = over_time
        if ended.exit_code == 128 + signal.SIGTERM:
            self._settle()
        return ended

    def _settle(self) -> None:
        """A task that died of SIGTERM: had a scheduler sent it, we get it too, perhaps a bit later."""
        end = time.time() + SETTLE_SECONDS
        while time.time() < end and not self.control.signal_number:
            self.pause(end - time.time())

    def begin(
        self,
        argv: "list[bytes]",
        env: "dict[bytes, bytes]",
        cwd: bytes,
        stdout: "Optional[int]",
        stderr: "Optional[int]",
    ) -> "Companion":
        """Start what runs beside the tasks, until :meth:`end`; None for a stream is our own.

        Raises OSError where it cannot be started. No other thread may run.
        """
        from .companion import Companion

        companion = Companion(argv, env, cwd, stdout, stderr)
        self._companions[companion.keeper] = companion
        return companion

    @property
    def companions(self) -> "list[Companion]":
        """Those of which something is still there."""
        return list(self._companions.values())

    def end(self, companions: "Iterable[Companion]") -> None:
        """SIGTERM, a few seconds, SIGKILL to all of these at once, and to all that they started.

        When this returns, each one's ``ended`` is set. Ones that have ended may be among them.
        """
        mine = list(companions)
        self._ask_to_end(mine, time.time() + self.patience(COMPANION_SECONDS))
        end = time.time() + CLEAR_SECONDS
        while self._left(mine) and time.time() < end:
            for companion in self._left(mine):
                companion.kill()
            self.pause(0.1)
        for companion in self._left(mine):  # something of it would not die
            send(companion.keeper, signal.SIGKILL)
            self._reaped(os.waitpid(companion.keeper, 0)[0])

    def _ask_to_end(self, companions: "list[Companion]", patience: float) -> None:
        """Each is told once, and once more is what it has left when it has ended."""
        told = set()
        while time.time() < patience:
            left = self._left(companions)
            if not left:
                return
            for companion in left:
                stage = (companion.keeper, companion.ended is None)
                if stage not in told:
                    told.add(stage)
                    companion.terminate()
            self.pause(patience - time.time())

    def _left(self, companions: "list[Companion]") -> "list[Companion]":
        """Those of which something is still there."""
        for companion in companions:
            if companion in self.companions:  # not by its keeper's id, which may be used again
                self._reaped(os.waitpid(companion.keeper, os.WNOHANG)[0])
        return [one for one in companions if one in self.companions]

    def _reaped(self, pid: int) -> None:
        """A child of ours is no more; if it was a keeper, what it has said is all there is."""
        companion = self._companions.pop(pid, None)
        if companion is not None:
            companion.listen()

    def clear(self) -> bool:
        """Kill and reap whatever a task left below us; False where something would not die.

        Companions, and what became of theirs, are below their keepers and no children of ours.
        """
        end = time.time() + CLEAR_SECONDS
        while time.time() < end:
            for pid in self._strangers():
                send(pid, signal.SIGKILL)
            try:
                pid = os.wait4(-1, os.WNOHANG)[0]
            except ChildProcessError:
                return True
            self._reaped(pid)
            if pid == 0 and self._companions and not self._strangers():
                return True
            if pid == 0:
                self.pause(0.1)
        return False

    def _strangers(self) -> "list[int]":
        return [pid for pid in children(os.getpid()) if pid not in self._companions]

    def patience(self, seconds: float) -> float:
        """So many seconds, or what is left before the scheduler kills."""
        return min(seconds, max(self.control.hard_end - time.time() - 2, 0))

    def _stop(self, pid: int, start: float) -> Ended:
        """End the session of ``pid``: first the polite way."""
        patience = time.time() + self.patience(TERM_SECONDS)
        send(-pid, signal.SIGTERM)
        while time.time() < patience:
            ended = reap(pid, start)
            if ended is not None:
                return ended
            self.pause(patience - time.time())
        send(-pid, signal.SIGKILL)
        _, status, usage = os.wait4(pid, 0)
        return Ended.of(status, usage, time.time() - start)


def reap(pid: int, start: float) -> "Optional[Ended]":
    found, status, usage = os.wait4(pid, os.WNOHANG)
    return Ended.of(status, usage, time.time() - start) if found else None
