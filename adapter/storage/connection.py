"""A small HTTP/1.1 client: one kept-alive connection, bodies in memory, TLS verified.

``http.client`` would do, but importing it costs as much as all requests of a ``prominence create``;
what is left out is what object storage does not use: cookies, redirects, trailers, upgrades.
"""

import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from prominence_hpc.adapter.storage import tls
from prominence_hpc.adapter.storage.proxy import Proxy, find_proxy

__all__ = ["Connection", "Endpoint", "ProtocolError", "Response", "Sink"]

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 60.0  # without a byte moving
HEAD_BYTES = 65536
BLOCK_BYTES = 262144


# Takes a block of an answer's body.
Sink = Callable[[memoryview], None]


class ProtocolError(ConnectionError):
    """What came back is not an HTTP answer, or it ended too early."""


@dataclass(frozen=True)
class Endpoint:
    """Where to connect; ``host`` without the brackets of an IPv6 address."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """The Host header: the port is left out where it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (
            host if self.port == {"http": 80, "https": 443}[self.scheme] else f"{host}:{self.port}"
        )


@dataclass(frozen=True)
class Response:
    """``headers`` have names in lower case; of repeated ones the last."""

    status: int
    headers: Mapping[str, str]
    body: bytearray


class Connection:
    """One connection, opened by the first request. Not for several threads at once.

    Failures are OSErrors as the socket and ssl modules raise them; after one the connection is
    closed, and the next request opens another.
    """

    def __init__(self, endpoint: Endpoint, ca_file: str | None) -> None:
        self.endpoint = endpoint
        self.ca_file = ca_file
        self.used = False  # has it carried a request? One that has may have been closed meanwhile
        self._socket: socket.socket | None = None
        self._proxy: Proxy | None = None
        self._left = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self._left = b""
        self.used = False

    def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | memoryview = b"",
        sink: Sink | None = None,
    ) -> Response:
        """Send one request and read the whole answer; its body goes to ``sink``, if given.

        What goes to the sink is not in the Response, and the answer is a success; the block is the
        sink's only while it is called.
        """
        try:
            return self._exchange(method, target, headers, body, sink)
        except BaseException:
            self.close()
            raise

    def _exchange(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | memoryview,
        sink: Sink | None,
    ) -> Response:
        if self._socket is None:
            self._open()
        assert self._socket is not None
        try:
            self._send(method, target, headers, body)
        except (BrokenPipeError, ConnectionResetError):
            # A server that refuses a request may answer and close before it has read the body.
            if not body:
                raise
        response, keep = self._receive(method, sink)
        self.used = True
        if not keep:
            self.close()
        return response

    def _open(self) -> None:
        if self.endpoint.scheme == "http":
            self._connect()
            return
        try:
            self._secure(tls.context(self.ca_file))
        except ssl.SSLCertVerificationError:
            self.close()
            context = tls.wider_context(self.ca_file)
            if context is None:
                raise
            self._secure(context)

    def _secure(self, context: ssl.SSLContext) -> None:
        plain = self._connect()
        if self._proxy:
            self._tunnel(self._proxy)
        name = _host_bytes(self.endpoint.host)
        self._socket = context.wrap_socket(plain, server_hostname=name)

    def _connect(self) -> socket.socket:
        end = self.endpoint
        self._proxy = find_proxy(end.scheme, end.host, end.port)
        peer = self._proxy or end
        address: Any = (_host_bytes(peer.host), peer.port)  # typeshed knows text alone
        plain = socket.create_connection(address, CONNECT_SECONDS)
        plain.settimeout(ANSWER_SECONDS)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = plain
        return plain

    def _tunnel(self, proxy: Proxy) -> None:
        end = self.endpoint
        host = f"[{end.host}]" if ":" in end.host else end.host
        self._send("CONNECT", f"{host}:{end.port}", {"host": f"{host}:{end.port}", **proxy.headers})
        response, _ = self._receive("CONNECT")
        if response.status != 200:
            msg = f"the proxy {proxy.host}:{proxy.port} answered {response.status}"
            raise ProtocolError(msg)

    def _send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | memoryview = b""
    ) -> None:
        assert self._socket is not None
        if self._proxy and self.endpoint.scheme == "http":
            target = f"http://{self.endpoint.authority}{target}"
            headers = {**headers, **self._proxy.headers}
        lines = [f"{method} {target} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
        if body or method in {"PUT", "POST"}:
            lines.append(f"content-length: {len(body)}")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        if len(body) <= HEAD_BYTES:
            self._socket.sendall(head + bytes(body))
        else:
            self._socket.sendall(head)
            self._socket.sendall(body)

    def _receive(self, method: str, sink: Sink | None = None) -> tuple[Response, bool]:
        status, version, headers = self._read_head()
        while 100 <= status < 200:
            status, version, headers = self._read_head()
        keep = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
        if method == "HEAD" or status in {204, 304} or (method == "CONNECT" and status == 200):
            return Response(status, headers, bytearray()), keep
        body = bytearray()
        take = sink if sink and status < 300 else body.extend
        if headers.get("transfer-encoding", "").lower() == "chunked":
            self._read_chunks(take)
        elif "content-length" in headers:
            self._read_exactly(_number(headers["content-length"], 10), take)
        else:
            self._read_to_end(take)
            keep = False
        return Response(status, headers, body), keep

    def _read_head(self) -> tuple[int, str, dict[str, str]]:
        while b"\r\n\r\n" not in self._left:
            if len(self._left) > HEAD_BYTES:
                msg = "the answer's headers do not end"
                raise ProtocolError(msg)
            self._left += self._some()
        head, _, self._left = self._left.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        words = first.split(None, 2)
        if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit():
            msg = "the answer is not HTTP"
            raise ProtocolError(msg)
        pairs = (line.partition(":") for line in lines)
        return int(words[1]), words[0], {name.lower(): value.strip() for name, _, value in pairs}

    def _read_exactly(self, size: int, take: Sink) -> None:
        """Blocks go on as they come: small enough to be still in the processor's cache."""
        left = size
        if self._left:
            start, self._left = self._left[:size], self._left[size:]
            take(memoryview(start))
            left -= len(start)
        buffer = memoryview(bytearray(min(left, BLOCK_BYTES)))
        assert self._socket is not None
        while left:
            count = self._socket.recv_into(buffer[:left])
            if not count:
                msg = f"the connection was closed after {size - left} of {size} bytes"
                raise ProtocolError(msg)
            take(buffer[:count])
            left -= count

    def _read_chunks(self, take: Sink) -> None:
        while True:
            size = _number(self._read_line().partition(b";")[0].decode("latin-1"), 16)
            if not size:
                break
            self._read_exactly(size, take)
            self._read_line()
        while self._read_line():
            pass

    def _read_line(self) -> bytes:
        while b"\r\n" not in self._left:
            self._left += self._some()
        line, _, self._left = self._left.partition(b"\r\n")
        return line

    def _read_to_end(self, take: Sink) -> None:
        take(memoryview(self._left))
        self._left = b""
        assert self._socket is not None
        while block := self._socket.recv(BLOCK_BYTES):
            take(memoryview(block))

    def _some(self) -> bytes:
        assert self._socket is not None
        block = self._socket.recv(HEAD_BYTES)
        if not block:
            msg = "the connection was closed before the answer was complete"
            raise ProtocolError(msg)
        return block


def _host_bytes(host: str) -> bytes:
    """A host name as bytes: for text, Python would import its tables of all scripts first."""
    return host.encode("ascii" if host.isascii() else "idna")


def _number(text: str, base: int) -> int:
    try:
        return int(text, base)
    except ValueError as error:
        msg = "the answer's length is not a number"
        raise ProtocolError(msg) from error
