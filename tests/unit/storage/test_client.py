"""Requests to S3: where they go, what is tried again, and what users are told."""

import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from prominence_hpc.adapter.storage import StorageSettings
from prominence_hpc.adapter.storage.client import Client, locate
from prominence_hpc.adapter.storage.connection import Connection, Endpoint, ProtocolError
from prominence_hpc.adapter.storage.sigv4 import Credentials
from prominence_hpc.errors import ConfigError, NotFoundError, ProminenceError, StorageError

CHUNKS = b"3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n"
KEYS = Credentials(access_key_id="AKIDEXAMPLE", secret_access_key="not-for-messages")


@pytest.mark.parametrize(
    ("endpoint", "bucket", "url", "path"),
    [
        ("https://s3.site.org", "b", "https://s3.site.org", "/b/"),
        ("https://s3.site.org:7443/", "b", "https://s3.site.org:7443", "/b/"),
        ("http://[::1]:80/base/", "b", "http://[::1]", "/base/b/"),
        (None, "b", "https://b.s3.eu-west-1.amazonaws.com", "/"),
        (None, "b.c", "https://s3.eu-west-1.amazonaws.com", "/b.c/"),
    ],
)
def test_where_a_bucket_is(endpoint: str | None, bucket: str, url: str, path: str) -> None:
    found = locate(StorageSettings(type="s3", endpoint=endpoint, bucket=bucket, region="eu-west-1"))
    assert (found.url, found.path) == (url, path)


@pytest.mark.parametrize("endpoint", ["s3.site.org", "ftp://s3", "https://", "https://h:port"])
def test_what_is_no_endpoint_is_refused(endpoint: str) -> None:
    with pytest.raises(ConfigError, match=r"not of the form https://HOST\[:PORT\]"):
        locate(StorageSettings(type="s3", endpoint=endpoint, bucket="b"))


def test_bucket_is_needed() -> None:
    with pytest.raises(ConfigError, match="set bucket"):
        locate(StorageSettings(type="s3", endpoint="https://s3"))


def failing(times: int, answer: tuple[int, dict[str, str], bytes]) -> Callable[[str, str], Any]:
    """A script: this answer so many times, then the server's own."""
    left = iter(range(times))
    return lambda _method, _target: answer if next(left, None) is not None else None


@pytest.mark.parametrize("status", [500, 503, 429, 0])
def test_what_may_pass_is_tried_again(storage: Any, fake_s3: Any, status: int) -> None:
    fake_s3.objects["a"] = (b"data", {})
    fake_s3.script = failing(3, (status, {}, b""))
    assert storage.head_many(["a"])["a"].size_bytes == 4
    assert len(fake_s3.requests) == 4


def test_it_is_not_tried_for_ever(storage: Any, fake_s3: Any) -> None:
    fake_s3.script = failing(99, (503, {}, b"<Error><Code>SlowDown</Code></Error>"))
    with pytest.raises(StorageError, match="the server answered 503 SlowDown"):
        storage.client.request("fetch", "GET", "a")
    assert len(fake_s3.requests) == 4


def test_refusals_are_not_tried_again(storage: Any, fake_s3: Any) -> None:
    fake_s3.script = failing(99, (403, {}, b"<Error><Code>AccessDenied</Code></Error>"))
    with pytest.raises(StorageError):
        storage.client.request("fetch", "GET", "a")
    assert len(fake_s3.requests) == 1


def test_connection_closed_by_the_server_while_idle(storage: Any, fake_s3: Any) -> None:
    """Without a pause and without counting as a failure."""
    fake_s3.objects["a"] = (b"data", {})
    fake_s3.script = lambda *_: (200, {"connection": "close"}, b"") if not fake_s3.objects else None
    storage.client.request("fetch", "GET", "a")
    storage.client._idle[0]._socket.shutdown(socket.SHUT_RDWR)
    assert storage.client.request("fetch", "GET", "a").body == b"data"


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        ("InvalidAccessKeyId", 403, "access key AKIDEXAMPLE is not known there"),
        ("SignatureDoesNotMatch", 403, "secret key does not belong to the access key AKIDEXAMPLE"),
        ("AccessDenied", 403, "AKIDEXAMPLE may not do that"),
        ("NoSuchBucket", 404, "there is no such bucket"),
        ("RequestTimeTooSkewed", 403, "clock is wrong"),
        ("ExpiredToken", 400, "session token of the credentials has expired"),
        ("QuotaExceeded", 403, "quota is used up"),
        ("Strange", 418, "the server answered 418 Strange words"),
    ],
)
def test_what_refusals_say(storage: Any, fake_s3: Any, code: str, status: int, words: str) -> None:
    body = f"<Error><Code>{code}</Code><Message>words</Message></Error>".encode()
    fake_s3.script = failing(9, (status, {}, body))
    with pytest.raises(StorageError) as raised:
        storage.client.request("fetch", "GET", "uploads/alice/x")
    message = str(raised.value)
    assert words in message
    assert f"Cannot fetch uploads/alice/x in bucket bucket at http://127.0.0.1:{fake_s3.port}" in (
        message
    )
    assert message.endswith(".")
    assert "not-for-messages" not in message


def test_wrong_region_is_named(storage: Any, fake_s3: Any) -> None:
    fake_s3.script = failing(9, (301, {"x-amz-bucket-region": "eu-north-1"}, b""))
    with pytest.raises(StorageError, match="region eu-north-1: set region under"):
        storage.client.request("fetch", "GET", "a")


def test_missing_object_is_not_found(storage: Any) -> None:
    with pytest.raises(NotFoundError, match="There is no object a in bucket bucket"):
        storage.client.request("fetch", "GET", "a")


def client_of(endpoint: str, ca_file: str | None = None) -> Client:
    settings = StorageSettings(type="s3", endpoint=endpoint, bucket="bucket", ca_file=ca_file)
    return Client(settings, KEYS)


def message_of(client: Client) -> str:
    with pytest.raises(ProminenceError) as raised:
        client.request("fetch", "GET", "a")
    return str(raised.value)


@pytest.mark.usefixtures("storage")
def test_nothing_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    message = message_of(client_of(f"http://127.0.0.1:{port}"))
    assert message.endswith(
        f"nothing listens at http://127.0.0.1:{port}; check the endpoint, or try later."
    )


@pytest.mark.usefixtures("storage")
def test_host_without_an_address() -> None:
    message = message_of(client_of("http://no-such-host.invalid"))
    assert "the host of http://no-such-host.invalid has no address" in message


@pytest.mark.usefixtures("storage")
def test_server_that_speaks_no_tls(fake_s3: Any) -> None:
    message = message_of(client_of(f"https://127.0.0.1:{fake_s3.port}"))
    assert f"no TLS connection to https://127.0.0.1:{fake_s3.port}" in message


@pytest.mark.usefixtures("storage")
def test_ca_file_that_is_not_there(fake_s3: Any) -> None:
    message = message_of(client_of(f"https://127.0.0.1:{fake_s3.port}", "/no/ca.pem"))
    assert message == "Cannot read ca_file = /no/ca.pem of [storage]: No such file or directory."


@pytest.fixture
def serve() -> Any:
    """Serve one connection: whatever is asked, these bytes are the answer."""
    threads = []

    def serve(answer: bytes) -> Connection:
        server = socket.create_server(("127.0.0.1", 0))

        def run() -> None:
            with server, server.accept()[0] as connection:
                connection.recv(65536)
                connection.sendall(answer)

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return Connection(Endpoint("http", "127.0.0.1", server.getsockname()[1]), None)

    yield serve
    for thread in threads:
        thread.join(5)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length:5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%b" % CHUNKS,
        b"HTTP/1.0 200 OK\r\n\r\nhello",
    ],
    ids=["length", "continue", "chunked", "to the end"],
)
@pytest.mark.usefixtures("storage")
def test_forms_of_a_body(serve: Any, answer: bytes) -> None:
    with serve(answer) as connection:
        assert connection.request("GET", "/", {}).body == b"hello"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhel",
    ],
)
@pytest.mark.usefixtures("storage")
def test_half_an_answer_is_an_error(serve: Any, answer: bytes) -> None:
    with serve(answer) as connection, pytest.raises(ProtocolError):
        connection.request("GET", "/", {})


@pytest.mark.usefixtures("storage")
def test_proxy_that_refuses(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """TLS goes through a tunnel, which the proxy does not open here."""
    proxy = serve(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.endpoint.port}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with (
        Connection(Endpoint("https", "s3.invalid", 443), None) as connection,
        pytest.raises(ProtocolError, match=r"proxy 127\.0\.0\.1:\d+ answered 407"),
    ):
        connection.request("GET", "/", {})


def test_plain_http_through_a_proxy(
    storage: Any, fake_s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy is the fake server here: it sees the whole URL, and answers."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{fake_s3.port}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert storage
    client = client_of("http://s3.invalid")
    client.try_request("fetch", "GET", "a")
    client.close()
    assert fake_s3.requests == [("GET", "http://s3.invalid/bucket/a")]
