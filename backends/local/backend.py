"""The local backend: a launcher for each job, which the next command finds again by its record."""

import json
import os
import re
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from prominence_hpc.backends.abilities import NoGraphs
from prominence_hpc.backends.base import (
    Condition,
    JobShell,
    SchedulerState,
    Stream,
    Submission,
)
from prominence_hpc.backends.command_shell import CommandShell
from prominence_hpc.backends.environment import job_environment
from prominence_hpc.backends.job_folder import read_stream, write_private
from prominence_hpc.backends.local.machine import fitting, refuse_missing_gpus
from prominence_hpc.backends.local.record import (
    Record,
    is_alive,
    read_copies,
    read_record,
    state_of,
    state_of_copy,
)
from prominence_hpc.backends.run_command import Completed, run_command
from prominence_hpc.backends.settings import SiteSettings
from prominence_hpc.errors import BackendError
from prominence_hpc.wrappers.job_script import render_job_script
from prominence_hpc.wrappers.report import RETRY_EXIT_CODE

__all__ = ["LocalBackend"]

_ABSENT = SchedulerState(condition=Condition.ABSENT)
# Between the signal that asks a job to end and the one that it cannot catch; Slurm's KillWait.
_GRACE_SECONDS = 30
_CLAIMED_BY_ANOTHER = 3  # see the launcher's package
_HANDLE = re.compile(r"([0-9a-f]{32})(?:\.([0-9]+))?")


class LocalBackend(NoGraphs):
    """Background processes on this machine, ``settings.slots`` at once.

    The one of the highest priority begins first, and among equals the one that came first.

    A submission's handle is its tag, and a copy's ``TAG.NUMBER``. Its record, kept by the launcher, is
    ``local/jobs/…/TAG`` in the state folder; what was asked for is ``local.json`` in the job's folder.
    Resources are not reserved.
    """

    name = "local"
    ways: tuple[str, ...] = ("this machine",)
    finds_node = False
    writes_into_folder = True

    def __init__(self, settings: SiteSettings, state_folder: Path) -> None:
        self._settings = settings
        self._folder = state_folder / "local"

    def submit(self, submission: Submission) -> str:
        """See :meth:`.Backend.submit`."""
        if submission.nodes > 1:
            msg = f"This machine is one node: nodes must be 1, not {submission.nodes}."
            raise BackendError(msg)
        refuse_missing_gpus(submission)
        submission = fitting(submission)
        ticket = submission.folder / "local.json"
        write_private(submission.folder / "job.sh", self.job_script(submission), mode=0o700)
        write_private(ticket, json.dumps(self._ticket(submission), indent=1) + "\n")
        # -I and -S: 8 ms instead of 20; the launcher imports nothing but the standard library.
        launcher = str(Path(__file__).with_name("launcher") / "__main__.py")
        argv = [sys.executable, "-I", "-S", launcher, str(ticket)]
        ended = run_command(argv, timeout_seconds=self._settings.command_timeout_seconds)
        # Claimed already, by an attempt whose answer was lost: it is the same job.
        if ended.returncode not in (0, _CLAIMED_BY_ANOTHER):
            raise _not_launched(ended)
        return submission.tag

    def job_script(self, submission: Submission) -> str:
        """The text of job.sh, whose argument is the number of the copy where there are some."""
        return render_job_script(
            [],
            self._settings.prologue,
            str(submission.runner),
            str(submission.folder / "plan.json"),
            copy=None if submission.copies is None else "$1",
            folder=str(submission.folder),
        )

    def texts(self, submission: Submission) -> dict[str, str]:
        """See :meth:`.Backend.texts`."""
        return {"job.sh": self.job_script(submission)}

    def most_copies(self, submission: Submission) -> int | None:  # noqa: ARG002
        """See :meth:`.Backend.most_copies`: one launcher runs any number, one after the other."""
        return None

    def copy_handle(self, handle: str, number: int) -> str:
        """See :meth:`.Backend.copy_handle`."""
        return f"{handle}.{number}"

    def poll(self, handles: Sequence[str]) -> dict[str, SchedulerState]:
        """See :meth:`.Backend.poll`; records stay after the end."""
        known: dict[str, SchedulerState] = {}
        for tag, numbers in _by_tag(handles).items():
            record = read_record(self._record_path(tag))
            if record is not None:
                known |= self._states(tag, numbers, record)
        return {handle: known.get(handle, _ABSENT) for handle in handles}

    def _states(
        self, tag: str, numbers: Iterable[int | None], record: Record
    ) -> dict[str, SchedulerState]:
        alive = is_alive(record)
        copies = {} if record.count is None else read_copies(self._record_path(tag))
        states = {}
        for number in numbers:
            if number is None:
                states[tag] = state_of(record, alive=alive)
            elif number < (record.count or 0):
                handle = self.copy_handle(tag, number)
                states[handle] = state_of_copy(record, copies, number, alive=alive)
        return states

    def history(self, handles: Sequence[str]) -> dict[str, SchedulerState]:  # noqa: ARG002
        """See :meth:`.Backend.history`: there is no more than :meth:`poll` tells."""
        return {}

    def find(self, tags: Sequence[str]) -> dict[str, str]:
        """See :meth:`.Backend.find`."""
        return {tag: tag for tag in tags if self._record_path(tag).exists()}

    def cancel(self, handles: Sequence[str]) -> None:
        """See :meth:`.Backend.cancel`: SIGTERM, and SIGKILL half a minute later."""
        for tag, numbers in _by_tag(handles).items():
            path = self._record_path(tag)
            record = read_record(path)
            if record is None or record.state == "ended":
                continue
            if None in numbers:
                _tell(record, signal.SIGTERM)
            else:
                _ask_to_cancel(path, numbers)
                _tell(record, signal.SIGUSR1)

    def output(self, handle: str, folder: Path, stream: Stream) -> Iterator[bytes]:  # noqa: ARG002
        """See :meth:`.Backend.output`."""
        return read_stream(folder, stream)

    def open_shell(
        self,
        way: str,
        handle: str,  # noqa: ARG002
        node: str,  # noqa: ARG002
        folder: Path,
        number: int = 0,  # noqa: ARG002
    ) -> JobShell:
        """See :meth:`.Backend.open_shell`; the job is here."""
        return CommandShell(way, str(folder), (), job_environment())

    def _ticket(self, submission: Submission) -> dict[str, object]:
        # Which programs a job finds is this machine's affair, not a login node's: PATH is kept.
        environment = job_environment() | {
            "PATH": os.environ.get("PATH", os.defpath),
            "PROMINENCE_CPUS": str(submission.cpus),  # no scheduler tells the wrapper
        }
        return {
            "tag": submission.tag,
            "job_id": submission.job_id,
            "name": submission.name,
            "labels": dict(submission.labels),
            "cpus": submission.cpus,
            "memory_mib": submission.memory_mib,
            "disk_mib": submission.disk_mib,
            "priority": submission.priority,
            "folder": str(submission.folder),
            "copies": None if submission.copies is None else vars(submission.copies),
            "after": [str(self._record_path(tag)) for tag in submission.after],
            "record": str(self._record_path(submission.tag)),
            "slots_folder": str(self._folder / f"slots-{os.uname().nodename}"),
            "slots": self._settings.slots or len(os.sched_getaffinity(0)),
            "limit_seconds": submission.limit_seconds,
            "queue_limit_seconds": submission.queue_limit_seconds,
            "maximum_retries": submission.maximum_retries,
            "retry_exit_code": RETRY_EXIT_CODE,
            "grace_seconds": _GRACE_SECONDS,
            "environment": environment,
        }

    def _record_path(self, tag: str) -> Path:
        return self._folder / "jobs" / tag[:2] / tag


def _by_tag(handles: Iterable[str]) -> dict[str, list[int | None]]:
    """The copies that are meant of each submission, None for the whole; what is no handle is left out."""
    found: dict[str, list[int | None]] = {}
    for handle in handles:
        match = _HANDLE.fullmatch(handle)
        if match is not None:
            found.setdefault(match[1], []).append(None if match[2] is None else int(match[2]))
    return found


def _ask_to_cancel(record_path: Path, numbers: Iterable[int | None]) -> None:
    """Leave word of these copies where their launcher looks when it is told to."""
    with record_path.with_name(f"{record_path.name}.cancel").open("a", encoding="ascii") as file:
        file.write("".join(f"{number}\n" for number in numbers))


def _tell(record: Record, number: signal.Signals) -> None:
    """Send a signal to the launcher; by a file descriptor, which no other process can inherit."""
    if record.host != os.uname().nodename:
        msg = f"The job runs on {record.host}: delete it there."
        raise BackendError(msg)
    try:
        process = os.pidfd_open(record.pid)
    except ProcessLookupError:
        return
    try:
        if is_alive(record):
            signal.pidfd_send_signal(process, number)
    except ProcessLookupError:
        return
    finally:
        os.close(process)


def _not_launched(ended: Completed) -> BackendError:
    lines = ended.stderr.strip().splitlines() or ["it said nothing"]
    msg = f"The job could not be started on this machine: {lines[-1]}."
    return BackendError(msg, argv=ended.argv, returncode=ended.returncode, stderr=ended.stderr)
