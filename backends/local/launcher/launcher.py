"""One submission from its claim to the end of its last job: waits, starts, watches, ends."""

from __future__ import annotations

import heapq
import os
import signal
import time

from .attempt import FOREVER_SECONDS, Attempt
from .line import Place, free_slot
from .parents import verdict_on

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .journal import Journal

_ASKED_TO_END = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
ASKED_TO_END_SOME = signal.SIGUSR1  # those of Journal.to_cancel
WATCHED = (signal.SIGCHLD, ASKED_TO_END_SOME, *_ASKED_TO_END)
# How often the first in line looks whether a slot has become free …
_LOOK_SECONDS = 0.1
# … and others at most.
_SELDOM_SECONDS = 2.0


class Launcher:
    """All signals of WATCHED are blocked, and heard where it pauses. Jobs are numbered from 0."""

    def __init__(self, ticket: dict[str, Any], journal: Journal) -> None:
        self._ticket = ticket
        self._journal = journal
        copies = ticket["copies"]
        self._queue = list(range(1 if copies is None else copies["count"]))  # a heap
        self._queued = set(self._queue)  # those of the queue that are still wanted
        self._running: dict[int, Attempt] = {}  # by process id
        self._restarts: dict[int, int] = {}  # of those that have been put back
        self._place: Place | None = None
        self._since = time.monotonic()  # the queue's limit counts from here

    def run(self) -> None:
        """Run the jobs, again where they ask for that and may, and keep the journal."""
        self._wait_for_parents()
        self._since = time.monotonic()
        while self._queued or self._running:
            self._start_some()
            self._pause(self._patience())
            self._reap()
            self._look_at_the_time()
        self._leave_line()
        self._journal.close()

    def _wait_for_parents(self) -> None:
        """Where one of them has failed, nothing is run."""
        waiting = list(self._ticket["after"])
        begun = time.monotonic()
        while self._queued:
            verdicts = {path: verdict_on(path) for path in waiting}
            if "failed" in verdicts.values():
                self._give_up("dependency")
            waiting = [path for path in waiting if verdicts[path] == "waiting"]
            if not waiting:
                return
            # A tenth of the time at most is lost by not looking.
            waited = time.monotonic() - begun
            self._pause(min(max(_LOOK_SECONDS, waited / 10), _SELDOM_SECONDS))

    def _start_some(self) -> None:
        """As many of those that wait as it is our turn for, and there are slots."""
        folder, slots = self._ticket["slots_folder"], self._ticket["slots"]
        if self._queued and self._place is None:
            self._place = Place(folder, self._ticket["priority"] or 0)
        while self._queued and len(self._running) < slots:
            assert self._place is not None
            slot = None if self._place.ahead() else free_slot(folder, slots)
            if slot is None:
                return
            self._start(slot)
        if not self._queued:
            self._leave_line()

    def _start(self, slot: int) -> None:
        number = heapq.heappop(self._queue)
        while number not in self._queued:
            number = heapq.heappop(self._queue)
        self._queued.remove(number)
        attempt = Attempt(self._ticket, number, self._restarts.get(number, 0), slot)
        self._running[attempt.pid] = attempt
        self._journal.began(number, attempt.restarts)

    def _leave_line(self) -> None:
        if self._place is not None:
            self._place.leave()
            self._place = None

    def _patience(self) -> float:
        """Seconds until there is something to do, if nobody tells us before."""
        ends = [attempt.deadline for attempt in self._running.values()]
        now = time.monotonic()
        if self._queued and len(self._running) < self._ticket["slots"]:
            assert self._place is not None
            # Those further back look less often: hundreds may wait.
            ends.append(now + min(_LOOK_SECONDS * (1 + self._place.ahead()), _SELDOM_SECONDS))
        if self._queued:
            ends.append(self._queue_deadline())
        return max(0.0, min(ends) - now)

    def _queue_deadline(self) -> float:
        return self._since + (self._ticket["queue_limit_seconds"] or FOREVER_SECONDS)

    def _look_at_the_time(self) -> None:
        now = time.monotonic()
        for attempt in self._running.values():
            if now >= attempt.deadline:
                attempt.is_over_time()
        if self._queued and now >= self._queue_deadline():
            self._give_up("queue-time")

    def _pause(self, seconds: float) -> None:
        """So long, or until a job ends or somebody wants something of us."""
        heard = signal.sigtimedwait(WATCHED, seconds)
        if heard is None:
            return
        if heard.si_signo == ASKED_TO_END_SOME:
            self._end_some()
        elif heard.si_signo in _ASKED_TO_END:
            if self._queued:
                self._give_up("cancelled")
            for attempt in self._running.values():
                attempt.ask_to_end("cancelled")

    def _end_some(self) -> None:
        numbers = set(self._journal.to_cancel())
        for number in sorted(numbers & self._queued):
            self._queued.remove(number)
            self._journal.ended(number, self._restarts.get(number, 0), "cancelled", None)
        for attempt in self._running.values():
            if attempt.number in numbers:
                attempt.ask_to_end("cancelled")

    def _give_up(self, cause: str) -> None:
        """What waits is not run at all."""
        self._queued.clear()
        self._leave_line()
        self._journal.gave_up(cause)

    def _reap(self) -> None:
        """Jobs that have ended; those that are to be run once more wait again."""
        while self._running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            attempt = self._running.pop(pid)
            attempt.end_group()
            cause, exit_code = attempt.verdict(status)
            if (cause, exit_code) == ("exited", self._ticket["retry_exit_code"]) and (
                attempt.restarts < self._ticket["maximum_retries"]
            ):
                self._put_back(attempt)
            else:
                self._journal.ended(attempt.number, attempt.restarts, cause, exit_code)
            attempt.close()

    def _put_back(self, attempt: Attempt) -> None:
        if not self._queued:
            self._since = time.monotonic()
        heapq.heappush(self._queue, attempt.number)
        self._queued.add(attempt.number)
        self._restarts[attempt.number] = attempt.restarts + 1
        self._journal.waits(attempt.number, attempt.restarts + 1)
