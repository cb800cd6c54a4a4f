"""Calls into libraries that wait without an end, each with a deadline: they are made in a child process.

The schedulers' libraries wait for a daemon that does not answer for minutes, some holding Python's
lock: no thread, no signal handler and no Ctrl-C gets a turn. A child can be killed. What a killed one
had asked for is not known.
"""

import json
import os
import select
import signal
import time
import warnings
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

__all__ = ["BoundedChild", "ChildEnded"]

_BLOCK_BYTES = 1 << 16


class ChildEnded(Exception):
    """The child ended without an answer: the library has crashed, or ended the process."""


class BoundedChild:
    """A child process that answers requests, one after another, by ``serve(request)``.

    Requests and answers are what JSON has. Whatever ``serve`` raises ends the child: what a caller
    should know of is an answer. What we had before the child was made is there in it; what it does to
    itself (imports, its environment) stays there.

    A child that is to live for long is ``alone``: it has none of our open files. A pipe whose other end
    it kept open would never come to its end for the program that reads it.
    """

    def __init__(self, serve: Callable[[Any], Any], *, alone: bool = False) -> None:
        request_end, writing = os.pipe()
        reading, answer_end = os.pipe()
        with warnings.catch_warnings():
            # Python warns of fork() beside threads; the child serves, to _exit.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            os.close(writing)  # its end is how the child learns of ours
            os.close(reading)
            if alone:
                _close_all_but(request_end, answer_end)
            _serve(serve, request_end, answer_end)
        os.close(request_end)
        os.close(answer_end)
        self._writing, self._reading = writing, reading
        # Also at our own end, where nobody has closed it.
        self._end = weakref.finalize(self, _end, child, writing, reading)

    def ask(self, request: Any, *, timeout_seconds: float) -> Any:
        """The answer; TimeoutError where it is late, ChildEnded where none can come.

        After either, and after any other exception, the child is gone.
        """
        try:
            _write(self._writing, json.dumps(request).encode() + b"\n")
            return json.loads(_read_line(self._reading, time.monotonic() + timeout_seconds))
        except BrokenPipeError as error:
            self.close()
            raise ChildEnded from error
        except BaseException:  # Ctrl-C as well: an answer that comes later is nobody's
            self.close()
            raise

    def close(self) -> None:
        """Leave no process behind."""
        self._end()

    @property
    def is_open(self) -> bool:
        return self._end.alive

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()


def _end(child: int, *pipes: int) -> None:
    for pipe in pipes:
        os.close(pipe)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def _serve(serve: Callable[[Any], Any], reading: int, writing: int) -> None:
    """The child: answers until nobody asks any more, and no way back into our caller's code."""
    try:
        with os.fdopen(reading, "rb") as requests:
            for line in requests:
                _write(writing, json.dumps(serve(json.loads(line))).encode() + b"\n")
    finally:
        os._exit(0)


def _close_all_but(*kept: int) -> None:
    first = 3  # after the standard streams
    for descriptor in sorted(kept):
        os.closerange(first, descriptor)
        first = descriptor + 1
    os.closerange(first, os.sysconf("SC_OPEN_MAX"))


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _read_line(descriptor: int, deadline: float) -> bytes:
    data = bytearray()
    while not data.endswith(b"\n"):  # JSON has none within
        ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise TimeoutError
        block = os.read(descriptor, _BLOCK_BYTES)
        if not block:
            raise ChildEnded
        data += block
    return bytes(data)
