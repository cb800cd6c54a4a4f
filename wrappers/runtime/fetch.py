"""What an address or path holds, as a stream of blocks that survives a broken connection."""

import os

from .errors import Corrupt, TransferError
from .retry import Backoff, Transient
from .text import is_url, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    import http.client
    from typing import Callable, Iterator, Optional

    from .control import Control
    from .planfile import PlanFile
    from .web import Web

BLOCK = 1 << 20
PRESIGNED = "X-Amz-Signature="
PATIENCE_SECONDS = 300.0
NOBODY_SECONDS = 30.0  # with a host that is unknown or refuses connections: mostly a wrong address


class Facts:
    """What became known of a source while it was read."""

    def __init__(self) -> None:
        self.version = ""  # what the server calls this content, see :func:`version_of`
        self.sha256 = ""


class Fetcher:
    """Opens sources of the plan. ``source`` is a function, since addresses may be renewed."""

    def __init__(self, plan: "PlanFile", control: "Control") -> None:
        self.plan = plan
        self.control = control
        self._web: "Optional[Web]" = None

    @property
    def web(self) -> "Web":
        if self._web is None:
            from .web import Web

            self._web = Web(self.plan.document.get("ca_certificates"))
        return self._web

    def blocks(
        self,
        source: "Callable[[], str]",
        size: "Optional[int]",
        sha256: "Optional[str]",
        note: "Callable[[str], None]",
        facts: "Optional[Facts]" = None,
    ) -> "Iterator[bytes]":
        """Blocks of at most 1 MiB, read ahead by a thread; checked against size and checksum.

        ``note`` is told of every failure that is followed by another try; ``facts`` are known at the
        end. Raises TransferError, Transient (tried often enough), Corrupt (at the end) or Stopped.
        """
        from .ahead import read_ahead

        if is_url(source()):
            raw = self._download(source, note, facts or Facts())
        else:
            raw = read_file(self.plan.local(source()), self.control)
        return read_ahead(verified(raw, size, sha256, facts))

    def version(self, url: str) -> str:
        """What the server calls the content just now, see :func:`version_of`; "" if it does not say.

        Raises what :meth:`Web.get` does.
        """
        if PRESIGNED not in url:
            answer = self.web.ask("HEAD", url, {})
            if answer.status == 200:
                length = answer.headers.get("Content-Length") or ""
                return version_of(answer.headers, int(length) if length.isdigit() else None)
        # Some servers know no HEAD, and a presigned URL is for GET alone; the body is not read.
        with self.web.get(url, {}) as response:
            return version_of(response.headers, _total(response))

    def _download(
        self, source: "Callable[[], str]", note: "Callable[[str], None]", facts: Facts
    ) -> "Iterator[bytes]":
        import http.client

        from .web import Refused, network_error

        part = _Download()
        backoff = Backoff(self.control, PATIENCE_SECONDS, note, NOBODY_SECONDS)
        while not part.ended:
            url = source()
            try:
                with self.web.get(url, part.headers()) as response:
                    part.begin(response)
                    facts.version = version_of(response.headers, _total(response))
                    while not part.ended:
                        self.control.check()
                        block = part.take(response.read(BLOCK))
                        if block:
                            backoff.succeeded()
                            yield block
            except Refused as error:
                self.plan.reload()
                if error.status not in (400, 401, 403) or source() == url:
                    raise
            except Transient as error:
                backoff.failed(error)
            except (OSError, http.client.HTTPException) as error:
                failed = network_error(error)
                if not isinstance(failed, Transient):
                    raise failed from error
                backoff.failed(failed)


class _Download:
    """How far one download has come, over all its connections (RFC 9110, 14: range requests)."""

    def __init__(self) -> None:
        self.position = 0
        self.total: "Optional[int]" = None
        self.tag = ""
        self.ended = False
        self._skip = 0

    def headers(self) -> "dict[str, str]":
        if self.position == 0:
            return {}
        headers = {"Range": "bytes=%d-" % self.position}
        if self.tag and not self.tag.startswith("W/"):
            headers["If-Range"] = self.tag
        return headers

    def begin(self, response: "http.client.HTTPResponse") -> None:
        """Take note of what the server is about to send; raises where it is another object now."""
        tag = response.getheader("ETag") or ""
        total = _total(response)
        changed = self.position and (tag, total) != (self.tag, self.total)
        if changed or (response.status == 206 and _start(response) != self.position):
            msg = "the object changed while it was read"
            raise TransferError(msg)
        self.tag, self.total = tag, total
        # A server without ranges begins anew: what we have already is passed over.
        self._skip = self.position if response.status == 200 else 0

    def take(self, block: bytes) -> bytes:
        """The new bytes among these; sets ``ended``, or raises Transient where that is too early."""
        if not block:
            if self.total is not None and self.position < self.total:
                msg = "the connection ended after %d of %d bytes" % (self.position, self.total)
                raise Transient(msg)
            self.ended = True
        if self._skip:
            skipped = min(self._skip, len(block))
            self._skip -= skipped
            block = block[skipped:]
        self.position += len(block)
        return block


def version_of(headers: "http.client.HTTPMessage", total: "Optional[int]") -> str:
    """What the server calls this content for certain; "" where it does not.

    A weak ETag may stand for other bytes (RFC 9110, 8.8.1), a Last-Modified of the last minute for
    those of a moment later (8.8.2.2).
    """
    tag = headers.get("ETag") or ""
    if tag and not tag.startswith("W/"):
        return tag
    modified, date = headers.get("Last-Modified"), headers.get("Date")
    if not modified or not date:
        return ""
    from email.utils import parsedate_to_datetime

    try:
        age = parsedate_to_datetime(date) - parsedate_to_datetime(modified)
    except (TypeError, ValueError):
        return ""
    return "%s %s" % (modified, total) if age.total_seconds() >= 60 else ""


def _total(response: "http.client.HTTPResponse") -> "Optional[int]":
    text = response.getheader("Content-Length") or ""
    if response.status == 206:
        text = (response.getheader("Content-Range") or "").rpartition("/")[2]
    return int(text) if text.isdigit() else None


def _start(response: "http.client.HTTPResponse") -> int:
    text = (response.getheader("Content-Range") or "").partition("bytes ")[2].partition("-")[0]
    return int(text) if text.isdigit() else -1


def read_file(path: bytes, control: "Control") -> "Iterator[bytes]":
    """The blocks of a local file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        msg = "%s: %s" % (shown(path), error.strerror)
        raise TransferError(msg) from error
    try:
        while True:
            control.check()
            block = os.read(descriptor, BLOCK)
            if not block:
                return
            yield block
    except OSError as error:
        msg = "%s: %s" % (shown(path), error.strerror)
        raise TransferError(msg) from error
    finally:
        os.close(descriptor)


def verified(
    blocks: "Iterator[bytes]",
    size: "Optional[int]",
    sha256: "Optional[str]",
    facts: "Optional[Facts]" = None,
) -> "Iterator[bytes]":
    """The same blocks; raises Corrupt at their end where they are not what was announced."""
    import hashlib

    digest = hashlib.sha256() if sha256 or facts is not None else None
    count = 0
    for block in blocks:
        count += len(block)
        if digest is not None:
            digest.update(block)
        yield block
    if size is not None and count != size:
        msg = "%d bytes arrived where %d were announced" % (count, size)
        raise Corrupt(msg)
    found = digest.hexdigest() if digest is not None else ""
    if sha256 and found != sha256.lower():
        msg = "its SHA-256 is %s and should be %s" % (found, sha256)
        raise Corrupt(msg)
    if facts is not None:
        facts.sha256 = found
