"""Web addresses in a job: refused where a server says there is nothing, else left to the node."""

import logging
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest

from prominence_hpc.adapter import web_check
from prominence_hpc.adapter.create import create_job
from prominence_hpc.adapter.web_check import refuse_missing
from prominence_hpc.adapter.workspace import open_workspace
from prominence_hpc.errors import NotFoundError

BLOCK = b"a first block"


class Server(ThreadingHTTPServer):
    """Answers ``/HEAD-STATUS/GET-STATUS`` as the path says."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[str] = []
        self.ended = Event()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_HEAD(self) -> None:
        self.answer(0)

    def do_GET(self) -> None:
        self.answer(1)

    def answer(self, which: int) -> None:
        self.server.seen.append(f"{self.command} {self.path} {self.headers.get('range')}")
        first, second, *rest = [*self.path.partition("?")[0].strip("/").split("/"), ""]
        if first == "slow":
            self.server.ended.wait(20)
            return
        if first == "to":
            self.send_response(302)
            self.send_header("location", "/" + "/".join([second, *rest]).strip("/"))
            length = 0
        else:
            status = int([first, second][which])
            self.send_response(status)
            length = 10**12 if status < 300 else len(BLOCK)
        self.send_header("content-length", str(length))
        self.end_headers()
        if which:
            self.wfile.write(BLOCK)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Server() as opened:
        thread = Thread(target=opened.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield opened
        opened.ended.set()
        opened.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "path",
    [
        "/200/500",
        "/403/200",
        "/403/403",
        "/404/200",
        "/405/200",
        "/501/200",
        "/500/500",
        "/to/200/500",
    ],
)
def test_what_is_there_or_not_known_passes(server: Server, path: str) -> None:
    refuse_missing([server.url(path)])
    assert server.seen[0] == f"HEAD {path} None"


@pytest.mark.parametrize("path", ["/404/404", "/410/410", "/405/404", "/403/410", "/to/to/404/404"])
def test_what_is_not_there_is_refused(server: Server, path: str) -> None:
    there, absent = server.url("/200/200"), server.url(path)
    with pytest.raises(NotFoundError) as raised:
        refuse_missing([there, f"{absent}?signature=secret"])
    assert f"There is nothing at {absent}: " in str(raised.value)
    assert f"GET {'/404/404' if 'to' in path else path}" in " ".join(server.seen)


def test_one_byte_is_asked_for(server: Server) -> None:
    refuse_missing([server.url("/403/206?q=a b")])
    assert server.seen == ["HEAD /403/206?q=a%20b None", "GET /403/206?q=a%20b bytes=0-0"]


def test_redirects_have_an_end(server: Server) -> None:
    refuse_missing([server.url("/to" * 6 + "/404/404")])
    assert len(server.seen) == 6


def test_nobody_waits_for_a_server_that_does_not_answer(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_check, "PATIENCE_SECONDS", 0.3)
    start = time.monotonic()
    with pytest.raises(NotFoundError):  # the other is heard all the same
        refuse_missing(
            [server.url(f"/slow/{number}") for number in range(5)] + [server.url("/404/404")]
        )
    assert time.monotonic() - start < 2


def test_no_route_passes_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="prominence_hpc")
    refuse_missing(["http://127.0.0.1:1/x?secret", "http://no.such.host.invalid/y"])
    assert "http://127.0.0.1:1/x cannot be asked from here: ConnectionRefusedError" in caplog.text
    assert "secret" not in caplog.text


def test_images_and_artifacts_of_a_job_are_looked_for(server: Server, tmp_path: Path) -> None:
    environment = {
        "HOME": str(tmp_path),
        "PROMINENCE_HOME": str(tmp_path / "home"),
        "PROMINENCE_SITE": "local",
        "PROMINENCE_STORAGE_TYPE": "folder",
    }
    workspace = open_workspace(environment)
    image, artifact = server.url("/404/404?i.sif"), server.url("/410/410")
    document = {
        "tasks": [{"image": image}],
        "resources": {"cpus": 1, "memory": 1, "disk": 1, "nodes": 1},
        "artifacts": [{"url": artifact}],
    }
    with pytest.raises(NotFoundError) as raised:
        create_job(workspace, document, None)
    assert server.url("/404/404") + ", " + artifact in str(raised.value)
