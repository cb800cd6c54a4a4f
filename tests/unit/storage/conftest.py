"""A small S3 server in this process, for what a real one cannot be asked to do: fail on demand."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from prominence_hpc.adapter.storage import StorageSettings
from prominence_hpc.adapter.storage.s3 import S3Storage

Answer = tuple[int, dict[str, str], bytes]
SHA256 = "x-amz-meta-prominence_sha256"


@dataclass
class FakeS3:
    """Objects by key: content and metadata. ``script`` may answer in the server's place."""

    objects: dict[str, tuple[bytes, dict[str, str]]] = field(default_factory=dict)
    uploads: dict[str, tuple[str, dict[str, str], dict[int, bytes]]] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    script: Callable[[str, str], Answer | None] = lambda _method, _target: None
    port: int = 0

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        self.requests.append((method, target))
        scripted = self.script(method, target)
        if scripted:
            return scripted
        parts = urlsplit(target)
        bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
        if bucket != "bucket":
            return error(404, "NoSuchBucket")
        query = parse_qs(parts.query, keep_blank_values=True)
        if "uploads" in query or "uploadId" in query:
            return self.multipart(method, key, query, headers, body)
        do = {
            "HEAD": self.do_head,
            "GET": self.do_get,
            "PUT": self.do_put,
            "DELETE": self.do_delete,
        }[method]
        return do(key, query, headers, body)

    def do_head(self, key: str, query: object, headers: dict[str, str], body: bytes) -> Answer:
        status, found, data = self.do_get(key, query, headers, body)
        return status, {**found, "content-length": str(len(data))}, b""

    def do_get(self, key: str, query: object, headers: dict[str, str], _body: bytes) -> Answer:
        if not key:
            assert isinstance(query, dict)
            return self.listing(query["prefix"][0])
        if key not in self.objects:
            return error(404, "NoSuchKey")
        data, metadata = self.objects[key]
        found = {**metadata, "etag": etag(data), "last-modified": "Mon, 23 Nov 2026 07:01:15 GMT"}
        if headers.get("if-match", etag(data)) != etag(data):
            return error(412, "PreconditionFailed")
        if "range" not in headers:
            return 200, found, data
        first, last = map(int, headers["range"].removeprefix("bytes=").split("-"))
        if first >= len(data):
            return error(416, "InvalidRange")
        part = data[first : last + 1]
        shown = f"bytes {first}-{first + len(part) - 1}/{len(data)}"
        return 206, {**found, "content-range": shown}, part

    def do_put(self, key: str, _query: object, headers: dict[str, str], body: bytes) -> Answer:
        metadata = {name: value for name, value in headers.items() if name == SHA256}
        if "x-amz-copy-source" in headers:
            origin = unquote(headers["x-amz-copy-source"]).removeprefix("bucket/")
            body = self.objects[origin][0]
            self.objects[key] = (body, metadata)
            return (
                200,
                {},
                f"<CopyObjectResult><ETag>{etag(body)}</ETag></CopyObjectResult>".encode(),
            )
        self.objects[key] = (body, metadata)
        return 200, {"etag": etag(body)}, b""

    def do_delete(self, key: str, _query: object, _headers: object, _body: bytes) -> Answer:
        self.objects.pop(key, None)
        return 204, {}, b""

    def listing(self, prefix: str) -> Answer:
        entries = "".join(
            f"<Contents><Key>{key}</Key><Size>{len(data)}</Size>"
            f"<LastModified>2026-11-23T07:01:15.000Z</LastModified></Contents>"
            for key, (data, _) in sorted(self.objects.items())
            if key.startswith(prefix)
        )
        text = f"<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>"
        return 200, {}, text.encode()

    def multipart(
        self,
        method: str,
        key: str,
        query: dict[str, list[str]],
        headers: dict[str, str],
        body: bytes,
    ) -> Answer:
        if "uploads" in query:
            name = f"upload{len(self.requests)}"
            metadata = {k: v for k, v in headers.items() if k == SHA256}
            self.uploads[name] = (key, metadata, {})
            text = f"<R><UploadId>{name}</UploadId></R>"
            return 200, {}, text.encode()
        name = query["uploadId"][0]
        if method == "DELETE":
            del self.uploads[name]
            return 204, {}, b""
        if method == "PUT":
            self.uploads[name][2][int(query["partNumber"][0])] = body
            return 200, {"etag": etag(body)}, b""
        _, metadata, parts = self.uploads.pop(name)
        data = b"".join(parts[number] for number in sorted(parts))
        self.objects[key] = (data, metadata)
        return 200, {}, b"<R><ETag>x</ETag></R>"

    def keys(self) -> list[str]:
        return sorted(self.objects)


def etag(data: bytes) -> str:
    return f'"{hashlib.sha256(data).hexdigest()[:32]}"'


def error(status: int, code: str) -> Answer:
    text = f"<Error><Code>{code}</Code><Message>said by the server</Message></Error>"
    return status, {}, text.encode()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    fake: FakeS3

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        headers = {name.lower(): value for name, value in self.headers.items()}
        status, found, data = self.fake.answer(self.command, self.path, headers, body)
        if status == 0:  # the connection just ends
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in {"content-length": str(len(data)), **found}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_HEAD = do_GET = do_PUT = do_POST = do_DELETE = handle_any  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def fake_s3() -> Iterator[FakeS3]:
    fake = FakeS3()
    handler = type("BoundHandler", (Handler,), {"fake": fake})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    fake.port = server.server_port
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield fake
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def settings(fake_s3: FakeS3) -> StorageSettings:
    return StorageSettings(
        type="s3",
        endpoint=f"http://127.0.0.1:{fake_s3.port}",
        bucket="bucket",
        access_key_id="AKIDEXAMPLE",
        secret_access_key="not-for-messages",
    )


@pytest.fixture
def storage(settings: StorageSettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Storage]:
    monkeypatch.setattr("prominence_hpc.adapter.storage.client.FIRST_PAUSE_SECONDS", 0.001)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "http_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    opened = S3Storage(settings)
    yield opened
    opened.client.close()
    if "boto" in opened.__dict__:
        opened.boto.close()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "fetched"
