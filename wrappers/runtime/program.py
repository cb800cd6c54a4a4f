"""Programs of the node that make files: found, run to their end, and what they said when they fail."""

import os
import subprocess
import time

from .errors import Stopped, TransferError
from .text import decode, scrub

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from .control import Control

TAIL = 1 << 16  # bytes of a failed command's output that are looked at
KEPT = 2000  # characters of it that are worth keeping
FAULTS = ("FATAL", "Error:")


def which(name: str) -> "Optional[bytes]":
    """The first program of this name on PATH."""
    for folder in os.get_exec_path():
        path = os.path.join(os.fsencode(folder), name.encode("ascii"))
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None


def call(
    argv: "list[bytes]",
    env: "dict[bytes, bytes]",
    folder: bytes,
    control: "Control",
    said: bytes = b"",
) -> bytes:
    """Run a command in ``folder``, where its output is kept, with ``said`` on its standard input.

    Returns the end of its standard output and error. Raises TransferError with its last words, or Stopped.
    """
    log_path = os.path.join(folder, b"output-%s" % os.urandom(4).hex().encode("ascii"))
    with open(log_path, "w+b") as output:
        child = subprocess.Popen(
            argv,
            env=env,
            cwd=folder,
            stdin=subprocess.PIPE if said else subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        if child.stdin is not None:
            _tell(child, said)
        _wait(child, control)
        size = os.fstat(output.fileno()).st_size
        text = os.pread(output.fileno(), TAIL, max(size - TAIL, 0))
    if child.returncode != 0:
        raise TransferError(_last_words(argv[1], child.returncode, decode(text)))
    return text


def _tell(child: "subprocess.Popen[bytes]", said: bytes) -> None:
    assert child.stdin is not None
    try:
        child.stdin.write(said)
        child.stdin.close()
    except BrokenPipeError:
        pass  # it ended without listening: its last words say why


def _wait(child: "subprocess.Popen[bytes]", control: "Control") -> None:
    delay = 0.005
    while child.poll() is None:
        try:
            control.check()
        except Stopped:
            child.kill()
            raise
        time.sleep(delay)
        delay = min(delay * 2, 0.2)


def _last_words(command: bytes, code: int, text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    fatal = [line for line in lines if any(mark in line for mark in FAULTS)] or lines[-1:]
    said = scrub(" ".join(" ".join(fatal).split()))[-KEPT:]
    return "%s ended with exit code %d: %s" % (decode(command), code, said)
