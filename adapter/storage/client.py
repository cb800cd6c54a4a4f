"""Signed requests to one bucket: addressing, kept connections, retries.

Used for what is short and frequent (HEAD, GET, PUT of one object or part). Safe for threads.
"""

import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from urllib.parse import urlsplit

from prominence_hpc.adapter.storage.base import StorageSettings
from prominence_hpc.adapter.storage.connection import Connection, Endpoint, Response, Sink
from prominence_hpc.adapter.storage.faults import Target, parse_refusal, refusal, unreachable
from prominence_hpc.adapter.storage.sigv4 import (
    EMPTY_SHA256,
    UNSIGNED,
    Credentials,
    Request,
    quote_key,
    quote_query,
    sign,
)
from prominence_hpc.adapter.storage.trace import trace
from prominence_hpc.errors import ConfigError

__all__ = ["Client", "Location", "locate"]

ATTEMPTS = 4
FIRST_PAUSE_SECONDS = 0.2  # then three times as long, each time
RETRIED = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True, kw_only=True)
class Location:
    """Where a bucket is. ``path`` ends in a slash; a key, quoted, is added to it."""

    endpoint: Endpoint
    path: str

    @property
    def url(self) -> str:
        """Scheme and host, which a path is added to."""
        return f"{self.endpoint.scheme}://{self.endpoint.authority}"


@dataclass(frozen=True, kw_only=True)
class _Call:
    request: Request
    headers: Mapping[str, str]
    body: bytes | memoryview
    body_sha256: str
    receive: Callable[[], Sink] | None


def locate(settings: StorageSettings) -> Location:
    """The bucket's address. Raises ConfigError where the settings do not give one.

    With an endpoint of one's own the bucket is the first part of the path: what Ceph, MinIO and
    their like need unless somebody has set up DNS for every bucket. At Amazon it is part of the
    host name, unless a dot in it would break the wildcard of the certificate.
    """
    bucket = settings.bucket
    if not bucket:
        msg = 'The setting type = "s3" under [storage] needs the name of a bucket: set bucket.'
        raise ConfigError(msg)
    if settings.endpoint:
        endpoint, base = _parse_endpoint(settings.endpoint)
        return Location(endpoint=endpoint, path=f"{base}/{quote_key(bucket)}/")
    host = f"s3.{settings.region}.amazonaws.com"
    if "." in bucket:
        return Location(endpoint=Endpoint("https", host, 443), path=f"/{quote_key(bucket)}/")
    return Location(endpoint=Endpoint("https", f"{bucket}.{host}", 443), path="/")


def _parse_endpoint(text: str) -> tuple[Endpoint, str]:
    parts = urlsplit(text)
    try:
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    except (KeyError, ValueError):
        port = 0
    if not port or not parts.hostname or parts.query or parts.username:
        msg = f"The endpoint {text!r} under [storage] is not of the form https://HOST[:PORT]."
        raise ConfigError(msg)
    return Endpoint(parts.scheme, parts.hostname, port), quote_key(parts.path.rstrip("/"))


class Client:
    """Requests about the objects of one bucket."""

    def __init__(self, settings: StorageSettings, credentials: Credentials) -> None:
        self.location = locate(settings)
        self.credentials = credentials
        self.region = settings.region
        self.ca_file = settings.ca_file
        self.target = Target(
            endpoint=settings.endpoint or self.location.url,
            bucket=settings.bucket or "",
            region=settings.region,
            access_key_id=credentials.access_key_id,
            ca_file=settings.ca_file,
        )
        self._idle: list[Connection] = []
        self._lock = Lock()

    def close(self) -> None:
        """Close the connections that are not in use."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def try_request(
        self,
        action: str,
        method: str,
        key: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes | memoryview = b"",
        body_sha256: str | None = None,
        receive: Callable[[], Sink] | None = None,
    ) -> Response:
        """The answer, whatever its status; failures that may pass are tried again first.

        Every request that S3 has is harmless when repeated. Raises StorageError where no answer
        came; ``action`` and ``key`` are for its message. ``receive`` is called for each
        attempt and returns what takes the body of an answer that is a success, block by block.
        """
        request = Request(
            method=method,
            host=self.location.endpoint.authority,
            path=self.location.path + quote_key(key),
            query=query,
        )
        call = _Call(
            request=request,
            headers=headers or {},
            body=body,
            body_sha256=body_sha256 or (UNSIGNED if body else EMPTY_SHA256),
            receive=receive,
        )
        for attempt in range(ATTEMPTS):
            if attempt:
                _pause(attempt)
            last = attempt == ATTEMPTS - 1
            try:
                response = self._send(call)
            except OSError as error:
                if last or not _may_pass(error, attempt):
                    raise unreachable(self.target, action, key, error) from error
                continue
            if last or response.status not in RETRIED:
                return response
        raise AssertionError  # the last attempt returns or raises

    def request(
        self,
        action: str,
        method: str,
        key: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes | memoryview = b"",
        body_sha256: str | None = None,
        receive: Callable[[], Sink] | None = None,
    ) -> Response:
        """As :meth:`try_request`; other than success raises NotFoundError or StorageError."""
        response = self.try_request(
            action,
            method,
            key,
            query=query,
            headers=headers,
            body=body,
            body_sha256=body_sha256,
            receive=receive,
        )
        if response.status >= 300:
            what = parse_refusal(response.status, response.headers, response.body)
            raise refusal(self.target, action, key, what)
        return response

    def _send(self, call: "_Call") -> Response:
        with self._connection() as connection:
            stale = connection.used
            try:
                return self._exchange(connection, call)
            except (ConnectionError, ssl.SSLEOFError):
                if not stale:
                    raise
            # A kept connection may have been closed by the server meanwhile: that is no failure.
            return self._exchange(connection, call)

    def _exchange(self, connection: Connection, call: "_Call") -> Response:
        signed = sign(
            call.request,
            call.headers,
            self.credentials,
            self.region,
            payload_sha256=call.body_sha256,
            now=time.time(),
        )
        target = call.request.path
        if call.request.query:
            target += "?" + quote_query(call.request.query)
        sink = call.receive() if call.receive else None
        answer = "no answer"
        start = time.perf_counter()
        try:
            response = connection.request(call.request.method, target, signed, call.body, sink)
            answer = str(response.status)
        finally:
            milliseconds = (time.perf_counter() - start) * 1000
            url = self.location.url + call.request.path
            trace(f"{call.request.method} {url}: {answer} after {milliseconds:.0f} ms")
        return response

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        with self._lock:
            connection = (
                self._idle.pop() if self._idle else Connection(self.location.endpoint, self.ca_file)
            )
        try:
            yield connection
        finally:
            with self._lock:
                self._idle.append(connection)


def _pause(attempt: int) -> None:
    import random  # 4 ms, for what seldom happens

    time.sleep(FIRST_PAUSE_SECONDS * 3 ** (attempt - 1) * random.uniform(0.75, 1.25))


def _may_pass(error: OSError, attempt: int) -> bool:
    """Could the same request succeed in a second? A wrong name or certificate stays wrong."""
    if isinstance(error, ssl.SSLCertVerificationError | FileNotFoundError | PermissionError):
        return False
    if isinstance(error, socket.gaierror):
        return error.errno == socket.EAI_AGAIN
    return attempt == 0 or not isinstance(error, TimeoutError)
