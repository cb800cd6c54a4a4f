"""``runner.pyz --enter PLAN``: the way into a running job, on its node, as the user whose job it is.

Started through ssh, srun or whatever else reaches the node; it says hello, takes one request, and
serves it by frames (:mod:`.frames`) on its standard input and output.
"""

import json
import os
import signal
import sys
import threading

from . import frames
from .frames import FrameReader, pack, pack_json, write_all
from .place import Place, Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional


class Gone(Exception):
    """Nobody is there any more at the other end."""


class Peer:
    """The other end: what it sends, frame by frame, and what it is sent."""

    def __init__(self) -> None:
        self.reader = FrameReader()
        self._waiting: "list[frames.Frame]" = []
        self._sending = threading.Lock()

    def receive(self) -> "frames.Frame":
        """The next frame; raises Gone where there will be none."""
        while not self._waiting:
            data = os.read(0, frames.BLOCK)
            if not data:
                raise Gone
            self._waiting += self.reader.feed(data)
        return self._waiting.pop(0)

    def early(self) -> "list[frames.Frame]":
        """Frames that came together with the one that was received last."""
        found, self._waiting = self._waiting, []
        return found

    def send(self, data: bytes) -> None:
        """Whole, from whichever thread; raises Gone where nobody takes it."""
        try:
            with self._sending:
                write_all(1, data)
        except OSError as error:
            raise Gone from error


def serve(plan_path: bytes, folder: "Optional[bytes]" = None) -> int:
    """One visit; returns the exit code, which nobody need look at: DONE says how it ended."""
    # A cut connection is told by the end of standard input; what is cleaned up then takes a moment.
    for number in (signal.SIGHUP, signal.SIGPIPE, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    peer = Peer()
    hello = {"protocol": frames.PROTOCOL, "host": os.uname().nodename}
    try:
        peer.send(frames.MAGIC + pack_json(frames.HELLO, hello))
        kind, payload = peer.receive()
        if kind != frames.REQUEST:
            return 1
        answer = _answer(peer, plan_path, folder, json.loads(payload.decode()))
        peer.send(pack_json(frames.DONE, answer))
    except Gone:
        return 1
    return 0


def _answer(
    peer: Peer, plan_path: bytes, folder: "Optional[bytes]", request: "dict[str, Any]"
) -> "dict[str, Any]":
    try:
        place = Place(plan_path, folder)
        verb = request["verb"]
        if verb == "exec":
            from .visit import execute

            return execute(peer, place, request)
        if verb == "snapshot":
            from .snapshot import snapshot

            return snapshot(peer, place, request)
        if verb == "follow":
            from .follow import follow

            return follow(peer, place, request)
    except Refusal as error:
        return {"error": error.kind, "message": error.message}
    return {"error": "remote", "message": "The job's wrapper does not know how to %s." % verb}


def note(peer: Peer, words: str) -> None:
    """A line that the user is to read."""
    peer.send(pack(frames.NOTE, words.encode("utf-8", "backslashreplace")))


def leave(code: int) -> None:
    """At once: threads that wait for the other end must not keep us."""
    sys.stderr.flush()
    os._exit(code)
