"""Starts one local job and watches over it: a program of its own, in the standard library alone.

    python -I -S launcher.py FOLDER/local.json

The file is what :class:`.LocalBackend` writes. The program claims the job's tag and ends; its
child goes on in a session of its own, so that the job outlives the terminal, and keeps the job's
record. Exit codes: 0, the job is taken over; 3, another launcher has the tag; else nothing was
started, and the last line on standard error says why.
"""

# The submission waits for the claim: pathlib, typing and contextlib would cost it 10 ms.
from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

CLAIMED_BY_ANOTHER = 3
# How often the first in line looks whether a slot has become free.
_LOOK_SECONDS = 0.1
_ASKED_TO_END = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_WATCHED = (signal.SIGCHLD, *_ASKED_TO_END)
# … and others at most.
_SELDOM_SECONDS = 2.0
_HIGHEST_PRIORITY = 10**11
_FOREVER = 10.0 * 365 * 86400
_CANNOT_EXECUTE = 126  # as a shell has it


class Cancelled(Exception):
    """A signal asked the launcher to end while its job was waiting for a slot."""


class WaitedTooLong(Exception):
    """The job was not to wait so long for a slot."""


def main() -> int:
    """The program: see above."""
    ticket = json.loads(_read(sys.argv[1]))
    os.umask(0o077)
    reading, writing = os.pipe()
    if os.fork() > 0:
        os.close(writing)
        os._exit({b"1": 0, b"0": CLAIMED_BY_ANOTHER}.get(os.read(reading, 1), 1))
    os.close(reading)
    os.setsid()
    # What asks the job to end before it is waited for is heard then.
    signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    launcher = Launcher(ticket)
    claimed = launcher.claim()
    os.write(writing, b"1" if claimed else b"0")
    if claimed:
        _detach(ticket["folder"])
        launcher.run()
    return 0


def _detach(folder: str) -> None:
    """Nothing of the caller's stays open or in use: it may wait for our end of a pipe."""
    os.chdir(folder)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    os.close(null)


class Launcher:
    """One job, from the claim of its tag to its end."""

    def __init__(self, ticket: dict[str, Any]) -> None:
        self._ticket = ticket
        self._path: str = ticket["record"]
        self._stopped_for: str | None = None
        self._record: dict[str, Any] = {
            "state": "queued",
            "pid": os.getpid(),
            "ticks": _start_ticks(),
            "boot": _read("/proc/sys/kernel/random/boot_id").decode("ascii").strip(),
            "host": os.uname().nodename,
            "start_time": None,
            "end_time": None,
            "cause": "none",
            "exit_code": None,
            "restarts": 0,
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

    def run(self) -> None:
        """Run the job, again where it asks for that and may, and keep the record."""
        for number in _ASKED_TO_END:
            signal.signal(number, _raise_cancelled)
        try:
            while self._run_once():
                restarts = self._record["restarts"] + 1
                self._update(state="queued", start_time=None, restarts=restarts)
        except Cancelled:
            self._update(state="ended", cause="cancelled", end_time=time.time())
        except WaitedTooLong:
            self._update(state="ended", cause="queue-time", end_time=time.time())

    def _run_once(self) -> bool:
        """Wait for a slot and run the job; whether it is to be run once more."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)  # what came meanwhile comes now
        slot = self._take_slot()
        signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
        child = self._start()
        self._update(state="running", start_time=time.time())
        status = self._watch(child)
        self._end(child)
        cause, exit_code = self._verdict(status)
        again = (cause, exit_code) == ("exited", self._ticket["retry_exit_code"])
        if again and self._record["restarts"] < self._ticket["maximum_retries"]:
            os.close(slot)
            return True
        self._update(state="ended", cause=cause, exit_code=exit_code, end_time=time.time())
        os.close(slot)
        return False

    def _take_slot(self) -> int:
        """A locked file, one of as many as there are slots; the kernel frees it when we end."""
        folder = self._ticket["slots_folder"]
        os.makedirs(f"{folder}/waiting", exist_ok=True)
        limit = self._ticket["queue_limit_seconds"]
        deadline = time.monotonic() + (limit or _FOREVER)
        place, lock = self._line_up(f"{folder}/waiting")
        try:
            while True:
                ahead = _ahead_of(place)
                slot = None if ahead else self._free_slot(folder)
                if slot is not None:
                    return slot
                left = deadline - time.monotonic()
                if left <= 0:
                    raise WaitedTooLong
                # Those further back look less often: hundreds may wait.
                time.sleep(min(_LOOK_SECONDS * (1 + ahead), _SELDOM_SECONDS, left))
        finally:
            os.unlink(place)
            os.close(lock)

    def _line_up(self, folder: str) -> tuple[str, int]:
        """A file whose name says when it is our turn, and whose lock that we are there to take it."""
        rank = _HIGHEST_PRIORITY - (self._ticket["priority"] or 0)
        name = f"{rank:012d}-{time.time_ns():020d}-{os.getpid()}"
        path = f"{folder}/{name}"
        file = _open_lock(f"{folder}/.{name}")
        _locked_now(file)
        os.rename(f"{folder}/.{name}", path)
        return path, file

    def _free_slot(self, folder: str) -> int | None:
        for number in range(self._ticket["slots"]):
            slot = _open_lock(f"{folder}/{number}")
            if _locked_now(slot):
                return slot
            os.close(slot)
        return None

    def _start(self) -> int:
        child = os.fork()
        if child == 0:
            self._become_job()
        # Both do it: whoever is first, there is a group to signal from here on.
        try:
            os.setpgid(child, child)
        except (ProcessLookupError, PermissionError):  # it has ended, or become job.sh
            return child
        return child

    def _become_job(self) -> NoReturn:
        try:
            os.setpgid(0, 0)
            # Python ignores these two, and what is ignored stays so in what we become.
            for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
                signal.signal(ignored, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            for number, name in ((1, "stdout"), (2, "stderr")):
                # An earlier attempt's: the wrapper moves what that has written.
                file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                os.dup2(file, number)
            script = f"{self._ticket['folder']}/job.sh"
            restarts = {"PROMINENCE_RESTART_COUNT": str(self._record["restarts"])}
            os.execve(script, [script], {**self._ticket["environment"], **restarts})
        except OSError as error:
            os.write(2, f"prominence: job.sh cannot be run: {error.strerror}\n".encode())
        os._exit(_CANNOT_EXECUTE)

    def _watch(self, child: int) -> int:
        """The job's wait status, once it has ended: by itself, at its limit or at our wish."""
        limit = self._ticket["limit_seconds"]
        deadline = time.monotonic() + (limit or _FOREVER)
        while True:
            heard = signal.sigtimedwait(_WATCHED, max(0.0, deadline - time.monotonic()))
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return status
            if heard is None and self._stopped_for is not None:
                _signal_group(child, signal.SIGKILL)
                deadline = time.monotonic() + _FOREVER
            elif heard is None or heard.si_signo in _ASKED_TO_END:
                self._stopped_for = self._stopped_for or (
                    "walltime" if heard is None else "cancelled"
                )
                _signal_group(child, signal.SIGTERM)
                deadline = time.monotonic() + self._ticket["grace_seconds"]

    def _end(self, child: int) -> None:
        """What the job has left running in its process group ends with it, as under a scheduler."""
        _signal_group(child, signal.SIGKILL)

    def _verdict(self, status: int) -> tuple[str, int | None]:
        if self._stopped_for is not None:
            return self._stopped_for, None
        if os.WIFSIGNALED(status):
            return "signaled", 128 + os.WTERMSIG(status)
        return "exited", os.WEXITSTATUS(status)

    def _update(self, **changes: object) -> None:
        self._record.update(changes)
        os.replace(self._written(), self._path)

    def _written(self) -> str:
        """The record under a name of our own, complete; it gets its name in one step."""
        path = f"{self._path}.{os.getpid()}"
        with open(path, "w", encoding="utf-8") as file:
            json.dump(self._record, file)
        return path


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _open_lock(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _locked_now(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _ahead_of(place: str) -> int:
    """How many are before us in the line. The first is removed where nobody holds it any more."""
    folder, _, ours = place.rpartition("/")
    before = sorted(name for name in os.listdir(folder) if name < ours and name[0] != ".")
    if before and _is_abandoned(f"{folder}/{before[0]}"):
        return len(before) - 1
    return len(before)


def _is_abandoned(path: str) -> bool:
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        if not _locked_now(file):
            return False
        try:  # noqa: SIM105 - see the imports
            os.unlink(path)
        except FileNotFoundError:
            pass  # another in the line was faster
        return True
    finally:
        os.close(file)


def _signal_group(group: int, number: int) -> None:
    try:  # noqa: SIM105 - see the imports
        os.killpg(group, number)
    except ProcessLookupError:
        pass  # it has ended


def _raise_cancelled(_number: int, _frame: object) -> NoReturn:
    raise Cancelled


def _start_ticks() -> int:
    """When this process began, in clock ticks since boot; see "starttime" in proc_pid_stat(5)."""
    stat = _read("/proc/self/stat")
    return int(stat[stat.rindex(b")") + 2 :].split()[19])


if __name__ == "__main__":
    sys.exit(main())
