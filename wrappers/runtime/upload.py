"""One object to its destination: a presigned PUT, a POST form, or a file in a folder."""

import hashlib
import os

from .errors import TransferError
from .fetch import BLOCK
from .retry import Transient, retrying
from .stream import open_to_read, write_all
from .text import encode, size_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    import http.client
    from typing import Any, Callable, Iterator, Optional

    from .control import Control
    from .planfile import PlanFile
    from .web import Web

    Destination = Callable[[], "dict[str, Any]"]

LONGEST = 5 << 30  # of one PUT or POST: S3's own limit
PATIENCE_SECONDS = 600.0


class Body:
    """What is sent: ``blocks()`` gives it anew for every attempt, ``length`` bytes; None: not known."""

    def __init__(self, length: "int | None", blocks: "Callable[[], Iterator[bytes]]") -> None:
        self.length = length
        self.blocks = blocks


def file_body(path: bytes) -> Body:
    """A file as it is now."""

    def blocks() -> "Iterator[bytes]":
        descriptor = open_to_read(path)
        try:
            while True:
                block = os.read(descriptor, BLOCK)
                if not block:
                    return
                yield block
        finally:
            os.close(descriptor)

    return Body(os.lstat(path).st_size, blocks)


class Uploader:
    """Stores objects; ``destination`` is a function, since addresses may be renewed."""

    def __init__(self, plan: "PlanFile", web: "Callable[[], Web]", control: "Control") -> None:
        self.plan = plan
        self.web = web
        self.control = control

    def store(
        self, destination: "Destination", name: str, body: Body, note: "Callable[[str], None]"
    ) -> "dict[str, Any]":
        """Store one object; returns its entry of the report. Raises TransferError or Stopped.

        ``note`` is told of every failure that is followed by another try.
        """
        try:
            size, sha256 = retrying(
                lambda: self._attempt(destination, name, body), self.control, PATIENCE_SECONDS, note
            )
        except Transient as error:
            raise TransferError(str(error)) from error
        return {"name": name, "size_bytes": size, "sha256": sha256}

    def _attempt(self, destination: "Destination", name: str, body: Body) -> "tuple[int, str]":
        target = destination()
        if target["method"] == "folder":
            return self._to_folder(self.plan.local(target["path"]), name, body)
        if body.length is None:
            msg = "its length is not known before it is sent"
            raise TransferError(msg)
        if body.length > LONGEST:
            msg = "%s are more than one upload can hold (5 GiB)" % size_text(body.length)
            raise TransferError(msg)
        return self._renewing(destination, target, name, body)

    def _renewing(
        self, destination: "Destination", target: "dict[str, Any]", name: str, body: Body
    ) -> "tuple[int, str]":
        """Send it; where the address has expired, once more to the one that the plan has by now."""
        from .web import Refused

        try:
            return self._to_web(target, name, body)
        except Refused as error:
            self.plan.reload()
            if error.status not in (400, 401, 403) or destination() == target:
                raise
            return self._to_web(destination(), name, body)

    def _to_web(self, target: "dict[str, Any]", name: str, body: Body) -> "tuple[int, str]":
        from .send import send

        before, after, headers = (b"", b"", {})  # type: bytes, bytes, dict[str, str]
        if target["method"] == "post":
            before, after, headers = form(target["fields"], name)
        size = body.length or 0
        digest = hashlib.sha256()
        send(
            self.web(),
            target["method"].upper(),
            target["url"],
            headers,
            len(before) + size + len(after),
            lambda server: self._write(server, (before, after), body, digest),
        )
        return size, digest.hexdigest()

    def _write(
        self,
        server: "http.client.HTTPConnection",
        around: "tuple[bytes, bytes]",
        body: Body,
        digest: "Any",
    ) -> None:
        """The body between what a form has around it; raises TransferError where it changes."""
        from .ahead import read_ahead

        count = 0
        if around[0]:
            server.send(around[0])
        for block in read_ahead(_hashed(body.blocks(), digest)):
            self.control.check()
            count += len(block)
            if count > (body.length or 0):
                break
            server.send(block)
        if count != body.length:
            msg = "it changed its length while it was sent"
            raise TransferError(msg)
        if around[1]:
            server.send(around[1])

    def _to_folder(self, folder: bytes, name: str, body: Body) -> "tuple[int, str]":
        return store_in_folder(folder, name, body.blocks(), self.control)


def store_in_folder(
    folder: bytes,
    name: str,
    blocks: "Iterator[bytes]",
    control: "Control",
    part_name: "Optional[str]" = None,
) -> "tuple[int, str]":
    """Write a file under a temporary name and rename it; returns size and SHA-256.

    ``part_name``: the temporary name, for a caller whose other end removes what we may leave.
    """
    from .ahead import read_ahead

    path = os.path.join(folder, encode(name))
    unique = ".%s.part" % os.urandom(8).hex()
    part = os.path.join(os.path.dirname(path), encode(part_name or unique))
    digest = hashlib.sha256()
    size = 0
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        kind = os.O_TRUNC | os.O_NOFOLLOW if part_name else os.O_EXCL
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | kind, 0o600)
        try:
            for block in read_ahead(_hashed(blocks, digest)):
                control.check()
                write_all(descriptor, block)
                size += len(block)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(part, path)
    except OSError as error:
        msg = "%s" % (error.strerror or error)
        raise TransferError(msg) from error
    finally:
        if os.path.lexists(part):
            os.unlink(part)
    return size, digest.hexdigest()


def _hashed(blocks: "Iterator[bytes]", digest: "Any") -> "Iterator[bytes]":
    for block in blocks:
        digest.update(block)
        yield block


def form(fields: "dict[str, str]", name: str) -> "tuple[bytes, bytes, dict[str, str]]":
    """What goes before and after the file in a multipart/form-data POST (RFC 7578), and its header.

    The object's name is added to the field ``key``, of which the policy knows the beginning.
    """
    boundary = os.urandom(16).hex()
    parts = []
    for key, value in fields.items():
        value = value + name if key == "key" else value
        head = '--%s\r\nContent-Disposition: form-data; name="%s"\r\n\r\n' % (boundary, key)
        parts.append(head.encode("ascii") + encode(value) + b"\r\n")
    head = '--%s\r\nContent-Disposition: form-data; name="file"; filename="file"\r\n' % boundary
    parts.append(head.encode("ascii") + b"Content-Type: application/octet-stream\r\n\r\n")
    after = ("\r\n--%s--\r\n" % boundary).encode("ascii")
    return b"".join(parts), after, {"Content-Type": "multipart/form-data; boundary=" + boundary}
