"""One line per step with its seconds, and steps that run beside each other."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def step(what: str) -> Iterator[None]:
    """Prints `what` and how long it took, when it went well."""
    start = time.monotonic()
    yield
    print(f"{time.monotonic() - start:6.1f} s  {what}", flush=True)


def side_by_side(*actions: Callable[[], object]) -> None:
    """Runs the actions in threads and raises the first error, without waiting for the others.

    The threads are daemons, so that Ctrl-C ends the program in the middle of an image build.
    """
    errors: list[BaseException] = []

    def guarded(action: Callable[[], object]) -> None:
        try:
            action()
        except BaseException as error:  # noqa: BLE001 - raised below, in the main thread
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(a,), daemon=True) for a in actions]
    for thread in threads:
        thread.start()
    while not errors and any(thread.is_alive() for thread in threads):
        for thread in threads:
            thread.join(timeout=0.1)
    if errors:
        raise errors[0]
