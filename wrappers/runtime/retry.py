"""How long to wait before trying again."""

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, TypeVar

    from .control import Control

    T = TypeVar("T")

FIRST_SECONDS = 0.5
LONGEST_SECONDS = 30.0


class Transient(Exception):
    """A failure that may pass: try again. ``after``: seconds that the server asked for, or None."""

    def __init__(self, message: str, after: "float | None" = None) -> None:
        super().__init__(message)
        self.after = after


class Backoff:
    """Counts failures in a row and waits longer after each, with jitter, for a bounded time.

    Gives up after ``patience`` seconds without success, or where ``control`` leaves no time.
    """

    def __init__(self, control: "Control", patience: float) -> None:
        self.control = control
        self.patience = patience
        self.succeeded()

    def succeeded(self) -> None:
        self.since = time.time()
        self.delay = FIRST_SECONDS

    def failed(self, error: Transient) -> None:
        """Wait, or raise the error where waiting is no longer worth it."""
        import random

        if self.control.left() <= self.delay or time.time() - self.since > self.patience:
            raise error
        wait = self.delay * random.uniform(0.5, 1.0)
        self.control.sleep(max(wait, min(error.after or 0.0, LONGEST_SECONDS)))
        self.delay = min(self.delay * 2, LONGEST_SECONDS)


def retrying(action: "Callable[[], T]", control: "Control", patience: float) -> "T":
    """What ``action`` returns, tried again while it raises Transient."""
    backoff = Backoff(control, patience)
    while True:
        try:
            return action()
        except Transient as error:
            backoff.failed(error)
