"""Between a command on this node and the login node: input, output, signals, the end of either.

One thread and one select: the command's output is read no faster than it is taken over there, and
its input is taken no faster than it reads, while signals always get through.
"""

import fcntl
import json
import os
import select
import signal
import struct
import termios
import time

from . import frames
from .orphans import children

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from .entrance import Peer
    from .place import Alive, Mark

PENDING = 1 << 20  # bytes that may wait for the login node to take them
LOOK_SECONDS = 0.5  # between two looks whether the job is still there
TERM_SECONDS = 2.0  # from the first signal to SIGKILL
DRAIN_SECONDS = 1.0  # for output that is still to come when the command has ended
TIMED_OUT = 124  # as timeout(1) has it
F_SETPIPE_SZ = 1031
PIPE = 1 << 20


def set_size(terminal: int, columns: int, rows: int) -> None:
    """Tell a terminal, and what runs on it (SIGWINCH), how large it is."""
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


class Child:
    """A command in a session of its own. ``outputs``: descriptors, and as which frames they go."""

    def __init__(self, pid: int, stdin: int, outputs: "dict[int, bytes]", terminal: bool) -> None:
        self.pid = pid
        self.stdin: "Optional[int]" = stdin
        self.outputs = outputs
        self.terminal = terminal
        for descriptor in {stdin, *outputs}:
            os.set_blocking(descriptor, False)
            if not terminal:
                try:
                    fcntl.fcntl(descriptor, F_SETPIPE_SZ, PIPE)
                except OSError:
                    pass  # the user's pipes are many already; it works with small ones

    def signal(self, number: int) -> None:
        """To the command's process group; on a terminal to what runs in the foreground as well."""
        groups = {self.pid}
        if self.terminal:
            for descriptor in self.outputs:
                try:
                    groups.add(os.tcgetpgrp(descriptor))
                except OSError:
                    pass  # nobody has the terminal any more
        for group in groups - {0}:
            try:
                os.killpg(group, number)
            except (ProcessLookupError, PermissionError):
                pass  # it has ended

    def close_stdin(self) -> None:
        if self.stdin is not None and not self.terminal:
            os.close(self.stdin)
        self.stdin = None


class Relay:
    """Runs until the command has ended and its output is on its way."""

    def __init__(
        self,
        peer: "Peer",
        child: Child,
        alive: "Alive | Mark",
        ends_with: str,
        timeout_seconds: "Optional[float]",
    ) -> None:
        self.peer = peer
        self.child = child
        self.alive = alive
        self.ends_with = ends_with
        self.deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        self.input = bytearray()
        self.input_ends = False
        self.pending = bytearray()
        self.ended_by = ""
        self.kill_time: "Optional[float]" = None
        self.exit_code: "Optional[int]" = None
        self.drain_end = 0.0
        self.connected = True
        self.sent = time.monotonic()
        self._wake, woken = os.pipe()
        for end in (self._wake, woken, 0, 1):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(woken)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)

    def run(self) -> "dict[str, Any]":
        """What DONE says: the exit code, and what ended the command if it was not itself."""
        try:
            self._run()
        finally:
            if self.exit_code is None:
                self.child.signal(signal.SIGKILL)
            self._clear()
        os.set_blocking(1, True)
        return {"exit_code": self.exit_code, "ended_by": self.ended_by}

    def _run(self) -> None:
        for frame in self.peer.early():
            self._take(*frame)
        while self.exit_code is None or (self.child.outputs and time.monotonic() < self.drain_end):
            self._look()
            self._turn(LOOK_SECONDS if self.exit_code is None else 0.05)
        self._drain()
        # However long it takes: whoever reads over there may have paused, and goes by our frames.
        while self.pending and self.connected:
            self._turn(LOOK_SECONDS)

    def _drain(self) -> None:
        """What the pipes still hold: nobody can add to it any more."""
        for descriptor in list(self.child.outputs):
            while descriptor in self.child.outputs and self._read(descriptor):
                pass

    def _look(self) -> None:
        """Has the command ended, or must it?"""
        now = time.monotonic()
        if not self.pending and now - self.sent >= frames.BEAT_SECONDS:
            self.pending += frames.pack(frames.BEAT)
        if self.exit_code is None:
            self._reap()
        if self.exit_code is not None:
            return
        if self.deadline is not None and now >= self.deadline:
            self._stop("timeout", signal.SIGTERM)
        elif not self.alive:
            self._stop(self.ends_with, signal.SIGHUP)
        if self.kill_time is not None and now >= self.kill_time:
            self.child.signal(signal.SIGKILL)
            self.kill_time = now + TERM_SECONDS

    def _reap(self) -> None:
        # Left as it is until its group has been signalled: its number is nobody else's so long.
        if not os.waitid(os.P_PID, self.child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return
        # What it left running would hold its output open, and live on unseen.
        self.child.signal(signal.SIGKILL)
        _, status = os.waitpid(self.child.pid, 0)
        signaled = os.WIFSIGNALED(status)
        self.exit_code = 128 + os.WTERMSIG(status) if signaled else os.WEXITSTATUS(status)
        if self.ended_by == "timeout":
            self.exit_code = TIMED_OUT
        self._clear()
        self.child.close_stdin()
        self.drain_end = time.monotonic() + DRAIN_SECONDS

    def _stop(self, why: str, number: int) -> None:
        if self.kill_time is None:
            self.ended_by = self.ended_by or why
            self.kill_time = time.monotonic() + TERM_SECONDS
            self.child.signal(number)
            self.child.signal(signal.SIGCONT)

    def _turn(self, seconds: float) -> None:
        """Wait for whatever is ready, and move it."""
        if self.deadline is not None and self.kill_time is None and self.exit_code is None:
            seconds = min(seconds, max(0.0, self.deadline - time.monotonic()))
        readable = [self._wake]
        if self.connected:
            readable.append(0)
        if len(self.pending) < self._most_pending() or not self.connected:
            readable += self.child.outputs
        writable = [1] if self.pending and self.connected else []
        if self.input and self.child.stdin is not None:
            writable.append(self.child.stdin)
        ready, able, _ = select.select(readable, writable, [], seconds)
        if self._wake in ready:
            os.read(self._wake, 4096)
        if 0 in ready:
            self._hear()
        for descriptor in [d for d in ready if d in self.child.outputs]:
            self._read(descriptor)
        if self.child.stdin is not None and self.child.stdin in able:
            self._feed(self.child.stdin)
        if 1 in able:
            self._send()

    def _most_pending(self) -> int:
        """Of a command that has ended all is taken that its two pipes can hold."""
        return PENDING if self.exit_code is None else PENDING + 2 * PIPE

    def _hear(self) -> None:
        try:
            data = os.read(0, frames.BLOCK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._cut()
            return
        for frame in self.peer.reader.feed(data):
            self._take(*frame)

    def _cut(self) -> None:
        """Nobody is there any more: as when a terminal is hung up."""
        self.connected = False
        self.pending.clear()
        self._stop("lost", signal.SIGHUP)

    def _take(self, kind: bytes, payload: bytes) -> None:
        if kind == frames.INPUT and self.child.stdin is not None:
            self.input += payload
        elif kind == frames.INPUT:
            self.pending += frames.pack_count(frames.ACK, len(payload))
        elif kind == frames.INPUT_END:
            self.input_ends = True
            self._end_input()
        elif kind == frames.SIGNAL:
            self._signal(payload.decode("ascii"))
        elif kind == frames.SIZE and self.child.terminal:
            columns, rows = json.loads(payload.decode("ascii"))
            for descriptor in self.child.outputs:
                set_size(descriptor, columns, rows)

    def _signal(self, name: str) -> None:
        number = getattr(signal, "SIG" + name, None)
        if isinstance(number, signal.Signals) and self.exit_code is None:
            self.child.signal(number)

    def _read(self, descriptor: int) -> bool:
        """Whether there was anything."""
        try:
            data = os.read(descriptor, frames.BLOCK)
        except BlockingIOError:
            return False
        except OSError:  # EIO: the last process has left the terminal
            data = b""
        if data:
            if self.connected:
                self.pending += frames.pack(self.child.outputs[descriptor], data)
            return True
        del self.child.outputs[descriptor]
        if not self.child.terminal:
            os.close(descriptor)
        return False

    def _feed(self, stdin: int) -> None:
        try:
            count = os.write(stdin, self.input[: frames.BLOCK])
        except BlockingIOError:
            return
        except OSError:  # it does not read any more: what is left goes nowhere
            count = len(self.input)
            self.child.close_stdin()
        del self.input[:count]
        self.pending += frames.pack_count(frames.ACK, count)
        self._end_input()

    def _end_input(self) -> None:
        if self.input_ends and not self.input:
            self.child.close_stdin()

    def _send(self) -> None:
        try:
            count = os.write(1, self.pending[: 4 * frames.BLOCK])
        except BlockingIOError:
            return
        except OSError:
            self._cut()
            return
        del self.pending[:count]
        self.sent = time.monotonic()

    def _clear(self) -> None:
        """Nothing that the command has started outlives it, whatever session it made for itself."""
        end = time.monotonic() + DRAIN_SECONDS
        while time.monotonic() < end:
            for pid in children(os.getpid()):
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass  # it has ended
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    time.sleep(0.01)
            except ChildProcessError:
                return
