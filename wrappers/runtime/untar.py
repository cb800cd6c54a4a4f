"""tar archives unpacked as they stream: tarfile reads the headers, we do all that writes."""

import os
import tarfile

from .errors import Corrupt, UnsafeName
from .stream import Stream
from .text import encode, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

    from .fence import Fence

BLOCK = tarfile.BLOCKSIZE
_READ_ERRORS = (tarfile.TarError, ValueError, LookupError, ArithmeticError, RecursionError)


def untar(blocks: "Iterator[bytes]", fence: "Fence") -> None:
    """Unpack every member into the fence, each checked before anything of it is written.

    Raises UnsafeName or Corrupt with the member's name; what came before it stays on disk.
    """
    stream = Stream(blocks)
    archive = _open(stream)
    while True:
        member = _next(archive, stream)
        if member is None:
            break
        try:
            _unpack(member, stream, fence)
        except UnsafeName as error:
            msg = "member %s is refused: %s" % (shown(encode(member.name)), error)
            raise UnsafeName(msg) from error
        archive.members = []  # type: ignore[attr-defined] # tarfile would keep every header in memory
    stream.drain()


def _open(stream: Stream) -> tarfile.TarFile:
    try:
        return tarfile.TarFile(
            fileobj=stream,  # type: ignore[arg-type]
            mode="r",
            encoding="utf-8",
            errors="surrogateescape",
        )
    except _READ_ERRORS as error:
        msg = "not a tar archive: %s" % error
        raise Corrupt(msg) from error


def _next(archive: tarfile.TarFile, stream: Stream) -> "tarfile.TarInfo | None":
    try:
        member = archive.next()
    except _READ_ERRORS as error:
        msg = "the tar archive is damaged: %s" % error
        raise Corrupt(msg) from error
    if member is None and stream.last.strip(b"\0"):
        # tarfile takes a damaged header for the end of the archive.
        msg = "the tar archive is damaged: no valid header at byte %d" % stream.tell()
        raise Corrupt(msg)
    return member


def _unpack(member: tarfile.TarInfo, stream: Stream, fence: "Fence") -> None:
    name = encode(member.name)
    if member.isdir():
        fence.directory(name, member.mode)
    elif member.issym():
        fence.symlink(name, encode(member.linkname))
    elif member.islnk():
        _link(fence, name, encode(member.linkname))
    elif member.isreg():
        _file(member, name, stream, fence)
    else:
        msg = "it is a device, a pipe or of an unknown kind"
        raise UnsafeName(msg)


def _link(fence: "Fence", name: bytes, target: bytes) -> None:
    try:
        fence.link(name, target)
    except FileNotFoundError as error:
        msg = "it is a link to %s, which has not come before it" % shown(target)
        raise UnsafeName(msg) from error


def _file(member: tarfile.TarInfo, name: bytes, stream: Stream, fence: "Fence") -> None:
    if member.size < 0:
        msg = "member %s has a negative size" % shown(name)
        raise Corrupt(msg)
    descriptor = fence.file(name, member.mode)
    try:
        if member.sparse is None:
            stream.copy(descriptor, member.size)
        else:
            _sparse(member, descriptor, stream)
        moment = int(member.mtime)
        if 0 <= moment < 1 << 40:
            os.utime(descriptor, (moment, moment))
    finally:
        os.close(descriptor)
    stream.skip(-stream.tell() % BLOCK)


def _sparse(member: tarfile.TarInfo, descriptor: int, stream: Stream) -> None:
    """A file with holes: the archive holds the parts that are none, one after the other."""
    parts: "list[tuple[int, int]]" = member.sparse  # type: ignore[assignment]
    for offset, size in parts:
        if offset < 0 or size < 0:
            msg = "member %s has holes of a negative size" % shown(encode(member.name))
            raise Corrupt(msg)
        os.lseek(descriptor, offset, os.SEEK_SET)
        stream.copy(descriptor, size)
    os.ftruncate(descriptor, member.size)
