"""A shell on a job's node by a program that starts others there: ``srun``, or none at all (local)."""

import os
import select
import signal
import subprocess
from collections.abc import Mapping, Sequence
from threading import Thread
from typing import IO

from prominence_hpc.backends.run_command import log, start_command
from prominence_hpc.errors import RemoteError

__all__ = ["CommandChannel", "CommandShell"]

_MESSAGE_BYTES = 1 << 16
_CLOSE_SECONDS = 5.0
_TERM_SECONDS = 2.0


class CommandShell:
    """See :class:`.JobShell`. ``prefix`` is the command line that a program's is added to."""

    def __init__(
        self, way: str, folder: str, prefix: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        self.way = way
        self.folder = folder
        self._prefix = prefix
        self._environment = environment

    def open(self, argv: Sequence[str]) -> "CommandChannel":
        """See :meth:`.JobShell.open`."""
        return CommandChannel(start_command([*self._prefix, *argv], environment=self._environment))

    def close(self) -> None:
        """Nothing is left: each channel is a process of its own."""


class CommandChannel:
    """See :class:`.Channel`. The program's pipes are ours."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self._stdin, self._stdout = _pipe(process.stdin), _pipe(process.stdout)
        self._messages = bytearray()
        self._listener = Thread(target=self._listen, args=(_pipe(process.stderr),), daemon=True)
        self._listener.start()

    def read(self, size: int, *, timeout_seconds: float | None = None) -> bytes:
        """See :meth:`.Channel.read`."""
        descriptor = self._stdout.fileno()
        if timeout_seconds is not None:
            ready, _, _ = select.select([descriptor], [], [], timeout_seconds)
            if not ready:
                raise TimeoutError
        return os.read(descriptor, size)

    def write(self, data: bytes) -> None:
        """See :meth:`.Channel.write`."""
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._stdin.fileno(), view) :]
        except (OSError, ValueError) as error:  # ValueError: closed by another thread
            msg = "The connection to the job's node was cut."
            raise RemoteError(msg) from error

    def close_input(self) -> None:
        """See :meth:`.Channel.close_input`."""
        self._stdin.close()

    def messages(self) -> str:
        """See :meth:`.Channel.messages`."""
        if self._process.poll() is not None:
            self._listener.join(1.0)
        return self._messages.decode("utf-8", "replace")

    def exit_code(self) -> int | None:
        """See :meth:`.Channel.exit_code`; 128+N where signal N ended the program."""
        try:
            code = self._process.wait(_CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            return None
        return code if code >= 0 else 128 - code

    def close(self) -> None:
        """See :meth:`.Channel.close`."""
        self._stdin.close()
        for patience, number in ((_CLOSE_SECONDS, signal.SIGTERM), (_TERM_SECONDS, signal.SIGKILL)):
            try:
                self._process.wait(patience)
                break
            except subprocess.TimeoutExpired:
                log(f"{self._process.args!r} does not end: {number.name}")
                self._process.send_signal(number)
        self._process.wait()
        self._stdout.close()
        self._listener.join(1.0)

    def _listen(self, stderr: IO[bytes]) -> None:
        with stderr:
            while block := os.read(stderr.fileno(), _MESSAGE_BYTES):
                self._messages += block
                del self._messages[:-_MESSAGE_BYTES]


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None  # start_command makes all three
    return stream
