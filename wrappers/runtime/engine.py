"""The container runtime of this node: which one, which version, and its longer commands."""

import os
import subprocess
import time

from .errors import RUNTIME_MISSING, JobFailed, Stopped, TransferError
from .text import decode, scrub

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from .control import Control
    from .scratch import Scratch

NAMES = ("apptainer", "singularity")
TAIL = 1 << 16  # bytes of a failed command's output that are looked at
KEPT = 2000  # characters of it that are worth keeping


class Engine:
    """Found on PATH; its version is asked for at once and read when first needed."""

    def __init__(self) -> None:
        found = [path for path in map(_which, NAMES) if path is not None]
        if not found:
            detail = "Neither apptainer nor singularity is on PATH of this node."
            raise JobFailed(RUNTIME_MISSING, detail)
        self.path = found[0]
        self._version: "Optional[str]" = None
        self._asked = subprocess.Popen(
            [self.path, b"--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    @property
    def version(self) -> str:
        """What ``--version`` prints, such as ``apptainer version 1.4.5``."""
        if self._version is None:
            output = self._asked.communicate()[0]
            self._version = decode(output).strip()
        return self._version

    def knows(self, command: bytes, option: bytes) -> bool:
        """Whether the help of one of its commands names an option: releases differ."""
        asked = subprocess.run(
            [self.path, command, b"--help"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        return option in asked.stdout

    def call(
        self, words: "list[bytes]", scratch: "Scratch", control: "Control", more: "dict[str, str]"
    ) -> None:
        """Run a command that makes a file; raises TransferError with its last words, or Stopped."""
        from .container import PREFIXES
        from .text import encode

        env = dict(os.environb)
        for prefix in PREFIXES:
            env[encode(prefix + "_CACHEDIR")] = scratch.cache
            env[encode(prefix + "_TMPDIR")] = scratch.build
            for name, value in more.items():
                env[encode(prefix + name)] = encode(value)
        log_path = os.path.join(scratch.build, b"output-%d" % time.time())
        with open(log_path, "w+b") as output:
            child = subprocess.Popen(
                [self.path, *words],
                env=env,
                cwd=scratch.build,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            _wait(child, control)
            if child.returncode != 0:
                raise TransferError(_last_words(words[0], child.returncode, output.fileno()))


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


def _last_words(command: bytes, code: int, descriptor: int) -> str:
    size = os.fstat(descriptor).st_size
    text = decode(os.pread(descriptor, TAIL, max(size - TAIL, 0)))
    lines = [line for line in text.splitlines() if line.strip()]
    fatal = [line for line in lines if "FATAL" in line] or lines[-1:]
    said = scrub(" ".join(" ".join(fatal).split()))[-KEPT:]
    return "%s ended with exit code %d: %s" % (decode(command), code, said)


def _which(name: str) -> "Optional[bytes]":
    for folder in os.get_exec_path():
        path = os.path.join(os.fsencode(folder), name.encode("ascii"))
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None
