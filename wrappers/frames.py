"""What is said with the way into a running job (``runtime/entrance.py``), from the login node's side.

Frames over two byte streams: a kind (one byte), a length (four bytes, big-endian), and so many
bytes. ``runtime/frames.py`` is the node's side of the same, which imports nothing of ours; a test
holds one against the other.
"""

import json
import struct
from collections.abc import Iterator
from typing import Any

__all__ = [
    "ACK",
    "ADDRESS",
    "ANEW",
    "BEAT",
    "BEAT_SECONDS",
    "DONE",
    "ENTER_ARGV",
    "ERROR",
    "HEADER",
    "HELLO",
    "INPUT",
    "INPUT_END",
    "LONGEST",
    "MAGIC",
    "NOTE",
    "NO_WAY_IN",
    "OUTPUT",
    "PART",
    "PROGRESS",
    "PROTOCOL",
    "REQUEST",
    "SIGNAL",
    "SIZE",
    "STREAM",
    "TOTAL",
    "WINDOW",
    "Frame",
    "FrameReader",
    "count_of",
    "enter_argv",
    "pack",
    "pack_json",
]

Frame = tuple[bytes, bytes]

PROTOCOL = 1
MAGIC = b"\0prominence way in\n"  # comes before the first frame; what is before it is not ours
HEADER = struct.Struct(">cL")
LONGEST = 1 << 24
WINDOW = 1 << 20  # bytes of standard input that may be under way, until ACK frees them

# From the login node
REQUEST = b"R"
INPUT = b"I"
INPUT_END = b"E"
SIGNAL = b"S"
SIZE = b"W"
ADDRESS = b"U"

# From the node
HELLO = b"H"
OUTPUT = b"O"
ERROR = b"X"
ACK = b"A"
STREAM = b"L"
ANEW = b"Z"
TOTAL = b"T"
PROGRESS = b"P"
PART = b"Q"
NOTE = b"N"
BEAT = b"B"  # the node has nothing to say, and is there
DONE = b"D"

BEAT_SECONDS = 15.0  # how often it says so

# The exit code of :func:`enter_argv` where the job has no way in (yet, or any more).
NO_WAY_IN = 96
# Nothing that a user gave is in it, nor anything that csh or fish would read otherwise than sh:
# over ssh the user's login shell reads it first.
ENTER_ARGV = (
    "/bin/sh",
    "-c",
    'cd "$_CONDOR_SCRATCH_DIR"; cd "${1:-.}" && [ -e enter ] && exec /bin/sh ./enter; exit 96',
    "sh",
)


def enter_argv(folder: str) -> list[str]:
    """What starts the way in on a node; ``folder`` is the job's there, below HTCondor's own if not absolute."""
    return [*ENTER_ARGV, folder]


def pack(kind: bytes, payload: bytes = b"") -> bytes:
    """One frame."""
    return HEADER.pack(kind, len(payload)) + payload


def pack_json(kind: bytes, document: Any) -> bytes:
    """One frame that holds JSON."""
    return pack(kind, json.dumps(document).encode("ascii"))


def count_of(payload: bytes) -> int:
    """The number in an ACK or PROGRESS."""
    return int.from_bytes(payload, "big")


class FrameReader:
    """Frames out of blocks of bytes as they come. ValueError where they are none."""

    def __init__(self) -> None:
        self._blocks: list[bytes] = []
        self._length = 0
        self._wanted = HEADER.size

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Every frame that is whole with this block."""
        self._blocks.append(data)
        self._length += len(data)
        if self._length < self._wanted:
            return
        whole = b"".join(self._blocks)
        start = 0
        while True:
            end = _end_of_frame(whole, start)
            if end is None or end > len(whole):
                break
            kind, length = HEADER.unpack_from(whole, start)
            yield kind, whole[end - length : end]
            start = end
        self._keep(whole[start:])

    def _keep(self, rest: bytes) -> None:
        self._blocks, self._length = [rest], len(rest)
        self._wanted = _end_of_frame(rest, 0) or HEADER.size


def _end_of_frame(data: bytes, start: int) -> int | None:
    """Where the frame at ``start`` ends; None where that cannot be told yet."""
    if len(data) - start < HEADER.size:
        return None
    _, length = HEADER.unpack_from(data, start)
    if length > LONGEST:
        msg = f"a frame of {length} bytes"
        raise ValueError(msg)
    return start + HEADER.size + int(length)
