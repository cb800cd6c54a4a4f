"""``wrapper.log`` beside the plan: what the wrapper did and when, for whoever looks after a job."""

import os
import time

from .text import scrub, shown


class Log:
    """Appends one line a message; never fails a job because its log cannot be written.

    Whatever address a message repeats, its secrets stay out.
    """

    def __init__(self, path: bytes) -> None:
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
            self._descriptor = os.open(path, flags, 0o600)
        except OSError:
            self._descriptor = -1

    def __call__(self, message: str) -> None:
        now = time.time()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + ".%03dZ" % (now % 1 * 1000)
        line = "%s %s\n" % (stamp, shown(scrub(message)))
        if self._descriptor >= 0:
            try:
                os.write(self._descriptor, line.encode("utf-8"))
            except OSError:
                self._descriptor = -1
