"""A scheduler that is a folder: one file for each submission. What is tested is our handling of it."""

import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from prominence_hpc.adapter.store.records import JobRecord
from prominence_hpc.adapter.store.state_folder import make_job_folder, write_private
from prominence_hpc.adapter.store.store import Store
from prominence_hpc.adapter.submission import write_submission
from prominence_hpc.backends.base import (
    Condition,
    JobShell,
    SchedulerState,
    Stream,
    Submission,
)
from prominence_hpc.errors import BackendError, BackendUnavailable
from tests.unit.submission.single_jobs import SingleJobs

Mood = Literal["answers", "refuses", "silent", "takes it, silent", "takes it later, silent"]


@dataclass
class FakeBackend(SingleJobs):
    """A backend over ``folder``, which any number of processes may use at once."""

    folder: Path
    mood: Mood = "answers"
    delay_seconds: float = 0.0
    name: str = "fake"
    ways: tuple[str, ...] = ()
    finds_node: bool = False
    writes_into_folder: bool = True

    def submit(self, submission: Submission) -> str:
        time.sleep(self.delay_seconds)
        if self.mood == "refuses":
            msg = "Invalid partition."
            raise BackendError(msg)
        if self.mood == "takes it later, silent":
            (self.folder / "in-flight").write_text(json.dumps(submission.tag))
        if self.mood in ("answers", "takes it, silent"):
            handle = self._take(submission.tag)
        if self.mood != "answers":
            msg = "The scheduler does not answer."
            raise BackendUnavailable(msg)
        return handle

    def arrive(self) -> None:
        """What was on its way when submit gave up reaches the scheduler."""
        path = self.folder / "in-flight"
        self._take(json.loads(path.read_text()))
        path.unlink()

    def _take(self, tag: str) -> str:
        """In one step, as a scheduler's transaction: a file that is complete gets its name."""
        written = self.folder / f"new.{os.getpid()}"
        written.write_text(tag)
        number = len(self.submissions()) + 1
        while True:
            try:
                (self.folder / f"{number}.job").hardlink_to(written)
            except FileExistsError:
                number += 1
            else:
                written.unlink()
                return str(number)

    def submissions(self) -> dict[str, str]:
        """Handle to tag of all that was ever taken."""
        return {path.stem: path.read_text() for path in self.folder.glob("*.job")}

    def cancelled(self) -> set[str]:
        return {path.stem for path in self.folder.glob("*.cancelled")}

    def find(self, tags: Sequence[str]) -> dict[str, str]:
        self._answer()
        return {tag: handle for handle, tag in self.submissions().items() if tag in tags}

    def poll(self, handles: Sequence[str]) -> dict[str, SchedulerState]:
        self._answer()
        return {handle: SchedulerState(condition=Condition.QUEUED) for handle in handles}

    def history(self, handles: Sequence[str]) -> dict[str, SchedulerState]:
        self._answer()
        return dict.fromkeys(handles[:0], SchedulerState(condition=Condition.ENDED))

    def cancel(self, handles: Sequence[str]) -> None:
        self._answer()
        for handle in handles:
            (self.folder / f"{handle}.cancelled").touch()

    def output(self, handle: str, folder: Path, stream: Stream) -> Iterator[bytes]:
        yield f"{handle} {folder} {stream}".encode()

    def open_shell(
        self,
        way: str,
        handle: str,
        node: str,
        folder: Path,
        number: int = 0,  # noqa: ARG002
    ) -> JobShell:
        raise AssertionError((way, handle, node, folder))

    def _answer(self) -> None:
        if self.mood != "answers":
            msg = "The scheduler does not answer."
            raise BackendUnavailable(msg)


def intend(store: Store, *, ready: bool = True) -> tuple[JobRecord, Submission]:
    """Steps 1 to 3, as a command that creates a job takes them."""
    record = store.create_intent(site="here", backend="slurm", name="a job", labels={"k": "v"})
    folder = make_job_folder(store.state, record.id)
    write_private(folder / "plan.json", "{}")
    submission = Submission(
        tag=record.tag,
        job_id=record.id,
        name=record.name,
        labels=record.labels,
        folder=folder,
        runner=store.state / "runner.pyz",
        cpus=1,
        memory_mib=1024,
        disk_mib=1024,
    )
    if ready:
        write_submission(submission)
    return record, submission
