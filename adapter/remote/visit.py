"""One visit to a running job: a request by frames, and what comes back until it is done."""

import json
import time
from collections.abc import Iterator, Mapping
from threading import Lock
from types import TracebackType
from typing import Any, Self

from prominence_hpc.backends.base import Channel, JobShell
from prominence_hpc.errors import (
    ConflictError,
    NotFoundError,
    NotReadyError,
    ProminenceError,
    RemoteError,
    UsageError,
)
from prominence_hpc.wrappers import frames

__all__ = ["Visit", "begin", "decoded", "printable"]

# The node is heard four times as often, whatever it does; one that is not has crashed, or been cut off.
SILENCE_SECONDS = 4 * frames.BEAT_SECONDS
UNEXPECTED = "What comes from the job's node is not what it should be: {}."
_BLOCK_BYTES = 1 << 18
# Login scripts and prologues may say something before us, but not without end.
_CHATTER_BYTES = 1 << 16
_ERRORS: Mapping[str, type[ProminenceError]] = {
    "conflict": ConflictError,
    "not-found": NotFoundError,
    "usage": UsageError,
}


def printable(text: str) -> str:
    """What a node says, as one line without anything that a terminal would obey."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def decoded(payload: bytes, *keys: str) -> dict[str, Any]:
    """A frame's JSON object, which has these keys. RemoteError where it is none: a job is not trusted."""
    try:
        document = json.loads(payload)
    except (ValueError, RecursionError) as error:
        msg = UNEXPECTED.format("JSON is expected")
        raise RemoteError(msg) from error
    if not isinstance(document, dict) or not document.keys() >= set(keys):
        msg = UNEXPECTED.format(f"it has no {' and '.join(keys)}")
        raise RemoteError(msg)
    return document


class Visit:
    """A way in that has said hello. Closing it ends whatever it does on the node."""

    def __init__(self, shell: JobShell, channel: Channel, reader: "_Reader") -> None:
        self.way = shell.way
        self.warnings: list[str] = []  # what the user should know of the way here
        self._shell = shell
        self._channel = channel
        self._reader = reader
        self._lock = Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        try:
            self._channel.close()
        finally:
            self._shell.close()

    def send(self, kind: bytes, payload: bytes = b"") -> None:
        """One frame, whole, from whichever thread. RemoteError where the connection is cut."""
        with self._lock:
            self._channel.write(frames.pack(kind, payload))

    def ask(self, request: Mapping[str, Any]) -> None:
        """The one request of this visit."""
        self.send(frames.REQUEST, json.dumps(request).encode("ascii"))

    def answers(self) -> Iterator[frames.Frame]:
        """Each frame of the answer, the last of which is DONE.

        What the node refuses is raised as our error: ConflictError, NotFoundError, UsageError,
        RemoteError; the latter too where the connection is cut before the end.
        """
        while True:
            try:
                frame = self._reader.next(silence_seconds=SILENCE_SECONDS)
            except TimeoutError as error:
                msg = (
                    f"There was no sign of the job's node ({self.way}) for {SILENCE_SECONDS:g} "
                    "seconds: it does not answer any more."
                )
                raise RemoteError(msg) from error
            if frame is None:
                raise self._cut()
            kind, payload = frame
            if kind == frames.BEAT:
                continue
            if kind == frames.DONE:
                _raise_refusal(decoded(payload))
            yield frame
            if kind == frames.DONE:
                return

    def _cut(self) -> RemoteError:
        said = _last_line(self._channel.messages())
        return RemoteError(f"The connection to the job's node ({self.way}) was cut{said}.")


def begin(shell: JobShell, timeout_seconds: float) -> Visit:
    """Start the way in on the node and wait for its hello.

    NotReadyError where the job has none (yet), RemoteError where it does not answer in time or
    something else does. The shell is closed where this raises.
    """
    try:
        channel = shell.open(frames.enter_argv(shell.folder))
        try:
            reader = _Reader(channel)
            _hear_hello(channel, reader, time.monotonic() + timeout_seconds)
        except BaseException:
            channel.close()
            raise
    except BaseException:
        shell.close()
        raise
    return Visit(shell, channel, reader)


class _Reader:
    """Frames from a channel, one by one."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._frames = frames.FrameReader()
        self._waiting: list[frames.Frame] = []

    def next(
        self, deadline: float | None = None, *, silence_seconds: float | None = None
    ) -> frames.Frame | None:
        """The next frame; None at the end.

        TimeoutError at the deadline (of time.monotonic), or where nothing at all came for so long.
        """
        while not self._waiting:
            if silence_seconds is not None:
                deadline = time.monotonic() + silence_seconds
            block = self.read(deadline)
            if not block:
                return None
            self.push(block)
        return self._waiting.pop(0)

    def push(self, block: bytes) -> None:
        try:
            self._waiting += self._frames.feed(block)
        except ValueError as error:
            msg = UNEXPECTED.format(error)
            raise RemoteError(msg) from error

    def read(self, deadline: float | None) -> bytes:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        return self._channel.read(_BLOCK_BYTES, timeout_seconds=left)


def _hear_hello(channel: Channel, reader: _Reader, deadline: float) -> None:
    try:
        reader.push(_after_chatter(channel, reader, deadline))
        frame = reader.next(deadline)
    except TimeoutError as error:
        said = _last_line(channel.messages())
        msg = f"no answer in time{said}"
        raise RemoteError(msg) from error
    if frame is None or frame[0] != frames.HELLO:
        raise _no_hello(channel)
    if decoded(frame[1], "protocol")["protocol"] != frames.PROTOCOL:
        msg = "the job was submitted by another version of prominence, which has another way in"
        raise RemoteError(msg)


def _after_chatter(channel: Channel, reader: _Reader, deadline: float) -> bytes:
    """What follows the magic words; all before them is somebody else's."""
    data = b""
    while frames.MAGIC not in data:
        block = reader.read(deadline)
        if not block:
            raise _no_hello(channel)
        data += block
        if len(data) > _CHATTER_BYTES and frames.MAGIC not in data:
            msg = "something else than the job's wrapper answers there, and does not stop"
            raise RemoteError(msg)
    return data.partition(frames.MAGIC)[2]


def _no_hello(channel: Channel) -> RemoteError:
    code = channel.exit_code()
    if code == frames.NO_WAY_IN:
        return NotReadyError("the job's wrapper has not begun there, or has just ended")
    said = _last_line(channel.messages())
    return RemoteError(f"ended with exit code {code}{said}" if code else f"it was closed{said}")


def _last_line(messages: str) -> str:
    """ ": what was said last" of a program's messages, or nothing."""
    lines = [" ".join(line.split()) for line in messages.splitlines() if line.strip()]
    return f": {printable(lines[-1]).rstrip('.')}" if lines else ""


def _raise_refusal(done: Mapping[str, Any]) -> None:
    if "error" in done:
        kind = _ERRORS.get(str(done["error"]), RemoteError)
        raise kind(printable(str(done.get("message", ""))))
