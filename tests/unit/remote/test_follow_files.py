"""Following a job's streams in its folder: everything once, in order, from beginning to end."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Thread

import pytest

from prominence_hpc.adapter import jobs
from prominence_hpc.adapter.jobs import Listing
from prominence_hpc.adapter.remote import follow as module
from prominence_hpc.adapter.remote.follow import LogName, Pace, follow, so_far
from prominence_hpc.adapter.workspace import Workspace
from prominence_hpc.errors import ConflictError, NotFoundError
from tests.unit.remote.sites import (
    Site,
    end,
    folder_of,
    is_queued,
    is_running,
    new_job,
    workspace_of,
)

Piece = tuple[str, bytes]


@pytest.fixture
def site() -> Site:
    return Site(queue={"4711": is_running()})


@pytest.fixture
def workspace(site: Site, tmp_path: Path) -> Iterator[Workspace]:
    workspace = workspace_of(site, tmp_path)
    new_job(workspace)
    yield workspace
    workspace.store.close()


@pytest.fixture
def folder(workspace: Workspace) -> Path:
    return folder_of(workspace, workspace.store.get(1))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short pauses; and an end, if a test's job should have none."""
    limit, ask = time.monotonic() + 20, jobs.up_to_date

    def pace(**_: float) -> Pace:
        return Pace(least=0.02, most=0.05)

    def up_to_date(workspace: Workspace, job_ids: Sequence[int]) -> Listing:
        assert time.monotonic() < limit
        return ask(workspace, job_ids)

    monkeypatch.setattr(module, "up_to_date", up_to_date)

    monkeypatch.setattr(module, "Pace", pace)
    monkeypatch.setattr(module, "LEAST_SECONDS", 0.005)
    monkeypatch.setattr(module, "MOST_SECONDS", 0.02)
    monkeypatch.setattr(module, "SETTLE_SECONDS", 0.2)


class Watching:
    """What was given and told, and what happens when."""

    def __init__(self, workspace: Workspace, *names: LogName) -> None:
        self.workspace = workspace
        self.names = names
        self.pieces: list[Piece] = []
        self.notes: list[str] = []
        self.on_note: Callable[[str], None] = lambda _: None

    def note(self, words: str) -> None:
        self.notes.append(words)
        self.on_note(words)

    def text(self, name: str = "stdout") -> bytes:
        return b"".join(data for found, data in self.pieces if found == name)

    def run(self, on_piece: Callable[[bytes], None] = lambda _: None) -> None:
        """To the job's end; ``on_piece`` is told all of stdout so far."""
        for piece in follow(self.workspace, 1, self.names, self.note):
            self.pieces.append(piece)
            on_piece(self.text())


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def test_what_is_appended_comes_at_once_until_the_end(workspace: Workspace, folder: Path) -> None:
    watching = Watching(workspace, "stdout")
    (folder / "stdout").write_bytes(b"one\n")
    seen: list[bytes] = []

    def go_on(text: bytes) -> None:
        seen.append(text)
        if text == b"one\n":
            append(folder / "stdout", b"half")
        elif text == b"one\nhalf":
            append(folder / "stdout", b" a line\n\xff\0")
        else:
            end(workspace, workspace.store.get(1))

    watching.run(go_on)
    assert seen == [b"one\n", b"one\nhalf", b"one\nhalf a line\n\xff\0"]
    assert watching.notes == []


def test_nothing_of_a_fast_writer_is_lost_or_doubled(workspace: Workspace, folder: Path) -> None:
    """A separate thread writes as fast as it can, to both streams, and ends at once."""
    lines = [b"%d %s\n" % (number, b"x" * (number % 300)) for number in range(30_000)]
    record = workspace.store.get(1)

    def write() -> None:
        with (folder / "stdout").open("ab", 0) as out, (folder / "stderr").open("ab", 0) as err:
            for number, line in enumerate(lines):
                (err if number % 3 else out).write(line)
        end(workspace, record)

    writer = Thread(target=write)
    writer.start()
    watching = Watching(workspace, "stdout", "stderr")
    watching.run()
    writer.join()
    assert watching.text("stdout") == b"".join(lines[::3])
    expected = [line for number, line in enumerate(lines) if number % 3]
    assert watching.text("stderr") == b"".join(expected)


def test_what_is_written_between_the_last_look_and_the_end_comes(
    workspace: Workspace, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scheduler's answer is awaited after a look at the files."""
    real = jobs.up_to_date
    asked: list[int] = []

    def last_words(workspace: Workspace, job_ids: Sequence[int]) -> Listing:
        asked.append(1)
        if len(asked) == 3:
            append(folder / "stdout", b"last words\n")
            end(workspace, workspace.store.get(1))
        return real(workspace, job_ids)

    monkeypatch.setattr(module, "up_to_date", last_words)
    watching = Watching(workspace, "stdout")
    watching.run()
    assert watching.text() == b"last words\n"


def test_a_file_that_is_seen_late_is_waited_for(workspace: Workspace, folder: Path) -> None:
    """A network file system may show the end of a file a moment after the job's."""
    end(workspace, workspace.store.get(1))
    (folder / "stdout").write_bytes(b"early ")
    watching = Watching(workspace, "stdout")

    def late(text: bytes) -> None:
        if text == b"early ":
            append(folder / "stdout", b"late")

    watching.run(late)
    assert watching.text() == b"early late"


def test_a_job_that_ended_long_ago_is_not_waited_for(
    workspace: Workspace, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SETTLE_SECONDS", 30)
    (folder / "stdout").write_bytes(b"all")
    then = time.time() - 3600
    end(workspace, workspace.store.get(1), end_time=then, update_time=then, start_time=then - 9)
    start = time.monotonic()
    watching = Watching(workspace, "stdout", "stderr")
    watching.run()
    assert watching.pieces == [("stdout", b"all")]
    assert time.monotonic() - start < 5


def test_a_restart_begins_the_file_anew_and_says_so(workspace: Workspace, folder: Path) -> None:
    (folder / "stdout").write_bytes(b"first attempt\n")
    watching = Watching(workspace, "stdout", "stderr")

    def restart(text: bytes) -> None:
        if text == b"first attempt\n":
            (folder / "stdout").write_bytes(b"second\n")
        elif text.endswith(b"second\n"):
            end(workspace, workspace.store.get(1))

    watching.run(restart)
    assert watching.text() == b"first attempt\nsecond\n"
    assert watching.notes == ["stdout of job 1 begins anew: the scheduler has restarted the job"]


def test_a_job_that_waits_is_waited_for_with_one_word(
    workspace: Workspace, site: Site, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = [is_queued("Priority")] * 3 + [is_queued("Resources")] * 2 + [is_running()]
    sleep = time.sleep

    def next_state(seconds: float) -> None:
        sleep(seconds)
        if states:
            site.queue = {"4711": states.pop(0)}
            if not states:
                (folder / "stdout").write_bytes(b"begun\n")

    site.queue = {"4711": states[0]}
    monkeypatch.setattr(time, "sleep", next_state)
    watching = Watching(workspace, "stdout")
    watching.run(lambda _: end(workspace, workspace.store.get(1)))
    assert watching.notes == [
        "job 1 is idle (Priority); waiting for it to start",
        "job 1 is idle (Resources); waiting for it to start",
    ]
    assert watching.text() == b"begun\n"


def test_a_job_that_is_put_back_into_the_queue_begins_anew(
    workspace: Workspace, site: Site, folder: Path
) -> None:
    (folder / "stdout").write_bytes(b"one\n")
    watching = Watching(workspace, "stdout")

    def note(words: str) -> None:
        if "waiting" in words:  # what the wrapper does as it starts anew
            (folder / "attempts/1").mkdir(parents=True)
            (folder / "attempts/1/stdout").write_bytes(b"one\nits end\n")
            (folder / "stdout").write_bytes(b"two, and longer than before\n")
            site.queue = {"4711": is_running()}

    def requeue(text: bytes) -> None:
        if text == b"one\n":
            site.queue = {"4711": is_queued("BeginTime")}
        elif b"two" in text:
            end(workspace, workspace.store.get(1))

    watching.on_note = note
    watching.run(requeue)
    assert watching.text() == b"one\nits end\ntwo, and longer than before\n"
    assert watching.notes == [
        "job 1 was put back into the queue: it begins anew",
        "job 1 is idle (BeginTime); waiting for it to start",
        "stdout of job 1 begins anew: the scheduler has restarted the job",
    ]


def test_so_far_is_what_there_is_now(workspace: Workspace, site: Site, folder: Path) -> None:
    (folder / "stdout").write_bytes(os.urandom(1 << 20))
    (folder / "wrapper.log").write_bytes(b"log\n")
    names: list[LogName] = ["wrapper.log", "stdout", "stderr"]
    found = list(so_far(workspace, 1, names))
    assert (
        b"".join(data for name, data in found if name == "stdout")
        == (folder / "stdout").read_bytes()
    )
    assert found[0] == ("wrapper.log", b"log\n")
    assert {name for name, _ in found} == {"wrapper.log", "stdout"}
    site.queue = {"4711": is_queued()}
    other = new_job(workspace, "4712")
    site.queue = {"4712": is_queued()}
    with pytest.raises(ConflictError, match=f"^Job {other.id} is idle: it has written nothing yet"):
        list(so_far(workspace, other.id, names))
    with pytest.raises(NotFoundError):
        list(so_far(workspace, 99, names))
