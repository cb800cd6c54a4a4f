"""``stdout --tail`` and ``logs -f``: what a job writes, from its beginning, as it comes, to its end.

Where the scheduler writes into the job's folder here, the files are read as they grow. Elsewhere the
node is asked (:mod:`.reach`), and what it could not send before the job had ended is taken from the
files that the scheduler brings home then: each stream goes on at the byte where it stopped.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from prominence_hpc.adapter.attempts import FOLDER as ATTEMPTS
from prominence_hpc.adapter.attempts import kept_attempts
from prominence_hpc.adapter.jobs import submitted_document, up_to_date
from prominence_hpc.adapter.remote.reach import visit_job
from prominence_hpc.adapter.remote.target import check_node
from prominence_hpc.adapter.remote.visit import Visit
from prominence_hpc.adapter.store.records import JobRecord
from prominence_hpc.adapter.store.state_folder import REPORT_FILE, folder_of
from prominence_hpc.adapter.workspace import Workspace
from prominence_hpc.backends.base import Backend, Condition
from prominence_hpc.backends.job_folder import node_folder
from prominence_hpc.errors import BackendUnavailable, ConflictError, ProminenceError, RemoteError
from prominence_hpc.wrappers import frames
from prominence_hpc.wrappers.report import read as read_report

__all__ = ["LogName", "check_node_of_streams", "follow", "nodes_of", "so_far"]

LogName = Literal["stdout", "stderr", "wrapper.log"]
Piece = tuple[LogName, bytes]
Note = Callable[[str], None]

BLOCK_BYTES = 1 << 18
# Between two looks at a file: soon after it has grown, less often later.
LEAST_SECONDS, MOST_SECONDS = 0.05, 0.5
# Between two questions to the scheduler whether the job still runs.
FIRST_ASK_SECONDS, MOST_ASK_SECONDS = 1.0, 10.0
GROWTH = 1.5
# A file that was closed on a node may be seen whole here only when the folder's copy is renewed.
SETTLE_SECONDS = 0.5
# A stream that is shorter than it was is being put aside, for so long.
MOVED_SECONDS = 2.0
VISITS = 3
FETCH_SECONDS = 10.0


@dataclass
class Pace:
    """Growing pauses between questions."""

    least: float = FIRST_ASK_SECONDS
    most: float = MOST_ASK_SECONDS
    pause: float = field(init=False)
    due: float = field(init=False)

    def __post_init__(self) -> None:
        self.pause = self.least
        self.due = time.monotonic() + self.pause

    def is_due(self) -> bool:
        return time.monotonic() >= self.due

    def asked(self) -> None:
        self.pause = min(self.pause * GROWTH, self.most)
        self.due = time.monotonic() + self.pause


def follow(
    workspace: Workspace, job_id: int, names: Sequence[LogName], note: Note, node: int = 0
) -> Iterator[Piece]:
    """Blocks of one node's named streams until the job has ended and all of them were given.

    A job that waits is waited for. ``note`` is told what the user should know meanwhile.
    NotFoundError where there is no such job.
    """
    following = Following(workspace, job_id, dict.fromkeys(names, 0), note, node)
    while True:
        record = following.wait_for_start()
        if record.final:
            yield from following.rest()
            return
        yield from following.while_it_runs(record)


def so_far(
    workspace: Workspace, job_id: int, names: Sequence[LogName], node: int = 0
) -> Iterator[Piece]:
    """What there is of one node's named streams now. ConflictError where the job has not started."""
    record = up_to_date(workspace, [job_id]).records[0]
    following = Following(workspace, job_id, dict.fromkeys(names, 0), lambda _: None, node)
    waits = record.started is None and not record.final
    # A job that waits for its next attempt has had one.
    if waits and not (following.folder / REPORT_FILE).exists():
        msg = f"Job {job_id} is {record.status}: it has written nothing yet."
        raise ConflictError(msg)
    if waits or record.final or workspace.backend(record.site).writes_into_folder:
        yield from following.new_pieces()
        return
    with visit_job(workspace, job_id, node) as visit:
        visit.ask({"verb": "follow", "offsets": following.offsets, "once": True})
        yield from following.pieces_of(visit)


def check_node_of_streams(workspace: Workspace, job_id: int, number: int) -> None:
    """UsageError where the job has no node of this number that writes anything."""
    if number != 0:
        check_node(job_id, number, nodes_of(workspace, job_id))


def nodes_of(workspace: Workspace, job_id: int) -> int:
    """How many nodes the job has asked for."""
    return int(submitted_document(workspace, job_id)["resources"].get("nodes", 1))


@dataclass
class Following:
    """One job, and how far each stream was read."""

    workspace: Workspace
    job_id: int
    offsets: dict[LogName, int]
    note: Note
    node: int = 0
    told: set[str] = field(default_factory=set)
    # When the attempt that is followed began, as far as that is known.
    started: float | None = None
    # How many attempts were put aside when last looked, and since when a stream is shorter than it was.
    kept: int = 0
    shorter: dict[LogName, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.kept = max(kept_attempts(self.folder), default=0)

    @cached_property
    def folder(self) -> Path:
        return folder_of(self.workspace.state, self.workspace.store.get(self.job_id))

    def path(self, name: LogName) -> Path:
        return node_folder(self.folder, self.node) / name

    def latest(self) -> JobRecord:
        """The record as of now; what could not be found out is told, once."""
        listing = up_to_date(self.workspace, [self.job_id])
        for warning in listing.warnings:
            self.tell_once(warning)
        return listing.records[0]

    def tell_once(self, words: str) -> None:
        if words not in self.told:
            self.told.add(words)
            self.note(words)

    def wait_for_start(self) -> JobRecord:
        """The record once the job has started, or ended."""
        pace, told = Pace(), ""
        while True:
            record = self.latest()
            if record.final or record.status == "running":
                if self.began_meanwhile(record):
                    self.begin_anew()
                return record
            if record.status == "idle":
                self.begin_anew()
                reason = f" ({record.status_reason})" if record.status_reason else ""
                said = f"job {self.job_id} is idle{reason}; waiting for it to start"
                if said != told:
                    self.note(said)
                told = said
            time.sleep(pace.pause)
            pace.asked()

    def begin_anew(self) -> None:
        """A job that was put back into the queue writes its streams anew."""
        if any(self.offsets.values()):
            self.tell_once(f"job {self.job_id} was put back into the queue: it begins anew")
            # Where starts share a folder the files are the last attempt's until they are put aside.
            if not self.backend().writes_into_folder:
                self.offsets = dict.fromkeys(self.offsets, 0)

    def began_meanwhile(self, record: JobRecord) -> bool:
        """Whether another attempt runs, on another node perhaps, than the one that was followed."""
        if record.status != "running" or self.backend().writes_into_folder:
            return False
        before, self.started = self.started, record.started
        return before is not None and (record.started or 0) > before + 0.5

    def pieces_put_aside(self) -> Iterator[Piece]:
        """What is left to read of an attempt that was put aside; the next one's streams begin anew."""
        aside = self.folder / ATTEMPTS / str(self.kept + 1)
        if not aside.exists():
            return
        for name in self.offsets:
            while data := read_from(aside / name, self.offsets[name]):
                self.offsets[name] += len(data)
                yield name, data
        self.kept += 1
        self.shorter = {}
        for name, offset in self.offsets.items():
            if offset:
                self.begins_anew(name)

    def backend(self) -> Backend:
        return self.workspace.backend(self.workspace.store.get(self.job_id).site)

    def while_it_runs(self, record: JobRecord) -> Iterator[Piece]:
        if self.backend().writes_into_folder:
            yield from self.as_files_grow()
        else:
            yield from self.as_the_node_sends()
            self.wait_for_files(record)
            yield from self.new_pieces()

    def as_files_grow(self) -> Iterator[Piece]:
        """What is appended in the job's folder, until the job does not run any more."""
        pace, pause, ending = Pace(), LEAST_SECONDS, False
        while True:
            moved = False
            for piece in self.new_pieces():
                moved = True
                yield piece
            pause = LEAST_SECONDS if moved else min(pause * GROWTH, MOST_SECONDS)
            if not ending and self.is_reported_finished():
                # The scheduler may need minutes to find out: soon after, but not without end.
                ending, pace = True, Pace(least=LEAST_SECONDS)
            if pace.is_due():
                record = self.latest()
                pace.asked()
                if record.status != "running":
                    return
            time.sleep(pause)

    def is_reported_finished(self) -> bool:
        report = read_report(self.folder / REPORT_FILE)
        return report is not None and report["phase"] == "finished"

    def new_pieces(self) -> Iterator[Piece]:
        """What the files have beyond what was read."""
        if self.backend().writes_into_folder:
            yield from self.pieces_put_aside()
        for name in self.offsets:
            while data := read_from(self.path(name), self.offsets[name]):
                self.offsets[name] += len(data)
                yield name, data
            self.start_again_where_shorter(name)

    def start_again_where_shorter(self, name: LogName) -> None:
        """A job that the scheduler starts anew begins its files anew."""
        try:
            size = self.path(name).stat().st_size
        except OSError:
            return
        if size >= self.offsets[name]:
            self.shorter.pop(name, None)
            return
        since = self.shorter.setdefault(name, time.monotonic())
        if time.monotonic() - since > MOVED_SECONDS or not self.backend().writes_into_folder:
            self.begins_anew(name)

    def begins_anew(self, name: LogName) -> None:
        self.note(f"{name} of job {self.job_id} begins anew: the scheduler has restarted the job")
        self.offsets[name] = 0

    def as_the_node_sends(self) -> Iterator[Piece]:
        """Over a connection to the node; a broken one is made anew where it stopped."""
        failure: ProminenceError | None = None
        tries = 0  # in vain, one after the other
        while tries < VISITS:
            before = dict(self.offsets)
            try:
                with visit_job(self.workspace, self.job_id, self.node) as visit:
                    visit.ask({"verb": "follow", "offsets": self.offsets, "once": False})
                    yield from self.pieces_of(visit)
                return
            except ConflictError:  # it has ended
                return
            except (RemoteError, BackendUnavailable) as error:
                failure = error
                tries = tries + 1 if self.offsets == before else 0
        if failure is not None and self.node:
            raise failure  # the scheduler fetches what the first node has
        if failure is not None:
            yield from self.by_fetching(failure)

    def pieces_of(self, visit: Visit) -> Iterator[Piece]:
        names = sorted(self.offsets)
        for kind, payload in visit.answers():
            if kind not in (frames.STREAM, frames.ANEW):
                continue
            if not payload or payload[0] >= len(names):
                msg = "What comes from the job's node is none of the streams that were asked for."
                raise RemoteError(msg)
            name, data = names[payload[0]], payload[1:]
            if kind == frames.ANEW:
                self.begins_anew(name)
                continue
            self.offsets[name] += len(data)
            yield name, data

    def by_fetching(self, failure: ProminenceError) -> Iterator[Piece]:
        """All that the scheduler itself can fetch, now and then."""
        self.note(f"{failure} What the job writes is fetched every {FETCH_SECONDS:g} s instead.")
        while True:
            record = self.latest()
            if record.status != "running" or record.handle is None:
                return
            backend = self.workspace.backend(record.site)
            for name in self.offsets:
                if name == "wrapper.log":
                    continue
                try:
                    data = b"".join(backend.output(record.handle, self.folder, name))
                except BackendUnavailable as error:
                    self.tell_once(str(error))
                    continue
                new = data[self.offsets[name] :]
                self.offsets[name] += len(new)
                if new:
                    yield name, new
            time.sleep(FETCH_SECONDS)

    def wait_for_files(self, record: JobRecord) -> None:
        """Until they have been brought home: the queue shows the job as running for so long."""
        if record.handle is None:
            return
        backend, pace = self.workspace.backend(record.site), Pace(least=0.2)
        while True:
            try:
                state = backend.poll([record.handle])[record.handle]
            except BackendUnavailable as error:
                self.tell_once(str(error))
            else:
                again = state.start_time is not None and record.started is not None
                if state.condition is not Condition.RUNNING:
                    return
                if again and (state.start_time or 0) > (record.started or 0) + 1:
                    return  # it runs anew: there will be no files of its first run
            time.sleep(pace.pause)
            pace.asked()

    def rest(self) -> Iterator[Piece]:
        """What is in the files of a job that has ended."""
        end = time.monotonic() + SETTLE_SECONDS
        yield from self.new_pieces()
        while time.monotonic() < end and self.is_recent():
            time.sleep(LEAST_SECONDS)
            yield from self.new_pieces()

    def is_recent(self) -> bool:
        """Whether the job has ended so lately that a file may still be behind."""
        record = self.workspace.store.get(self.job_id)
        return record.ended is None or time.time() - record.ended < 60


def read_from(path: Path, offset: int) -> bytes:
    """The next block; nothing where there is none. Opened anew each time: NFS then looks again."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return b""
    except OSError as error:
        msg = f"Cannot read {path}: {error.strerror}."
        raise ProminenceError(msg) from error
    try:
        return os.pread(descriptor, BLOCK_BYTES, offset)
    finally:
        os.close(descriptor)
