"""``stdout --tail`` and ``logs -f`` on the node: what is appended to the job's streams, as it comes."""

import os
import threading
import time

from . import frames
from .entrance import Gone, leave
from .place import CONFLICT, Refusal
from .text import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .entrance import Peer
    from .place import Place

BLOCK = 1 << 18
LEAST_SECONDS, MOST_SECONDS = (
    0.05,
    0.5,
)  # between two looks: soon after something came, less often later


def follow(peer: "Peer", place: "Place", request: "dict[str, Any]") -> "dict[str, Any]":
    """Serve one visit: everything from the given offsets on, once, or until the wrapper has ended."""
    names = sorted(request["offsets"])
    files = [Appended(path_of(place, name), request["offsets"][name]) for name in names]
    alive = place.wrapper()
    threading.Thread(target=_listen, args=(peer,), daemon=True).start()
    pause, sent = LEAST_SECONDS, time.monotonic()
    while True:
        last_look = request["once"] or not alive
        moved = [_send_new(peer, index, file) for index, file in enumerate(files)]
        if last_look:
            return {"offsets": {name: file.offset for name, file in zip(names, files)}}
        if any(moved):
            sent = time.monotonic()
        elif time.monotonic() - sent >= frames.BEAT_SECONDS:
            peer.send(frames.pack(frames.BEAT))
            sent = time.monotonic()
        pause = LEAST_SECONDS if any(moved) else min(pause * 1.5, MOST_SECONDS)
        time.sleep(pause)


def path_of(place: "Place", name: str) -> bytes:
    """Where a stream lies on this node; raises Refusal where it lies nowhere."""
    if name == "wrapper.log":
        return os.path.join(place.folder, b"wrapper.log")
    path = None if place.elsewhere else place.document["streams"][name]
    if path is None:
        msg = "The scheduler keeps the job's %s in no file on this node." % name
        raise Refusal(CONFLICT, msg)
    return encode(path)


class Appended:
    """A file that grows, read from ``offset`` on."""

    def __init__(self, path: bytes, offset: int) -> None:
        self.path = path
        self.offset = offset
        self.began_anew = False  # it is shorter than it was: another start of the job writes it

    def read(self) -> bytes:
        """The next block; nothing where there is none yet. Opened anew each time, for NFS's sake."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return b""
        try:
            if os.fstat(descriptor).st_size < self.offset:
                self.offset, self.began_anew = 0, True
            data = os.pread(descriptor, BLOCK, self.offset)
        finally:
            os.close(descriptor)
        self.offset += len(data)
        return data


def _send_new(peer: "Peer", index: int, file: Appended) -> bool:
    moved = False
    while True:
        data = file.read()
        if file.began_anew:
            file.began_anew = False
            peer.send(frames.pack(frames.ANEW, bytes([index])))
        if not data:
            return moved
        peer.send(frames.pack(frames.STREAM, bytes([index]) + data))
        moved = True


def _listen(peer: "Peer") -> None:
    """Nothing is expected of the login node but that it goes away."""
    try:
        while True:
            peer.receive()
    except (Gone, OSError, frames.Broken):
        leave(0)
