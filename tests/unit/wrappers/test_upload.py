"""Uploads: what arrives, what is tried again, and what is said where it fails."""

import hashlib
import os
import re
from pathlib import Path
from typing import Any

import pytest

from prominence_hpc.wrappers import plan as plans
from prominence_hpc.wrappers.runtime import upload
from prominence_hpc.wrappers.runtime.control import Control
from prominence_hpc.wrappers.runtime.errors import TransferError
from prominence_hpc.wrappers.runtime.planfile import PlanFile
from prominence_hpc.wrappers.runtime.upload import Body, Uploader, file_body
from prominence_hpc.wrappers.runtime.web import Web
from tests.unit.wrappers.conftest import MakePlan, rewrite
from tests.unit.wrappers.servers import Handler, serving

DATA = os.urandom(2_500_000)
SHA256 = hashlib.sha256(DATA).hexdigest()
STORED = {"name": "n", "size_bytes": len(DATA), "sha256": SHA256}


def store(
    plan: PlanFile,
    control: Control,
    body: Body,
    name: str = "n",
    notes: list[str] | None = None,
) -> dict[str, Any]:
    said = [] if notes is None else notes
    target = lambda: dict(plan.document["outputs"][0]["destination"])
    return Uploader(plan, Web, control).store(target, name, body, said.append)


def to(**destination: Any) -> dict[str, Any]:
    target = plans.Destination(**destination)
    output = plans.Output(name="o", kind="file", object_name="n", destination=target)
    return {"outputs": (output,)}


@pytest.fixture
def body(tmp_path: Path) -> Body:
    (tmp_path / "data").write_bytes(DATA)
    return file_body(bytes(tmp_path / "data"))


def test_put(make_plan: MakePlan, control: Control, body: Body) -> None:
    with serving(lambda request: request.reply(200)) as server:
        plan = make_plan(**to(method="put", url=server.url + "/o?sign=1"))
        assert store(plan, control, body) == STORED
    (seen,) = server.seen
    assert (seen.method, seen.target) == ("PUT", "/o?sign=1")
    assert seen.body == DATA
    assert "Transfer-Encoding" not in seen.headers


def test_post_form(make_plan: MakePlan, control: Control, body: Body) -> None:
    name = 'out/a "b" ü.txt'
    with serving(lambda request: request.reply(204)) as server:
        fields = {"key": "scratch/uid/", "policy": "p"}
        plan = make_plan(**to(method="post", url=server.url, fields=fields))
        assert store(plan, control, body, name) == {**STORED, "name": name}
    (seen,) = server.seen
    boundary = seen.headers["Content-Type"].partition("boundary=")[2].encode()
    parts = seen.body.split(b"--" + boundary)
    assert parts[0] == b""
    assert parts[-1] == b"--\r\n"
    found = {}
    for part in parts[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        match = re.search(rb'name="([^"]+)"', head)
        assert match is not None
        found[match.group(1)] = content[:-2]
    assert found == {b"key": b"scratch/uid/" + name.encode(), b"policy": b"p", b"file": DATA}
    assert parts[-2].startswith(b'\r\nContent-Disposition: form-data; name="file"')


@pytest.mark.parametrize("kind", ["status", "cut"])
def test_what_may_pass_is_tried_again(
    kind: str, make_plan: MakePlan, control: Control, body: Body
) -> None:
    def answer(request: Handler) -> None:
        if request.count == 3:
            request.reply(200)
        elif kind == "status":
            request.reply(503)
        else:
            request.close_connection = True

    with serving(answer) as server:
        plan = make_plan(**to(method="put", url=server.url))
        notes: list[str] = []
        assert store(plan, control, body, notes=notes) == STORED
    assert [seen.body == DATA for seen in server.seen] == [True] * 3
    assert ["; next try in " in note for note in notes] == [True] * 2


def test_a_server_that_refuses_before_all_is_sent(
    make_plan: MakePlan, control: Control, tmp_path: Path
) -> None:
    def early(request: Handler) -> None:
        request.reply(400, b"<Code>EntityTooLarge</Code>", Connection="close")
        request.close_connection = True

    (tmp_path / "big").write_bytes(bytes(30_000_000))
    with serving(early) as server:
        plan = make_plan(**to(method="put", url=server.url))
        with pytest.raises(TransferError, match=r"EntityTooLarge|connection failed"):
            monkey_patience(plan, control, file_body(bytes(tmp_path / "big")))


def monkey_patience(plan: PlanFile, control: Control, body: Body) -> None:
    """A reset connection may lose the server's words: then it is tried again, not for long here."""
    control.hard_end = control.hard_end - 989
    control.reserve = 0
    store(plan, control, body)


def test_an_expired_address_is_read_anew_from_the_plan(
    make_plan: MakePlan, control: Control, body: Body
) -> None:
    def answer(request: Handler) -> None:
        if request.path == "/old":
            new = {"method": "put", "url": server.url + "/new"}
            rewrite(plan, lambda document: document["outputs"][0].update(destination=new))
            request.reply(403)
        else:
            request.reply(200)

    with serving(answer) as server:
        plan = make_plan(**to(method="put", url=server.url + "/old"))
        assert store(plan, control, body) == STORED
    assert [seen.target for seen in server.seen] == ["/old", "/new"]


def test_refusals_say_why_and_no_secret(make_plan: MakePlan, control: Control, body: Body) -> None:
    said = b"<Error><Code>AccessDenied</Code></Error>"
    with serving(lambda request: request.reply(403, said)) as server:
        plan = make_plan(**to(method="put", url=server.url + "/o?X-Amz-Signature=abc"))
        with pytest.raises(TransferError, match=r"answered 403 .*\(AccessDenied\)") as error:
            store(plan, control, body)
    assert "abc" not in str(error.value)
    assert len(server.seen) == 1


def test_more_than_one_put_can_hold(make_plan: MakePlan, control: Control) -> None:
    plan = make_plan(**to(method="put", url="http://127.0.0.1:9/"))
    huge = Body((5 << 30) + 1, lambda: iter(()))
    with pytest.raises(TransferError, match=r"5\.0 GiB are more than one upload can hold"):
        store(plan, control, huge)


@pytest.mark.parametrize("now", [len(DATA) - 1, len(DATA) + 1], ids=["shorter", "longer"])
def test_a_file_that_changes_its_length(
    now: int, make_plan: MakePlan, control: Control, body: Body, tmp_path: Path
) -> None:
    with (tmp_path / "data").open("r+b") as stream:
        stream.truncate(now)
    with serving(lambda request: request.reply(200)) as server:
        plan = make_plan(**to(method="put", url=server.url))
        with pytest.raises(TransferError, match="changed its length"):
            store(plan, control, body)


def test_to_a_folder_whole_or_not_at_all(
    make_plan: MakePlan, control: Control, body: Body, tmp_path: Path
) -> None:
    plan = make_plan(**to(method="folder", path="../results"))
    assert store(plan, control, body, "sub/dir/n")["sha256"] == SHA256
    assert (tmp_path / "results/sub/dir/n").read_bytes() == DATA
    broken = Body(None, lambda: iter([b"half", *broken_off()]))
    with pytest.raises(RuntimeError):
        store(plan, control, broken, "half")
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["sub"]


def broken_off() -> list[bytes]:
    raise RuntimeError


def test_a_folder_that_cannot_be_written(
    make_plan: MakePlan, control: Control, body: Body, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    plan = make_plan(**to(method="folder", path=str(tmp_path / "file/below")))
    with pytest.raises(TransferError, match="Not a directory"):
        store(plan, control, body)


def test_patience_is_bounded_by_the_time_that_is_left(
    make_plan: MakePlan, control: Control, body: Body, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "PATIENCE_SECONDS", 0.1)
    with serving(lambda request: request.reply(500)) as server:
        plan = make_plan(**to(method="put", url=server.url))
        with pytest.raises(TransferError, match="500"):
            store(plan, control, body)
