"""Processes: which one this is, and whether one that left its name still runs."""

from __future__ import annotations

import os
import signal

BOOT = "/proc/sys/kernel/random/boot_id"


def boot() -> str:
    """Tells one start of this machine from another."""
    with open(BOOT, encoding="ascii") as file:
        return file.read().strip()


def start_ticks() -> int:
    """When this process began, in clock ticks since boot; see "starttime" in proc_pid_stat(5)."""
    return int(_fields("self")[19])


def is_alive(pid: int, ticks: int, boot_id: str) -> bool:
    """Whether this process still runs, and is not another one that got its id."""
    try:
        fields = _fields(str(pid))
        return boot() == boot_id and int(fields[19]) == ticks and fields[0] != b"Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def signal_group(group: int, number: int) -> None:
    """Send a signal to all processes of a group, if there are any."""
    try:  # noqa: SIM105 - contextlib is not imported
        os.killpg(group, number)
    except ProcessLookupError:
        pass  # it has ended


def become_job(script: str, arguments: list[str], environment: dict[str, str]) -> None:
    """In a child: run job.sh in this process's place. Raises OSError where it cannot be run."""
    os.setpgid(0, 0)
    # Python ignores these two, and what is ignored stays so in what we become.
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.execve(script, [script, *arguments], environment)


def _fields(process: str) -> list[bytes]:
    """Of proc_pid_stat(5), from the third on: the second may hold blanks and parentheses."""
    with open(f"/proc/{process}/stat", "rb") as file:
        stat = file.read()
    return stat[stat.rindex(b")") + 2 :].split()
