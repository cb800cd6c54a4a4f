"""Running a program and waiting for it, its deadline or the scheduler's signal, without polling."""

import os
import select
import signal
import subprocess
import time

from .orphans import adopt_orphans, children

TYPE_CHECKING = False
if TYPE_CHECKING:
    import resource
    from typing import Callable, Optional

    from .control import Control

TERM_SECONDS = 8.0  # between SIGTERM and SIGKILL
CLEAR_SECONDS = 5.0  # for killed processes to be gone
SETTLE_SECONDS = 1.0  # for a scheduler's signal to arrive after it killed the task itself


class Ended:
    """How a program ended: ``exit_code`` (128+N for signal N), what it used, and why if by us."""

    def __init__(self, status: int, usage: "resource.struct_rusage", seconds: float) -> None:
        if os.WIFSIGNALED(status):
            self.exit_code = 128 + os.WTERMSIG(status)
        else:
            self.exit_code = os.WEXITSTATUS(status)
        self.wall_time = seconds
        self.cpu_time = usage.ru_utime + usage.ru_stime
        self.max_kb = usage.ru_maxrss
        self.over_time = False


class Watch:
    """Takes over the signals of this process: children's ends and the scheduler's words."""

    def __init__(self, control: "Control") -> None:
        self.control = control
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
        """Sleep until a signal comes, at most this long."""
        try:
            select.select([self._read], [], [], max(seconds, 0))
            os.read(self._read, 4096)
        except BlockingIOError:
            pass

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
            if self.control.signal_number or left <= 0:
                over_time = left <= 0
                ended = self._stop(child.pid, start)
                break
            self.pause(left)
            ended = _reap(child.pid, start)
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

    def clear(self) -> bool:
        """Kill and reap whatever is still there below us; False where something would not die."""
        end = time.time() + CLEAR_SECONDS
        while time.time() < end:
            for pid in children(os.getpid()):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            try:
                if os.wait4(-1, os.WNOHANG)[0] == 0:
                    self.pause(0.1)
            except ChildProcessError:
                return True
        return False

    def _stop(self, pid: int, start: float) -> Ended:
        """End the session of ``pid``: first the polite way."""
        patience = time.time() + min(TERM_SECONDS, max(self.control.hard_end - time.time() - 2, 0))
        _signal_session(pid, signal.SIGTERM)
        while time.time() < patience:
            ended = _reap(pid, start)
            if ended is not None:
                return ended
            self.pause(patience - time.time())
        _signal_session(pid, signal.SIGKILL)
        _, status, usage = os.wait4(pid, 0)
        return Ended(status, usage, time.time() - start)


def _reap(pid: int, start: float) -> "Optional[Ended]":
    found, status, usage = os.wait4(pid, os.WNOHANG)
    return Ended(status, usage, time.time() - start) if found else None


def _signal_session(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        pass
