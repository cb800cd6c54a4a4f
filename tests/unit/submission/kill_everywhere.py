"""Run as a program: kill a process at each line of ours that it runs, recover, tell what is left.

A program of its own, as it forks for each line: the test's process may have threads. Prints a JSON
list with one entry for each line, and one for the run that was not killed.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

from prominence_hpc.adapter.store.store import Store
from prominence_hpc.adapter.submission import SETTLE_SECONDS, recover, submit_job
from tests.unit.submission.fake_scheduler import FakeBackend, intend

Engine = TypeVar("Engine", bound=FakeBackend)

# Where something outside the process is changed; not where rows are decoded.
OURS = ("store.py", "database.py", "submission.py", "state_folder.py", "fake_scheduler.py")


def create(state: Path, backend: FakeBackend) -> None:
    """What ``prominence create`` does, from the intent on."""
    store = Store(state)
    record, submission = intend(store)
    submit_job(store, backend, record, submission)


def recover_once(state: Path, backend: FakeBackend) -> None:
    """What the second command after a crash does: it submits."""
    recover(Store(state), lambda _: backend, now=time.time() + 2 * SETTLE_SECONDS)


def crash_before_submission(state: Path, backend: FakeBackend) -> None:
    """A job that is ready, and a first look that did not find it."""
    store = Store(state)
    record, _ = intend(store)
    store.release([record.id])
    recover(store, lambda _: backend, now=time.time())
    store.close()


def main(scenario: str, folder: Path) -> None:
    entries = []
    for line in range(1, 2000):
        state, scheduler = folder / f"{line}/state", folder / f"{line}/scheduler"
        state.mkdir(parents=True)
        scheduler.mkdir()
        backend = FakeBackend(scheduler)
        action: Callable[[Path, FakeBackend], None] = create
        if scenario == "recover":
            crash_before_submission(state, backend)
            action = recover_once
        where = killed_at(line, action, state, backend)
        entries.append({"killed": where, **aftermath(state, backend)})
        if where is None:
            break
    print(json.dumps(entries))


def killed_at(
    line: int,
    action: Callable[[Path, Engine], None],
    state: Path,
    backend: Engine,
    ours: tuple[str, ...] = OURS,
) -> str | None:
    """Run ``action`` in a child that dies before its Nth line of ours; where that was, or None.

    Lines are counted when first run: the hundredth column of a row is no new place.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        sys.settrace(Killer(line, writing, ours))
        action(state, backend)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        where = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return where
    if status != 0:
        sys.exit(f"the child ended with status {status}")
    return None


class Killer:
    """A trace function that counts lines of ours and kills its own process at the last."""

    def __init__(self, line: int, report: int, ours: tuple[str, ...]) -> None:
        self.ours = ours
        self.left = line
        self.report = report
        self.seen: set[tuple[str, int]] = set()

    def __call__(self, frame: FrameType, event: str, _: object) -> Any:
        if not frame.f_code.co_filename.endswith(self.ours):
            return None
        place = (frame.f_code.co_filename, frame.f_lineno)
        if event == "line" and place not in self.seen:
            self.seen.add(place)
            self.left -= 1
            if self.left == 0:
                os.write(self.report, f"{Path(place[0]).name}:{place[1]}".encode())
                os.kill(os.getpid(), signal.SIGKILL)
        return self


def aftermath(state: Path, backend: FakeBackend) -> dict[str, Any]:
    """The next three commands, far enough apart; then what user and scheduler have."""
    with Store(state) as store:
        now = time.time() + 2 * SETTLE_SECONDS
        for command in range(3):
            recover(store, lambda _: backend, now=now + command * SETTLE_SECONDS)
        jobs = [[job.state, job.handle] for job in store.select()]
        folders = len(list(state.glob("jobs/*/*")))
    return {"jobs": jobs, "folders": folders, "taken": sorted(backend.submissions())}


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
