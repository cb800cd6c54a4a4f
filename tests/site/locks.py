"""Who may do what to the site at the same time.

One process at a time brings it up or down. Any number may use it, and none of them loses it to an
`up` that must make it anew: that one waits until they are done, but not for ever.
"""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.site import paths
from tests.site.errors import SiteError

CHANGING: Final = paths.WORK / f"{paths.NAME}.changing.lock"
USING: Final = paths.WORK / f"{paths.NAME}.using.lock"
WAIT_SECONDS: Final = 900


@contextmanager
def changing() -> Iterator[None]:
    """For bringing the site up or down."""
    with _held(CHANGING, fcntl.LOCK_EX, "another process is bringing the site up or down"):
        yield


@contextmanager
def using() -> Iterator[None]:
    """For tests and others that must not lose the site meanwhile. Take it once the site is up."""
    with _held(USING, fcntl.LOCK_SH, "the site is being made anew"):
        yield


@contextmanager
def nobody_using() -> Iterator[None]:
    """For making the site anew while it runs."""
    with _held(USING, fcntl.LOCK_EX, "other processes are using the site"):
        yield


@contextmanager
def _held(path: Path, kind: int, obstacle: str) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lock:
        deadline = time.monotonic() + WAIT_SECONDS
        told = False
        while not _try(lock.fileno(), kind):
            if time.monotonic() > deadline:
                message = f"{obstacle}; waited {WAIT_SECONDS} s for it"
                raise SiteError(message)
            if not told:
                print(f"waiting: {obstacle}", flush=True)
                told = True
            time.sleep(0.2)
        yield


def _try(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
