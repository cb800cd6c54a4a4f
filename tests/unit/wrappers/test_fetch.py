"""Downloads over networks that fail: resumed, verified, given up with words, never half believed."""

import hashlib
import os
import re
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from prominence_hpc.wrappers import plan as plans
from prominence_hpc.wrappers.runtime import fetch, web
from prominence_hpc.wrappers.runtime.control import Control
from prominence_hpc.wrappers.runtime.errors import Corrupt, Stopped, TransferError
from prominence_hpc.wrappers.runtime.fetch import Fetcher
from prominence_hpc.wrappers.runtime.planfile import PlanFile
from prominence_hpc.wrappers.runtime.retry import Transient
from tests.unit.wrappers.conftest import MakePlan, rewrite
from tests.unit.wrappers.servers import Handler, serving

DATA = os.urandom(3_000_000)
SHA256 = hashlib.sha256(DATA).hexdigest()


def download(
    plan: PlanFile,
    control: Control,
    *,
    size: int | None = None,
    sha256: str | None = None,
    notes: list[str] | None = None,
) -> bytes:
    """What the plan's first artifact holds."""
    source = lambda: str(plan.document["artifacts"][0]["source"])
    said = [] if notes is None else notes
    return b"".join(Fetcher(plan, control).blocks(source, size, sha256, said.append))


def artifact(source: str) -> dict[str, Any]:
    return {"artifacts": (plans.Artifact(name="a", filename="a", source=source),)}


@pytest.mark.parametrize("ranges", [True, False], ids=["with ranges", "without ranges"])
def test_a_cut_connection_is_resumed(ranges: bool, make_plan: MakePlan, control: Control) -> None:
    def answer(request: Handler) -> None:
        start = request.offset() if ranges else 0
        rest, headers = DATA[start:], {"ETag": '"1"'}
        if request.count < 4:
            status = 206 if start else 200
            headers |= {"Content_Range": f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"}
            request.cut(rest, 400_000 * request.count, status, **headers)
        elif ranges:
            headers |= {"Content_Range": f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"}
            request.reply(206, rest, **headers)
        else:
            request.reply(200, DATA, **headers)

    with serving(answer) as server:
        plan = make_plan(**artifact(server.url + "/a?secret"))
        assert download(plan, control, size=len(DATA), sha256=SHA256) == DATA
    assert len(server.seen) == 4
    assert server.headers("If-Range")[1:] == ['"1"'] * 3


def test_an_object_that_changes_meanwhile_is_refused(make_plan: MakePlan, control: Control) -> None:
    def answer(request: Handler) -> None:
        request.cut(DATA, 1_000_000, ETag=f'"{request.count}"')

    with serving(answer) as server, pytest.raises(TransferError, match="changed while"):
        download(make_plan(**artifact(server.url)), control)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(status: int, make_plan: MakePlan, control: Control) -> None:
    def answer(request: Handler) -> None:
        if request.count < 3:
            request.reply(status, b"<Error><Code>SlowDown</Code></Error>")
        else:
            request.reply(200, DATA)

    with serving(answer) as server:
        assert download(make_plan(**artifact(server.url)), control) == DATA
    assert len(server.seen) == 3


def test_it_is_given_up_in_the_end(
    make_plan: MakePlan, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "PATIENCE_SECONDS", 1.0)
    said = b"<Error><Code>SlowDown</Code><Message>Please wait.</Message></Error>"
    with (
        serving(lambda request: request.reply(503, said)) as server,
        pytest.raises(Transient, match=r"answered 503 .*\(SlowDown: Please wait\.\)"),
    ):
        download(make_plan(**artifact(server.url)), control)
    assert len(server.seen) > 1


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def unknown_host(*_: object, **__: object) -> None:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


@pytest.mark.parametrize("why", ["refused", "unknown"])
def test_a_host_that_is_none_is_given_up_soon_and_said_each_time(
    why: str, make_plan: MakePlan, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "NOBODY_SECONDS", 0.5)
    if why == "unknown":
        monkeypatch.setattr(socket, "getaddrinfo", unknown_host)
    words = "Connection refused" if why == "refused" else "Name or service not known"
    plan = make_plan(**artifact(f"http://127.0.0.1:{free_port()}/a?secret"))
    notes: list[str] = []
    begun = time.monotonic()
    with pytest.raises(Transient, match=words):
        download(plan, control, notes=notes)
    assert 0.4 < time.monotonic() - begun < 10
    assert len(notes) > 2
    for note in notes:
        assert re.fullmatch(rf"connection failed: .*{words}; next try in \d+\.\d s", note)


def test_a_server_that_was_seen_keeps_the_long_patience(
    make_plan: MakePlan, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers that it is busy, is restarted, and comes back: longer than for a host that is none."""
    monkeypatch.setattr(fetch, "NOBODY_SECONDS", 0.2)
    busy = time.monotonic() + 0.6
    real = socket.create_connection
    notes: list[str] = []

    def connect(*args: Any, **more: Any) -> socket.socket:
        if notes and time.monotonic() < busy:
            raise ConnectionRefusedError(111, "Connection refused")
        return real(*args, **more)

    def answer(request: Handler) -> None:
        if request.count == 1:
            request.reply(503)
        else:
            request.reply(200, DATA)

    monkeypatch.setattr(socket, "create_connection", connect)
    with serving(answer) as server:
        plan = make_plan(**artifact(server.url))
        assert download(plan, control, notes=notes) == DATA
    assert "answered 503" in notes[0]
    assert "refused" in notes[-1]


@pytest.mark.parametrize("url", ["http://me:pa/ss@host/a", "http://[::1/a"])
def test_an_address_that_is_none(url: str, make_plan: MakePlan, control: Control) -> None:
    with pytest.raises(TransferError, match=r"^the address is not valid$"):
        download(make_plan(**artifact(url)), control)


@pytest.mark.parametrize("status", [403, 404, 410])
def test_what_will_not_pass_is_not_tried_again(
    status: int, make_plan: MakePlan, control: Control
) -> None:
    with (
        serving(lambda request: request.reply(status, b"<Code>No</Code>")) as server,
        pytest.raises(TransferError, match=f"the server answered {status} .*(No)"),
    ):
        download(make_plan(**artifact(server.url)), control)
    assert len(server.seen) == 1


def test_an_expired_address_is_read_anew_from_the_plan(
    make_plan: MakePlan, control: Control
) -> None:
    def answer(request: Handler) -> None:
        if request.path == "/a?old":
            rewrite(plan, lambda document: document["artifacts"][0].update(source=renewed))
            request.reply(403, b"<Code>AccessDenied</Code><Message>Request has expired</Message>")
        else:
            request.reply(200, DATA)

    with serving(answer) as server:
        plan, renewed = make_plan(**artifact(server.url + "/a?old")), server.url + "/a?new"
        assert download(plan, control) == DATA
    assert [request.target for request in server.seen] == ["/a?old", "/a?new"]


def test_redirects_are_followed(make_plan: MakePlan, control: Control) -> None:
    def answer(request: Handler) -> None:
        if request.path == "/a":
            request.reply(302, Location="/b")
        else:
            request.reply(200, DATA)

    with serving(answer) as server:
        assert download(make_plan(**artifact(server.url + "/a")), control) == DATA


def test_addresses_as_people_write_them(make_plan: MakePlan, control: Control) -> None:
    """Letters that addresses do not have, also in a redirect; a login, kept on its own server."""

    def answer(request: Handler) -> None:
        if "moved" in request.path:
            request.reply(200, DATA)
        else:
            request.reply(302, Location="/moved/ö%20ü?[x]".encode().decode("latin-1"))

    with serving(answer) as server:
        url = server.url.replace("//", "//me%40home:p%3Aw@") + "/dü/a%20b%25.txt?é=1&b={2}#part"
        assert download(make_plan(**artifact(url)), control) == DATA
    assert [seen.target for seen in server.seen] == [
        "/d%C3%BC/a%20b%25.txt?%C3%A9=1&b=%7B2%7D",
        "/moved/%C3%B6%20%C3%BC?%5Bx%5D",
    ]
    assert server.headers("Authorization") == ["Basic bWVAaG9tZTpwOnc="] * 2


@pytest.mark.parametrize(
    ("location", "words"), [("/a", "too often"), ("file:///etc/passwd", "not http")]
)
def test_redirects_that_are_not(
    location: str, words: str, make_plan: MakePlan, control: Control
) -> None:
    with (
        serving(lambda request: request.reply(302, Location=location)) as server,
        pytest.raises(TransferError, match=words) as error,
    ):
        download(make_plan(**artifact(server.url + "/a?secret=1")), control)
    assert "secret" not in str(error.value)


def test_wrong_length_and_wrong_checksum(make_plan: MakePlan, control: Control) -> None:
    with serving(lambda request: request.reply(200, DATA)) as server:
        plan = make_plan(**artifact(server.url))
        with pytest.raises(Corrupt, match="3000000 bytes arrived where 5 were announced"):
            download(plan, control, size=5)
        with pytest.raises(Corrupt, match=f"SHA-256 is {SHA256} and should be {'0' * 64}"):
            download(plan, control, sha256="0" * 64)
        assert download(plan, control, sha256=SHA256.upper()) == DATA


def test_chunked_bodies_of_unknown_length(make_plan: MakePlan, control: Control) -> None:
    def answer(request: Handler) -> None:
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        whole = request.count > 1
        request.wfile.write(b"5\r\nhello\r\n" + (b"0\r\n\r\n" if whole else b"5\r\nwor"))
        request.close_connection = True

    with serving(answer) as server:
        assert download(make_plan(**artifact(server.url)), control) == b"hello"


def test_a_server_that_falls_silent(
    make_plan: MakePlan, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "TIMEOUT_SECONDS", 0.2)

    def answer(request: Handler) -> None:
        if request.count == 1:
            request.cut(DATA, 1000)
            request.wfile.flush()
            time.sleep(0.6)
        else:
            request.reply(200, DATA)

    with serving(answer) as server:
        assert download(make_plan(**artifact(server.url)), control) == DATA


def test_the_end_of_the_jobs_time_ends_a_download(make_plan: MakePlan) -> None:
    def answer(request: Handler) -> None:
        control.signalled(15)
        request.reply(200, DATA)

    control = Control(time.time(), 1000, 10, 5)
    with serving(answer) as server, pytest.raises(Stopped):
        download(make_plan(**artifact(server.url)), control)


def test_files_relative_to_the_plan_and_by_url(
    tmp_path: Path, make_plan: MakePlan, control: Control
) -> None:
    name = "with space ü"
    plan = make_plan(**artifact(name))
    (tmp_path / "plan" / name).write_bytes(DATA)
    assert download(plan, control, sha256=SHA256) == DATA
    by_url = (tmp_path / "plan" / name).as_uri()
    assert download(make_plan(**artifact(by_url)), control) == DATA
    with pytest.raises(TransferError, match="absent: No such file or directory"):
        download(make_plan(**artifact("absent")), control)


def test_a_proxy_is_asked(
    make_plan: MakePlan, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(lambda request: request.reply(200, DATA)) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.replace("//", "//me:pw@"))
        plan = make_plan(**artifact("http://you:own@data.example/a ü?b"))
        assert download(plan, control) == DATA
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert download(make_plan(**artifact(proxy.url + "/direct")), control) == DATA
    assert [seen.target for seen in proxy.seen] == [
        "http://data.example/a%20%C3%BC?b",
        "/direct",
    ]
    assert proxy.headers("Proxy-Authorization") == ["Basic bWU6cHc=", None]
    assert proxy.headers("Authorization") == ["Basic eW91Om93bg==", None]
