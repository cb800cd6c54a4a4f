"""zip archives unpacked as they stream, by their local headers (PKWARE APPNOTE 4.3).

The archive's directory comes last; modes and symbolic links are taken from it, and a member that it
does not list, or lists and did not come, is an error.
"""

import os
import stat
import struct
import zlib

from .decompress import Inflater, expand
from .errors import Corrupt, UnsafeName
from .stream import Stream, write_all
from .text import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator

    from .fence import Fence

LOCAL, CENTRAL = b"PK\x03\x04", b"PK\x01\x02"
DESCRIPTOR = b"PK\x07\x08"
ENCRYPTED, STREAMED = 1, 8
STORED, DEFLATED, BZIP2 = 0, 8, 12
UNIX = 3  # "version made by": the upper half of the attributes is a mode
LONGEST_TARGET = 4096
_UNKNOWN = 0xFFFFFFFF


class _Local:
    """One local header: what is about to come."""

    def __init__(self, stream: Stream) -> None:
        fields = struct.unpack("<5H3L2H", stream.exactly(26))
        self.flags, self.method = fields[1], fields[2]
        self.crc, self.packed, self.size = fields[5], fields[6], fields[7]
        self.name = stream.exactly(fields[8])
        extra = stream.exactly(fields[9])
        if _UNKNOWN in (self.packed, self.size):
            self._zip64(extra)

    def _zip64(self, extra: bytes) -> None:
        while len(extra) >= 4:
            kind, length = struct.unpack("<2H", extra[:4])
            if kind == 1 and length >= 16:
                self.size, self.packed = struct.unpack("<2Q", extra[4:20])
            extra = extra[4 + length :]


def unzip(blocks: "Iterator[bytes]", fence: "Fence") -> None:
    """Unpack every member into the fence; raises UnsafeName or Corrupt with the member's name."""
    stream = Stream(blocks)
    came: "set[bytes]" = set()
    mark = stream.read(4)
    while mark == LOCAL:
        local = _Local(stream)
        with _Naming(local.name):
            _unpack(local, stream, fence)
        came.add(local.name)
        mark = stream.read(4)
    listed: "set[bytes]" = set()
    while mark == CENTRAL:
        name = _finish(stream, fence, came)
        listed.add(name)
        mark = stream.read(4)
    if not mark.startswith(b"PK"):
        msg = "not a zip archive, or a damaged one"
        raise Corrupt(msg)
    for name in sorted(came - listed):
        msg = "member %s is not in the archive's directory" % shown(name)
        raise Corrupt(msg)
    stream.drain()


class _Naming:
    """Puts the member's name before what is said of it."""

    def __init__(self, name: bytes) -> None:
        self.name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: object, _trace: object) -> None:
        if isinstance(error, UnsafeName):
            msg = "member %s is refused: %s" % (shown(self.name), error)
            raise UnsafeName(msg) from error
        if isinstance(error, Corrupt):
            msg = "member %s: %s" % (shown(self.name), error)
            raise Corrupt(msg) from error


def _unpack(local: _Local, stream: Stream, fence: "Fence") -> None:
    if local.flags & ENCRYPTED:
        msg = "it is encrypted"
        raise Corrupt(msg)
    if local.name.endswith(b"/"):
        fence.directory(local.name)
        stream.skip(local.packed)
        return
    descriptor = fence.file(local.name, 0o644)
    try:
        totals = _Totals(descriptor)
        before = stream.tell()
        if local.method == STORED:
            _stored(local, stream, totals)
        else:
            _expanded(_engine(local.method), stream, totals)
    finally:
        os.close(descriptor)
    _check(local, stream, totals, stream.tell() - before)


class _Totals:
    """Writes what it is given, and knows how much that was and its checksum."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.size = 0
        self.crc = 0

    def write(self, data: bytes) -> None:
        self.size += len(data)
        self.crc = zlib.crc32(data, self.crc)
        write_all(self.descriptor, data)


def _engine(method: int) -> "Any":
    if method == DEFLATED:
        return Inflater(-15)
    if method == BZIP2:
        from bz2 import BZ2Decompressor

        return BZ2Decompressor()
    msg = "it is compressed by method %d, which is not supported" % method
    raise Corrupt(msg)


def _stored(local: _Local, stream: Stream, totals: _Totals) -> None:
    if local.flags & STREAMED and not local.packed:
        msg = "it is stored without its length, so that its end cannot be found while streaming"
        raise Corrupt(msg)
    left = local.packed
    while left:
        data = stream.exactly(min(left, 1 << 20))
        left -= len(data)
        totals.write(data)


def _expanded(engine: "Any", stream: Stream, totals: _Totals) -> None:
    try:
        while not engine.eof:
            data = stream.read(1 << 16)
            if not data:
                msg = "the archive ends too early"
                raise Corrupt(msg)
            for out in expand(engine, data):
                totals.write(out)
    except (zlib.error, ValueError) as error:
        msg = "damaged: %s" % error
        raise Corrupt(msg) from error
    stream.push_back(engine.unused_data)


def _check(local: _Local, stream: Stream, totals: _Totals, packed: int) -> None:
    """Compare with the header, or with the data descriptor that follows (4.3.9), in its four forms."""
    if not local.flags & STREAMED:
        if (local.crc, local.size) != (totals.crc, totals.size):
            msg = "its checksum or length is wrong"
            raise Corrupt(msg)
        return
    seen = stream.read(24)
    for mark in (DESCRIPTOR, b""):
        for form in ("<3L", "<L2Q"):
            try:
                expected = mark + struct.pack(form, totals.crc, packed, totals.size)
            except struct.error:
                continue  # more than four bytes can hold
            if seen.startswith(expected):
                stream.push_back(seen[len(expected) :])
                return
    msg = "its checksum or length is wrong"
    raise Corrupt(msg)


def _finish(stream: Stream, fence: "Fence", came: "set[bytes]") -> bytes:
    """Read one entry of the directory and give its member the mode that it says."""
    fields = struct.unpack("<6H3L5H2L", stream.exactly(42))
    name = stream.exactly(fields[9])
    stream.exactly(fields[10] + fields[11])
    if name not in came:
        msg = "member %s is listed and did not come" % shown(name)
        raise Corrupt(msg)
    mode = fields[14] >> 16
    if fields[0] >> 8 == UNIX and mode and not name.endswith(b"/"):
        with _Naming(name):
            _apply(fence, name, mode)
    return name


def _apply(fence: "Fence", name: bytes, mode: int) -> None:
    kind = stat.S_IFMT(mode)
    if kind == stat.S_IFLNK:
        fence.symlink(name, fence.read(name, LONGEST_TARGET))
    elif kind in (0, stat.S_IFREG):
        fence.chmod(name, mode)
    else:
        msg = "it is a device, a pipe or of an unknown kind"
        raise UnsafeName(msg)
