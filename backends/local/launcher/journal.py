"""What a launcher says of its jobs, for :mod:`prominence_hpc.backends.local.record` to read.

``TAG`` is the record of the submission, written whole by write-and-rename. Where that is of many jobs, ``TAG.copies``
beside it has a line for each change of one of them, the last of which holds: a JSON array of its number, state, start
and end (seconds since the epoch), cause, exit code and restarts. Those without a line wait, unless ``unrun`` in the record
says what keeps them from ever being run. ``TAG.cancel`` has numbers of jobs that are to end, a line each.
"""

from __future__ import annotations

import json
import os
import time

from .processes import boot, start_ticks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Journal:
    """The record of a submission of one job."""

    def __init__(self, ticket: dict[str, Any]) -> None:
        self._path: str = ticket["record"]
        self._record: dict[str, Any] = {
            "state": "queued",
            "pid": os.getpid(),
            "ticks": start_ticks(),
            "boot": boot(),
            "host": os.uname().nodename,
            "start_time": None,
            "end_time": None,
            "cause": "none",
            "exit_code": None,
            "restarts": 0,
            "count": None if ticket["copies"] is None else ticket["copies"]["count"],
            "unrun": None,
            "folder": ticket["folder"],
        }

    def claim(self) -> bool:
        """Put the record in its place, in one step that one launcher alone can make."""
        os.makedirs(os.path.dirname(self._path), exist_ok=True)
        written = self._written()
        try:
            os.link(written, self._path)
        except FileExistsError:
            return False
        finally:
            os.unlink(written)
        return True

    def began(self, number: int, restarts: int) -> None:  # noqa: ARG002
        """A job runs."""
        self._update(state="running", start_time=time.time(), restarts=restarts)

    def waits(self, number: int, restarts: int) -> None:  # noqa: ARG002
        """A job has been put back, to be started once more."""
        self._update(state="queued", start_time=None, restarts=restarts)

    def ended(
        self,
        number: int,  # noqa: ARG002
        restarts: int,  # noqa: ARG002
        cause: str,
        exit_code: int | None,
    ) -> None:
        """A job is over."""
        self._update(state="ended", cause=cause, exit_code=exit_code, end_time=time.time())

    def gave_up(self, cause: str) -> None:
        """What waits will not be run."""
        self._update(state="ended", cause=cause, end_time=time.time())

    def close(self) -> None:
        """All is over."""

    def to_cancel(self) -> list[int]:
        """Jobs that are to end, asked for since the last call."""
        return []

    def _update(self, **changes: object) -> None:
        self._record.update(changes)
        os.replace(self._written(), self._path)

    def _written(self) -> str:
        """The record under a name of our own, complete; it gets its name in one step."""
        path = f"{self._path}.{os.getpid()}"
        with open(path, "w", encoding="utf-8") as file:
            json.dump(self._record, file)
        return path


class ManyJournal(Journal):
    """The record of a submission of many; its exit code is 0 where every job has ended with 0, else 1."""

    def __init__(self, ticket: dict[str, Any]) -> None:
        super().__init__(ticket)
        self._begun: dict[int, float] = {}  # since when those run that do
        self._failed = False
        self._cancel_offset = 0

    def began(self, number: int, restarts: int) -> None:
        """See :meth:`Journal.began`."""
        now = time.time()
        self._begun[number] = now
        self._append(number, "running", now, None, "none", None, restarts)
        if self._record["state"] == "queued":
            self._update(state="running", start_time=now)

    def waits(self, number: int, restarts: int) -> None:
        """See :meth:`Journal.waits`."""
        del self._begun[number]
        self._append(number, "queued", None, None, "none", None, restarts)

    def ended(self, number: int, restarts: int, cause: str, exit_code: int | None) -> None:
        """See :meth:`Journal.ended`; a job that was cancelled while it waited has never begun."""
        start = self._begun.pop(number, None)
        self._failed |= (cause, exit_code) != ("exited", 0)
        self._append(number, "ended", start, time.time(), cause, exit_code, restarts)

    def gave_up(self, cause: str) -> None:
        """See :meth:`Journal.gave_up`."""
        self._update(unrun=cause)

    def close(self) -> None:
        """See :meth:`Journal.close`."""
        unrun = self._record["unrun"]
        exit_code = None if unrun else int(self._failed)
        self._update(
            state="ended", cause=unrun or "exited", exit_code=exit_code, end_time=time.time()
        )

    def to_cancel(self) -> list[int]:
        """See :meth:`Journal.to_cancel`."""
        try:
            with open(f"{self._path}.cancel", "rb") as file:
                file.seek(self._cancel_offset)
                whole, newline, _ = file.read().rpartition(b"\n")
        except FileNotFoundError:
            return []
        self._cancel_offset += len(whole) + len(newline)
        return [int(line) for line in whole.split()]

    def _append(self, *fields: object) -> None:
        """One write for each line: a reader sees it whole or not at all, but for a full disk."""
        line = json.dumps(fields).encode("ascii") + b"\n"
        file = os.open(
            f"{self._path}.copies", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
        )
        try:
            os.write(file, line)
        finally:
            os.close(file)


def journal_of(ticket: dict[str, Any]) -> Journal:
    """The journal of one job or of many."""
    return Journal(ticket) if ticket["copies"] is None else ManyJournal(ticket)
