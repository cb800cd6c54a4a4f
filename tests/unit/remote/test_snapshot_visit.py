"""The whole of ``snapshot`` on the node: real runner, real connection, a server that takes PUTs."""

import hashlib
import io
import json
import os
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from prominence_hpc.adapter.remote.snapshot import follow_packing, request
from prominence_hpc.adapter.storage.base import Progress
from prominence_hpc.errors import ConflictError, NotFoundError, RemoteError, UsageError
from prominence_hpc.wrappers import frames
from tests.unit.remote.jobs import Place, sleeping, visit
from tests.unit.wrappers.runs import until
from tests.unit.wrappers.servers import Handler, Server, serving

MIB = 1 << 20


class Told:
    """What the user is told while it goes on."""

    def __init__(self) -> None:
        self.total: int | None = None
        self.moved = 0
        self.notes: list[str] = []

    @contextmanager
    def bar(self, label: str, total: int | None) -> Iterator[Progress]:
        assert label == "Packing"
        self.total = total

        def more(count: int) -> None:
            self.moved += count

        yield more


@pytest.fixture
def told() -> Told:
    return Told()


def take(
    place: Place,
    told: Told,
    path: str,
    destination: Mapping[str, Any] | None = None,
    **takers: Callable[[bytes], None],
) -> dict[str, Any]:
    kinds = {getattr(frames, kind): taker for kind, taker in takers.items()}
    with visit(place.folder) as found:
        found.ask(request(path, destination))
        return follow_packing(found, told.bar, told.notes.append, kinds)


def by_address(
    place: Place, told: Told, server: Server, address: Callable[[int], dict[str, str]] | None = None
) -> tuple[dict[str, Any], list[int]]:
    """To storage, with an address for each part that is asked for; which they were."""
    asked: list[int] = []
    to = {"method": "put", "url": f"{server.url}/whole?secret=1", "path": None, "name": "x"}
    with visit(place.folder) as found:

        def give(payload: bytes) -> None:
            asked.append(json.loads(payload))
            answer = {"url": f"{server.url}/part{asked[-1]}"}
            answer = answer if address is None else address(asked[-1])
            found.send(frames.ADDRESS, json.dumps(answer).encode())

        found.ask(request(".", to))
        done = follow_packing(found, told.bar, told.notes.append, {frames.PART: give})
    return done, asked


def stored(handler: Handler) -> None:
    handler.reply(200, b"", ETag=f'"tag of {handler.path}"')


def check(data: bytes, done: Mapping[str, Any]) -> None:
    """The last word is about these bytes."""
    assert done["size_bytes"] == len(data)
    assert done["sha256"] == hashlib.sha256(data).hexdigest()


def files_in(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        files = {member.name: archive.extractfile(member) for member in archive if member.isreg()}
        return {name: file.read() for name, file in files.items() if file is not None}


def test_a_small_archive_is_one_put_to_the_address_that_came_with_it(
    place: Place, told: Told
) -> None:
    content = os.urandom(MIB)
    (place.work / "file").write_bytes(content)
    with serving(stored) as server:
        done, asked = by_address(place, told, server)
    (seen,) = server.seen
    assert (seen.method, seen.target, asked, done["parts"]) == ("PUT", "/whole?secret=1", [], [])
    check(seen.body, done)
    assert files_in(seen.body) == {"./file": content}
    assert (told.total, told.notes) == (MIB, [])


def test_a_large_one_goes_in_parts_each_asked_for(place: Place, told: Told) -> None:
    content = os.urandom(40 * MIB)  # that no compression makes less
    (place.work / "file").write_bytes(content)
    with serving(stored) as server:
        done, asked = by_address(place, told, server)
    assert asked == [1, 2, 3]
    assert [seen.target for seen in server.seen] == ["/part1", "/part2", "/part3"]
    assert done["parts"] == [f'"tag of /part{number}"' for number in asked]
    assert min(len(seen.body) for seen in server.seen[:-1]) >= 16 * MIB
    data = b"".join(seen.body for seen in server.seen)
    check(data, done)
    assert files_in(data) == {"./file": content}
    assert told.total == told.moved == len(content)


def test_straight_over_the_connection(place: Place, told: Told) -> None:
    content = os.urandom(3 * MIB)
    (place.work / "sub").mkdir()
    (place.work / "sub/file").write_bytes(content)
    data = bytearray()
    done = take(place, told, "sub", OUTPUT=data.extend)
    check(bytes(data), done)
    assert files_in(bytes(data)) == {"sub/file": content}


def test_into_a_folder(place: Place, told: Told, tmp_path: Path) -> None:
    (place.work / "file").write_text("content")
    target = tmp_path / "storage/snapshots/uid"
    to = {"method": "folder", "path": str(target), "name": "s.tgz", "url": None}
    done = take(place, told, "file", to)
    assert [path.name for path in target.iterdir()] == ["s.tgz"]
    data = (target / "s.tgz").read_bytes()
    check(data, done)
    assert files_in(data) == {"file": b"content"}


def test_a_folder_that_cannot_be_written_to(place: Place, told: Told, tmp_path: Path) -> None:
    (place.work / "file").write_text("content")
    (tmp_path / "a-file").touch()
    to = {"method": "folder", "path": str(tmp_path / "a-file/x"), "name": "s.tgz", "url": None}
    with pytest.raises(RemoteError, match=r"could not be stored: Not a directory\.$"):
        take(place, told, "file", to)


def test_what_is_not_as_it_should_be_is_told(place: Place, told: Told) -> None:
    (place.work / "file").touch()
    os.mkfifo(place.work / "pipe")
    take(place, told, ".")
    assert told.notes == ["./pipe is a pipe, socket or device and is left out"]


def test_nothing_that_could_be_taken_is_no_archive(place: Place, told: Told) -> None:
    os.mkfifo(place.work / "pipe")
    with pytest.raises(NotFoundError, match=r"^There is nothing to take: pipe is a pipe"):
        take(place, told, "pipe")


@pytest.mark.parametrize(
    ("path", "error"), [("../../etc", UsageError), ("none", NotFoundError), ("*.x", NotFoundError)]
)
def test_refusals(place: Place, told: Told, path: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        take(place, told, path)


def test_a_job_that_ends_meanwhile_gives_no_archive(tmp_path: Path, told: Told) -> None:
    with sleeping() as wrapper:
        place = Place(tmp_path, wrapper.pid)
        (place.work / "file").write_bytes(os.urandom(8 * MIB))

        def end(_: bytes) -> None:
            wrapper.kill()
            wrapper.wait()

        with pytest.raises(ConflictError, match=r"^Job 7 ended while its files were packed"):
            take(place, told, ".", OUTPUT=end)


def test_a_job_without_files_here_says_why(place: Place, told: Told) -> None:
    place.write_running(scratch=None)
    place.write_phase("stage-in")
    with pytest.raises(ConflictError, match="is fetching its image and artifacts: there is noth"):
        take(place, told, ".")
    place.write_running(host="another-node")
    with pytest.raises(ConflictError, match="has its files on another node"):
        take(place, told, ".")


def test_storage_that_refuses_is_told_in_its_words_without_the_address(
    place: Place, told: Told
) -> None:
    def refuse(handler: Handler) -> None:
        handler.reply(403, b"<Code>AccessDenied</Code><Message>Expired</Message>")

    with serving(refuse) as server, pytest.raises(RemoteError) as caught:
        by_address(place, told, server)
    assert str(caught.value) == (
        "The snapshot could not be stored: the server answered 403 Forbidden"
        " (AccessDenied: Expired)."
    )


def test_a_part_without_an_address_says_why(place: Place, told: Told) -> None:
    (place.work / "file").write_bytes(os.urandom(20 * MIB))
    with serving(stored) as server, pytest.raises(RemoteError, match=r"stored: no more room\.$"):
        by_address(place, told, server, lambda _: {"error": "no more room"})
    assert server.seen == []


def test_a_cut_connection_leaves_no_half_of_a_file(place: Place, tmp_path: Path) -> None:
    """It would lie in the user's storage for good."""
    (place.work / "sparse").touch()
    os.truncate(place.work / "sparse", 100 << 30)  # takes longer than any test
    target = tmp_path / "storage"
    to = {"method": "folder", "path": str(target), "name": "s.tgz", "url": None}
    start = time.monotonic()
    with visit(place.folder) as found:
        found.ask(request(".", to))
        until(lambda: list(target.glob("s.tgz.part")))
    assert list(target.iterdir()) == []
    assert time.monotonic() - start < 4
