"""``prominence exec``: a command where a job runs, its streams connected with ours."""

import json
import os
import select
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Condition, Thread
from typing import Any

from prominence_hpc.adapter.remote.visit import Visit, decoded
from prominence_hpc.errors import RemoteError
from prominence_hpc.wrappers import frames

__all__ = ["Command", "Controls", "Ended", "Streams", "Terminal", "execute"]

_BLOCK_BYTES = 1 << 16
# For our threads to end. One that writes to a connection which takes nothing ends only when that
# is closed, which is the caller's to do.
_LEAVE_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Terminal:
    """The terminal that the command gets there."""

    columns: int
    rows: int
    kind: str  # TERM


@dataclass(frozen=True, kw_only=True)
class Command:
    """What is to be run. ``beside``: outside of the task's container."""

    argv: Sequence[str]
    beside: bool = False
    terminal: Terminal | None = None
    timeout_seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Streams:
    """Ours. ``stdin``: a descriptor, or None for nothing to read."""

    stdin: int | None
    stdout: Callable[[bytes], None]
    stderr: Callable[[bytes], None]


@dataclass(frozen=True)
class Ended:
    """How it ended. ``ended_by``: "" by itself, "timeout", or with the "task" or "job" it ran in."""

    exit_code: int
    ended_by: str


class Controls:
    """Signals and sizes for the command; may be called from a signal handler."""

    def __init__(self) -> None:
        self.waiting: SimpleQueue[frames.Frame | None] = SimpleQueue()

    def signal(self, name: str) -> None:
        """Send a signal, by its name without SIG, to the command's process group."""
        self.waiting.put((frames.SIGNAL, name.encode("ascii")))

    def resize(self, columns: int, rows: int) -> None:
        """The terminal has another size now."""
        self.waiting.put((frames.SIZE, json.dumps([columns, rows]).encode("ascii")))


def execute(visit: Visit, command: Command, streams: Streams, controls: Controls) -> Ended:
    """Run one command to its end. Errors as of :meth:`.Visit.answers`; the command is then ended.

    Whatever ``streams`` raise comes through; closing the visit ends the command.
    """
    visit.ask(_request(command))
    feeder = _Feeder(visit, streams.stdin)
    sender = Thread(target=_send_controls, args=(visit, controls), daemon=True)
    sender.start()
    feeder.start()
    try:
        return _take_answers(visit, streams, feeder)
    finally:
        feeder.stop()
        controls.waiting.put(None)
        sender.join(_LEAVE_SECONDS)


def _take_answers(visit: Visit, streams: Streams, feeder: "_Feeder") -> Ended:
    for kind, payload in visit.answers():
        if kind == frames.OUTPUT:
            streams.stdout(payload)
        elif kind == frames.ERROR:
            streams.stderr(payload)
        elif kind == frames.ACK:
            feeder.taken(frames.count_of(payload))
        elif kind == frames.DONE:
            done = decoded(payload, "exit_code", "ended_by")
            if not isinstance(done["exit_code"], int):
                msg = "The job's node does not say how the command has ended."
                raise RemoteError(msg)
            if done["ended_by"] == "lost":  # its input was cut before its output
                msg = f"The connection to the job's node ({visit.way}) was cut."
                raise RemoteError(msg)
            return Ended(done["exit_code"], done["ended_by"])
    raise AssertionError  # the last answer is DONE


def _request(command: Command) -> dict[str, Any]:
    terminal = command.terminal
    return {
        "verb": "exec",
        "command": list(command.argv),
        "host": command.beside,
        "timeout_seconds": command.timeout_seconds,
        "terminal": terminal
        and {"columns": terminal.columns, "rows": terminal.rows, "term": terminal.kind},
    }


def _send_controls(visit: Visit, controls: Controls) -> None:
    with suppress(RemoteError):  # the main thread finds out by itself
        while (frame := controls.waiting.get()) is not None:
            visit.send(*frame)


class _Feeder(Thread):
    """Sends our standard input, as far as the other side has room for it."""

    def __init__(self, visit: Visit, stdin: int | None) -> None:
        super().__init__(daemon=True)
        self._visit = visit
        self._stdin = stdin
        self._room = frames.WINDOW
        self._changed = Condition()
        self._stopped = False
        self._woken, self._wake = os.pipe()

    def taken(self, count: int) -> None:
        """So many bytes have been read over there."""
        with self._changed:
            self._room += count
            self._changed.notify()

    def stop(self) -> None:
        """Read nothing more: what is typed from now on is for whoever comes after us."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        os.write(self._wake, b"x")
        self.join(_LEAVE_SECONDS)
        if not self.is_alive():
            os.close(self._wake)
            os.close(self._woken)

    def run(self) -> None:
        with suppress(RemoteError):  # the main thread finds out by itself
            if self._stdin is None or self._send(self._stdin):
                self._visit.send(frames.INPUT_END)

    def _send(self, stdin: int) -> bool:
        """All of it; False where we were told to stop before its end."""
        while room := self._wait_for_room():
            ready, _, _ = select.select([stdin, self._woken], [], [])
            if self._woken in ready:
                return False
            data = _read(stdin, min(room, _BLOCK_BYTES))
            if not data:
                return True
            with self._changed:
                self._room -= len(data)
            self._visit.send(frames.INPUT, data)
        return False

    def _wait_for_room(self) -> int:
        """Bytes that may be sent now; 0 where we were told to stop."""
        with self._changed:
            self._changed.wait_for(lambda: self._room > 0 or self._stopped)
            return 0 if self._stopped else self._room


def _read(stdin: int, size: int) -> bytes:
    try:
        return os.read(stdin, size)
    except OSError:  # a terminal that is gone, a directory
        return b""
