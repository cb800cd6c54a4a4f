"""How long to wait before trying again."""

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Optional, TypeVar

    from .control import Control

    T = TypeVar("T")

FIRST_SECONDS = 0.5
LONGEST_SECONDS = 30.0


class Transient(Exception):
    """A failure that may pass: try again. ``after``: seconds that the server asked for, or None.

    ``nobody``: there is no such host, or nothing that listens there.
    """

    def __init__(self, message: str, after: "float | None" = None, nobody: bool = False) -> None:
        super().__init__(message)
        self.after = after
        self.nobody = nobody


def _silent(_words: str) -> None:
    pass


class Backoff:
    """Counts failures in a row and waits longer after each, with jitter, for a bounded time.

    Gives up after ``patience`` seconds without success, after ``nobody_patience`` where there never
    was a sign of a server, or where ``control`` leaves no time. ``note`` is told of every failure
    that is followed by another try.
    """

    def __init__(
        self,
        control: "Control",
        patience: float,
        note: "Callable[[str], None]" = _silent,
        nobody_patience: "Optional[float]" = None,
    ) -> None:
        self.control = control
        self.patience = patience
        self.note = note
        self.nobody_patience = patience if nobody_patience is None else nobody_patience
        self.alive = False
        self._begin()

    def _begin(self) -> None:
        self.since = time.time()
        self.delay = FIRST_SECONDS

    def succeeded(self) -> None:
        self.alive = True
        self._begin()

    def failed(self, error: Transient) -> None:
        """Wait, or raise the error where waiting is no longer worth it."""
        import random

        self.alive = self.alive or not error.nobody
        rest = self.since - time.time() + (self.patience if self.alive else self.nobody_patience)
        if self.control.left() <= self.delay or rest <= 0:
            raise error
        wait = self.delay * random.uniform(0.5, 1.0)
        wait = min(max(wait, min(error.after or 0.0, LONGEST_SECONDS)), rest)
        self.note("%s; next try in %.1f s" % (error, wait))
        self.control.sleep(wait)
        self.delay = min(self.delay * 2, LONGEST_SECONDS)


def retrying(
    action: "Callable[[], T]",
    control: "Control",
    patience: float,
    note: "Callable[[str], None]" = _silent,
    nobody_patience: "Optional[float]" = None,
) -> "T":
    """What ``action`` returns, tried again while it raises Transient; the rest as of Backoff."""
    backoff = Backoff(control, patience, note, nobody_patience)
    while True:
        try:
            return action()
        except Transient as error:
            backoff.failed(error)
