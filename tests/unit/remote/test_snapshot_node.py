"""What a snapshot's path stands for on the node, and how bytes get from there to storage."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prominence_hpc.wrappers import plan as plans
from prominence_hpc.wrappers.runtime import retry, snapshot
from prominence_hpc.wrappers.runtime.control import Control
from prominence_hpc.wrappers.runtime.errors import TransferError
from prominence_hpc.wrappers.runtime.namespace import of_plan
from prominence_hpc.wrappers.runtime.place import Place as NodePlace
from prominence_hpc.wrappers.runtime.place import Refusal
from prominence_hpc.wrappers.runtime.put_bytes import PutBytes
from prominence_hpc.wrappers.runtime.snapshot import find, parts, with_last
from tests.unit.remote.jobs import Place
from tests.unit.wrappers.runs import artifact
from tests.unit.wrappers.servers import Handler, serving

MIB = 1 << 20
QUERY = "?X-Amz-Signature=secret"


@pytest.fixture
def filled(place: Place) -> Place:
    mount = plans.Mount(directory="data", path="/mnt/data")
    place.write_plan(artifacts=(artifact("data.tgz", mount=mount),))
    for name in (
        "out.txt",
        "runs/1/x",
        "runs/2/y",
        "data/in",
        ".hidden",
        "a*b[1]",
        "-n",
        "two words",
    ):
        path = place.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (place.root / "secret").write_text("s")
    (place.work / "inner").symlink_to("/mnt/data/in")
    (place.work / "outer").symlink_to("../../secret")
    (place.work / "outer-folder").symlink_to("/etc")
    (place.work / "dangling").symlink_to("not-there")
    (place.work / "circle").symlink_to("circle")
    return place


def found(place: Place, path: str | bytes) -> dict[str, str]:
    """Name in the archive to place below the working directory."""
    here = NodePlace(bytes(place.folder / "plan.json"))
    tops = find(of_plan(here.plan, bytes(place.work)), os.fsencode(path), here)
    return {
        os.fsdecode(name): os.path.relpath(os.fsdecode(where), place.work) for name, where in tops
    }


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("out.txt", {"out.txt": "out.txt"}),
        ("./runs//1/../2/y", {"runs/2/y": "runs/2/y"}),
        ("/home/user/out.txt", {"out.txt": "out.txt"}),
        (".", {".": "."}),
        ("", {".": "."}),
        ("/home/user/", {".": "."}),
        ("runs/", {"runs": "runs"}),
        ("/mnt/data/in", {"mnt/data/in": "data/in"}),
        ("/mnt/data", {"mnt/data": "data"}),
        ("inner", {"inner": "data/in"}),
        ("-n", {"-n": "-n"}),
        ("two words", {"two words": "two words"}),
        ("*.txt", {"out.txt": "out.txt"}),
        ("/home/user/o*.txt", {"out.txt": "out.txt"}),
        ("/mnt/data/*", {"mnt/data/in": "data/in"}),
        (".h*", {".hidden": ".hidden"}),
        ("runs/*/[xy]", {"runs/1/x": "runs/1/x", "runs/2/y": "runs/2/y"}),
        ("runs/*/x", {"runs/1/x": "runs/1/x"}),  # the other folder has none
        ("?ut.txt", {"out.txt": "out.txt"}),
        ("a*b[1]", {"a*b[1]": "a*b[1]"}),  # a name that looks like a pattern is a name first
        ("[a]?b*", {"a*b[1]": "a*b[1]"}),
        ("*/in", {"data/in": "data/in"}),  # links that lead outside are no folders of the job's
        ("o*", {"out.txt": "out.txt", "outer": "outer", "outer-folder": "outer-folder"}),
        ("inn*", {"inner": "data/in"}),
        ("circ*", {"circle": "circle"}),
    ],
)  # fmt: skip
def test_paths_and_patterns(filled: Place, path: str, expected: dict[str, str]) -> None:
    assert found(filled, path) == expected


def test_names_that_are_no_text(filled: Place) -> None:
    name = b"\xff\n\xfe"
    (filled.work / os.fsdecode(name)).write_text("x")
    assert found(filled, name) == {os.fsdecode(name): os.fsdecode(name)}
    assert found(filled, b"\xff*") == {os.fsdecode(name): os.fsdecode(name)}


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "..", "../secret", "/", "/home/other", "/mnt", "/etc/*", "outer", "outer-folder",
     "outer-folder/passwd", "circle", "outer*/passwd", "*/../../secret", "runs/*/../../..", "runs/../../secret"],
)  # fmt: skip
def test_what_is_outside_is_refused(filled: Place, path: str) -> None:
    with pytest.raises(Refusal) as caught:
        found(filled, path)
    assert caught.value.kind == "usage"
    assert caught.value.message.startswith(f"{path} is outside of the job: ")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("none", "Job 7 has no none now."),
        ("out.txt/x", "Job 7 has no out.txt/x now."),
        ("dangling", "Job 7 has no dangling now."),
        ("*.none", "Nothing in job 7 matches *.none now."),
        ("*/none", "Nothing in job 7 matches */none now."),
        ("x" * 5000, f"Job 7 has no {'x' * 5000} now."),
        ("new\nline\x1b(", r"Job 7 has no new\nline\x1b( now."),
    ],
)
def test_what_is_not_there_is_named(filled: Place, path: str, message: str) -> None:
    with pytest.raises(Refusal) as caught:
        found(filled, path)
    assert (caught.value.kind, caught.value.message) == ("not-found", message)


@pytest.mark.parametrize("path", [b"a\0b", b"\0*", b"\0/*", b"*/\0", b"runs/*\0"])
def test_what_no_path_can_hold_is_refused(filled: Place, path: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        found(filled, path)
    assert caught.value.kind in ("usage", "not-found")
    assert r"\x00" in caught.value.message


@given(sizes=st.lists(st.integers(0, 70), max_size=60))
def test_parts_are_all_of_it_and_none_but_the_last_is_small(sizes: list[int]) -> None:
    blocks = [os.urandom(size) for size in sizes]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshot, "PART", 50)
        patch.setattr(snapshot, "PARTS_OF_A_SIZE", 4)
        pieces = list(parts(iter(blocks)))
    assert b"".join(pieces) == b"".join(blocks)
    for number, piece in enumerate(pieces):
        least = 50 * (1 + number // 4)
        assert len(piece) < least + 70
        assert len(piece) >= least or number == len(pieces) - 1
    assert pieces  # an empty archive is an object too


def test_parts_hold_as_much_as_s3_takes() -> None:
    """5 TiB in at most 10,000 parts of at least 5 MiB and at most 5 GiB."""
    sizes = [snapshot.PART * (1 + number // snapshot.PARTS_OF_A_SIZE) for number in range(10_000)]
    assert min(sizes) >= 5 * MIB
    assert max(sizes) <= 5 << 30
    assert sum(sizes) > 1 << 40


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_last_piece_is_known_as_such(count: int) -> None:
    pieces = [bytes([number]) for number in range(count)]
    answer = list(with_last(iter(pieces)))
    assert [piece for piece, _ in answer] == pieces
    assert [last for _, last in answer] == [False] * (count - 1) + [True]


@pytest.fixture
def put(monkeypatch: pytest.MonkeyPatch) -> PutBytes:
    monkeypatch.setattr(retry, "FIRST_SECONDS", 0.01)
    monkeypatch.setattr(retry, "LONGEST_SECONDS", 0.05)
    return PutBytes(None, Control(time.time(), 1000, 10, 5))


def test_put_gives_the_tag_and_tries_again(put: PutBytes) -> None:
    def answer(handler: Handler) -> None:
        statuses = {1: 503, 2: 500, 3: 429}
        handler.reply(statuses.get(handler.count, 200), b"", ETag='"tag"')

    data = os.urandom(2 * MIB)
    with serving(answer) as server:
        assert put(server.url + "/bucket/a%20b" + QUERY, data) == '"tag"'
        assert [seen.method for seen in server.seen] == ["PUT"] * 4
        assert {seen.target for seen in server.seen} == {"/bucket/a%20b" + QUERY}
        assert all(seen.body == data for seen in server.seen)
        assert server.headers("Content-Length") == [str(len(data))] * 4


REFUSAL = b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"


def late_refusal(handler: Handler) -> None:
    handler.reply(403, REFUSAL)


def early_refusal(handler: Handler) -> None:
    """Before the body is read, as S3 does, which then takes no more of it."""
    handler.reply(403, REFUSAL)
    handler.close_connection = True


@pytest.mark.parametrize("answer", [late_refusal, early_refusal])
def test_a_refusal_is_told_in_the_server_s_words_at_once(put: PutBytes, answer: object) -> None:
    assert callable(answer)
    with serving(answer) as server, pytest.raises(TransferError) as caught:
        put(server.url + "/b/k" + QUERY, bytes(16 * MIB))
    assert str(caught.value) == (
        "the server answered 403 Forbidden (AccessDenied: Request has expired)"
    )
    assert len(server.seen) == 1


def unreachable() -> Iterator[str]:
    with serving(late_refusal) as server:
        gone = server.url
    yield gone + "/b/k" + QUERY
    yield "http://127.0.0.1:99999/b/k" + QUERY
    yield "http://[::1/b" + QUERY


def test_no_message_holds_a_secret(put: PutBytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prominence_hpc.wrappers.runtime.put_bytes.PATIENCE_SECONDS", 0.1)

    def cut(handler: Handler) -> None:
        handler.close_connection = True

    with serving(cut) as server:
        for url in [*unreachable(), server.url + "/b/k" + QUERY]:
            with pytest.raises(TransferError) as caught:
                put(url, b"x")
            assert "secret" not in str(caught.value)
            assert "X-Amz" not in str(caught.value)


def test_nothing_is_tried_for_ever(put: PutBytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prominence_hpc.wrappers.runtime.put_bytes.PATIENCE_SECONDS", 0.3)

    def down(handler: Handler) -> None:
        handler.reply(503)

    with serving(down) as server, pytest.raises(TransferError, match="503 Service Unavailable"):
        put(server.url, b"x")
    assert len(server.seen) > 2


def test_the_plan_s_certificates_are_used(tmp_path: Path) -> None:
    """What is no certificate is an error of ours, not a connection without verification."""
    put = PutBytes("no certificate", Control(time.time(), 1000, 10, 5))
    with pytest.raises((TransferError, ValueError, OSError)):
        put(f"https://127.0.0.1:1/{tmp_path.name}", b"x")
