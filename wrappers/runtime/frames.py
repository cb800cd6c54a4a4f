"""What is said between the login node and the way into a running job: frames over two byte streams.

A frame is a kind (one byte), a length (four bytes, big-endian) and so many bytes. The node's side
begins with MAGIC: what comes before it is a login script's or a scheduler's own chatter. Everything
that a user gave (commands, paths, presigned URLs) travels in frames, never in an argument list.
``prominence_hpc.wrappers.frames`` is the login node's side of the same.
"""

import json
import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator, Tuple

    Frame = Tuple[bytes, bytes]

PROTOCOL = 1
MAGIC = b"\0prominence way in\n"
HEADER = struct.Struct(">cL")
BLOCK = 1 << 16
LONGEST = 1 << 24  # of one frame: more is no frame of ours
WINDOW = 1 << 20  # bytes of standard input that may be under way, until ACK frees them

# From the login node
REQUEST = b"R"  # JSON: what is wanted
INPUT = b"I"  # standard input
INPUT_END = b"E"
SIGNAL = b"S"  # its name, without SIG
SIZE = b"W"  # JSON [columns, rows]
ADDRESS = b"U"  # JSON: where the part that was asked for goes

# From the node
HELLO = b"H"  # JSON: protocol, host
OUTPUT = b"O"  # standard output, or an archive
ERROR = b"X"  # standard error
ACK = b"A"  # four bytes: so much of the standard input was taken
STREAM = b"L"  # one byte: which stream, and what was appended to it
ANEW = b"Z"  # one byte: this stream begins anew
TOTAL = b"T"  # JSON: bytes that there are to be read
PROGRESS = b"P"  # four bytes: so many more were read
PART = b"Q"  # JSON: number of the part that wants an address
NOTE = b"N"  # one line for the user
BEAT = b"B"  # nothing, but that there is somebody
DONE = b"D"  # JSON: the end of it

BEAT_SECONDS = 15.0  # after so long without anything else


def pack(kind: bytes, payload: bytes = b"") -> bytes:
    return HEADER.pack(kind, len(payload)) + payload


def pack_json(kind: bytes, document: "Any") -> bytes:
    return pack(kind, json.dumps(document).encode("ascii"))


def pack_count(kind: bytes, count: int) -> bytes:
    return pack(kind, struct.pack(">L", count))


class Broken(Exception):
    """What came is no frame."""


class FrameReader:
    """Frames out of blocks of bytes as they come."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> "Iterator[Frame]":
        """Every frame that is whole with this block."""
        self._data += data
        while len(self._data) >= HEADER.size:
            kind, length = HEADER.unpack_from(self._data)
            if length > LONGEST:
                msg = "a frame of %d bytes" % length
                raise Broken(msg)
            end = HEADER.size + length
            if len(self._data) < end:
                return
            payload = bytes(self._data[HEADER.size : end])
            del self._data[:end]
            yield kind, payload


def write_all(descriptor: int, data: bytes) -> None:
    """To a descriptor that blocks or does not."""
    import select

    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            select.select([], [descriptor], [])
