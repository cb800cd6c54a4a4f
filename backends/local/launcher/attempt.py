"""One run of a job: a process group, from its start to its end."""

from __future__ import annotations

import os
import signal
import time

from .processes import become_job, signal_group

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

FOREVER_SECONDS = 10.0 * 365 * 86400
_CANNOT_EXECUTE = 126  # as a shell has it


class Attempt:
    """Runs from the moment it is made. ``slot`` is freed by :meth:`close`."""

    def __init__(self, ticket: dict[str, Any], number: int, restarts: int, slot: int) -> None:
        self.number = number
        self.restarts = restarts
        self._grace_seconds: float = ticket["grace_seconds"]
        self._slot = slot
        self._stopped_for: str | None = None
        self.deadline = time.monotonic() + (ticket["limit_seconds"] or FOREVER_SECONDS)
        self.pid = _start(ticket, number, restarts)

    def ask_to_end(self, why: str) -> None:
        """By SIGTERM; what has not listened is killed at the deadline."""
        self._stopped_for = self._stopped_for or why
        signal_group(self.pid, signal.SIGTERM)
        self.deadline = time.monotonic() + self._grace_seconds

    def is_over_time(self) -> None:
        """The deadline has come: that of the job, or the one that it was given to end."""
        if self._stopped_for is None:
            self.ask_to_end("walltime")
        else:
            signal_group(self.pid, signal.SIGKILL)
            self.deadline = time.monotonic() + FOREVER_SECONDS

    def verdict(self, status: int) -> tuple[str, int | None]:
        """Cause and exit code of a job that has ended with this wait status."""
        if self._stopped_for is not None:
            return self._stopped_for, None
        if os.WIFSIGNALED(status):
            return "signaled", 128 + os.WTERMSIG(status)
        return "exited", os.WEXITSTATUS(status)

    def end_group(self) -> None:
        """What the job has left running in its process group ends with it, as under a scheduler."""
        signal_group(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Another job may have the slot."""
        os.close(self._slot)


def _start(ticket: dict[str, Any], number: int, restarts: int) -> int:
    child = os.fork()
    if child == 0:
        _become(ticket, number, restarts)
    # Both do it: whoever is first, there is a group to signal from here on.
    try:
        os.setpgid(child, child)
    except (ProcessLookupError, PermissionError):  # it has ended, or become job.sh
        return child
    return child


def _become(ticket: dict[str, Any], number: int, restarts: int) -> NoReturn:
    copies = ticket["copies"]
    try:
        if copies is None:
            for descriptor, name in ((1, "stdout"), (2, "stderr")):
                # An earlier attempt's: the wrapper moves what that has written.
                file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                os.dup2(file, descriptor)
        environment = {**ticket["environment"], "PROMINENCE_RESTART_COUNT": str(restarts)}
        arguments = [] if copies is None else [str(copies["first"] + number)]
        become_job(f"{ticket['folder']}/job.sh", arguments, environment)
    except OSError as error:
        os.write(2, f"prominence: job.sh cannot be run: {error.strerror}\n".encode())
    os._exit(_CANNOT_EXECUTE)
