"""Who is submitting a job right now, and whether that process still lives.

A claim keeps two commands from submitting the same job. On the host where it was made it holds for
as long as its process exists, however long that is stopped or waits. From another host a process
cannot be seen; there a claim holds for ``LEASE_SECONDS``.
"""

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

__all__ = ["LEASE_SECONDS", "Claim", "claim_of_this_process", "is_abandoned"]

# Far longer than any submission takes; it delays recovery only for somebody who changes to another
# login node just after a crash.
LEASE_SECONDS = 600.0


@dataclass(frozen=True)
class Claim:
    """``process_start`` is in clock ticks since boot (proc(5), field 22): a pid alone is used again."""

    host: str
    pid: int
    process_start: int
    time: float  # seconds since the epoch


def claim_of_this_process(now: float) -> Claim:
    """A claim for whoever runs this."""
    pid = os.getpid()
    return Claim(_host(), pid, _process_start(pid) or 0, now)


def is_abandoned(claim: Claim | None, now: float) -> bool:
    """Whether nobody holds the claim any more."""
    if claim is None:
        return True
    if claim.host == _host():
        return _process_start(claim.pid) != claim.process_start
    return now - claim.time > LEASE_SECONDS


@lru_cache(maxsize=1)
def _host() -> str:
    """Names the set of processes that this one can see: host, boot, and pid name space.

    Login nodes in containers may all be called "login": their name alone says too little.
    """
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{os.uname().nodename} {boot} {Path('/proc/self/ns/pid').readlink()}"


def _process_start(pid: int) -> int | None:
    """When a process began; None where there is none, or only a zombie of it."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command's name, in parentheses, may hold anything; the fields after it do not.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])
