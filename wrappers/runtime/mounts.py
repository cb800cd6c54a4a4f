"""Mounts of this job's own on the node: seen without touching them, and taken away."""

import re
import subprocess

UNMOUNT = ((b"fusermount3", b"-u", b"-z"), (b"fusermount", b"-u", b"-z"))
SECONDS = 10.0


def is_mounted(path: bytes) -> bool:
    """Whether something is mounted at exactly this path; proc_pid_mountinfo(5).

    The mount itself is not asked: one whose server hangs would keep whoever looks at it.
    """
    with open("/proc/self/mountinfo", "rb") as stream:
        return any(_point(line) == path for line in stream)


def unmount(path: bytes) -> None:
    """Take a FUSE mount of this user away, whoever still uses it; nothing where there is none."""
    for words in UNMOUNT:
        if not is_mounted(path):
            return
        try:
            subprocess.run(
                [*words, b"--", path],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            continue


def _point(line: bytes) -> bytes:
    """The mount point, the fifth field, whose blanks are written as octal numbers."""
    fields = line.split(b" ", 5)
    if len(fields) < 6:
        return b""
    return re.sub(rb"\\([0-7]{3})", lambda match: bytes((int(match.group(1), 8),)), fields[4])
