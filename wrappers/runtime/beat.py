"""A sign of life for others: files whose time is set anew while this process lives."""

import os
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

BEAT_SECONDS = 5.0


class Beat:
    """Touches open files every few seconds, by a thread that starts with the first of them.

    By their descriptors: a file that somebody has put away meanwhile, perhaps for one of the same
    name, is no business of ours any more.
    """

    def __init__(self) -> None:
        self._files: "set[int]" = set()
        self._guard = threading.Lock()
        self._ended = threading.Event()
        self._thread: "Optional[threading.Thread]" = None

    def add(self, descriptor: int) -> None:
        with self._guard:
            self._files.add(descriptor)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.start()

    def remove(self, descriptor: int) -> None:
        """Closes it too."""
        with self._guard:
            self._files.discard(descriptor)
            os.close(descriptor)

    def end(self) -> None:
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            with self._guard:
                for descriptor in self._files:
                    try:
                        os.utime(descriptor)
                    except OSError:
                        pass  # removed on the server: whoever did that does not wait for us
