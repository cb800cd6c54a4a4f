"""What a running job has written so far, fetched from its node by condor_tail."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

from prominence_hpc.backends.base import Stream
from prominence_hpc.backends.htcondor.parse import Running
from prominence_hpc.backends.run_command import log, run_command
from prominence_hpc.errors import BackendError

__all__ = ["JOBS_AT_ONCE", "fetch", "keep"]

# Of how many jobs output is kept when they are removed together: whoever removes more than these
# wants to be rid of them.
JOBS_AT_ONCE = 20
# All of them together; a node that does not answer must not hold up the removal for longer.
_KEEP_SECONDS = 20.0
# The end of a longer output is what is kept.
_KEPT_BYTES = 16 << 20
_THREADS = 8


def fetch(
    handle: str, stream: Stream, copy: str | None, *, max_bytes: int, timeout_seconds: float
) -> bytes | None:
    """The last ``max_bytes`` of a stream; None where the job does not run (any more, or yet).

    ``copy`` is the number of one of many, whose streams HTCondor knows as files of its own.
    BackendError where condor_tail is not installed, BackendUnavailable where it does not end.
    """
    wanted = ["-no-stdout", "-stderr"] if stream == "stderr" else []
    names = []
    if copy is not None:
        wanted, names = ["-no-stdout"], [f"{copy}/{stream}"]
    argv = ["condor_tail", *wanted, "-maxbytes", str(max_bytes), handle, *names]
    ended = run_command(argv, timeout_seconds=timeout_seconds)
    if ended.returncode != 0:
        return None
    return ended.stdout.encode("utf-8", "surrogateescape")


def keep(jobs: Sequence[Running], *, timeout_seconds: float) -> None:
    """Write what these running jobs have written so far into their folders.

    At most 20 jobs, 20 seconds for all of them, and the last 16 MiB of a stream. Whatever goes
    wrong is logged and no error: the folder is then as it was.
    """
    if not jobs:
        return
    if len(jobs) > JOBS_AT_ONCE:
        log(f"what {len(jobs)} running jobs have written is not fetched: too many at once")
        return
    from concurrent.futures import ThreadPoolExecutor  # for those who delete running jobs alone

    deadline = time.monotonic() + min(_KEEP_SECONDS, timeout_seconds)
    streams: tuple[Stream, ...] = ("stdout", "stderr")
    with ThreadPoolExecutor(_THREADS) as pool:
        for job in jobs:
            for stream in streams:
                pool.submit(_keep, job, stream, deadline)


def _keep(job: Running, stream: Stream, deadline: float) -> None:
    handle = job.handle
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        log(f"{stream} of job {handle} is not fetched: no time is left")
        return
    try:
        written = fetch(handle, stream, job.copy, max_bytes=_KEPT_BYTES, timeout_seconds=remaining)
        if written is None:
            log(f"{stream} of job {handle} is not fetched: condor_tail has none")
        elif written:
            if job.copy is not None:  # whose folder its node was to bring home
                job.folder.mkdir(mode=0o700, exist_ok=True)
            _write(job.folder / stream, written)
    except (BackendError, OSError) as error:
        log(f"{stream} of job {handle} is not fetched: {error}")


def _write(path: Path, data: bytes) -> None:
    """Under its own name when it is whole, and not over what HTCondor may have brought meanwhile."""
    part = path.with_name(f"{path.name}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    try:
        if not path.exists() or path.stat().st_size < len(data):
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)
