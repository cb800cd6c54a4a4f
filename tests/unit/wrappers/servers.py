"""HTTP servers on this machine's loopback that fail as told."""

import contextlib
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Seen:
    """One request as the server got it."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class Server:
    """``answer`` decides on every request; ``seen`` holds all of them."""

    answer: Callable[["Handler"], None]
    seen: list[Seen] = field(default_factory=list)
    url: str = ""

    def headers(self, name: str) -> list[str | None]:
        return [request.headers.get(name) for request in self.seen]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Http"

    def handle_any(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        seen = Seen(self.command, self.path, dict(self.headers.items()))
        self.server.owner.seen.append(seen)
        self.count = len(self.server.owner.seen)
        if not self.server.owner.answer.__name__.startswith("early"):
            seen.body = self.rfile.read(length)
        self.server.owner.answer(self)

    do_GET = do_HEAD = do_PUT = do_POST = handle_any  # noqa: N815 (http.server's names)

    def log_message(self, *_: object) -> None:
        pass

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def cut(self, body: bytes, sent: int, status: int = 200, **headers: str) -> None:
        """Announce all of ``body`` and send a part."""
        self.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body[:sent])
        self.close_connection = True

    def offset(self) -> int:
        match = re.match(r"bytes=(\d+)-$", self.headers.get("Range") or "bytes=0-")
        assert match is not None
        return int(match.group(1))


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    owner: Server

    def handle_error(self, *_: object) -> None:
        pass  # clients that go away are the subject of some tests


@contextlib.contextmanager
def serving(answer: Callable[[Handler], None]) -> Iterator[Server]:
    owner = Server(answer)
    with _Http(("127.0.0.1", 0), Handler) as http:
        http.owner = owner
        owner.url = f"http://127.0.0.1:{http.server_address[1]}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield owner
        finally:
            http.shutdown()
            thread.join()
