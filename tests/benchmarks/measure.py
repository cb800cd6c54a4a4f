"""Times and sizes of processes. Imports little: a child's peak counts its parent's size at the fork."""

import os
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO


class CommandFailed(Exception):
    """A command that was to be timed ended with another exit code than 0."""


@dataclass(frozen=True)
class Sample:
    seconds: float
    resident_mib: float  # of the largest process among the command and its children


@dataclass
class Pair:
    """The samples of both sides of a row."""

    ours: list[Sample] = field(default_factory=list)
    bare: list[Sample] = field(default_factory=list)

    def median(self) -> tuple[float, float | None]:
        bare = statistics.median(s.seconds for s in self.bare) if self.bare else None
        return statistics.median(s.seconds for s in self.ours), bare

    def resident_mib(self) -> float:
        return max(sample.resident_mib for sample in self.ours)


def timed(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    stdout: Path | None = None,
) -> Sample:
    """Runs the command to its end. Raises CommandFailed with the end of what it said on stderr."""
    with open_output(stdout) as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            argv,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
        )
        assert process.stderr is not None
        said = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    if process.returncode != 0:
        text = said[-2000:].decode(errors="replace")
        message = f"`{' '.join(argv)[:200]}` ended with exit code {process.returncode}: {text}"
        raise CommandFailed(message)
    return Sample(seconds, resident(usage))


def open_output(path: Path | None) -> IO[bytes]:
    return (path or Path(os.devnull)).open("wb")


def resident(usage: resource.struct_rusage) -> float:
    return usage.ru_maxrss / 1024  # KiB on Linux


def shell(script: str, *words: str) -> list[str]:
    """A pipeline, with its words as $1, $2, … so that nothing needs quoting."""
    return ["bash", "-c", f"set -euo pipefail; {script}", "bash", *words]


def interleaved(
    runs: int,
    ours: Callable[[int], Sample],
    bare: Callable[[int], Sample] | None,
) -> Pair:
    """`runs` samples of each side in turn, so that what else the machine does hits both alike."""
    pair = Pair()
    for number in range(runs):
        pair.ours.append(ours(number))
        if bare:
            pair.bare.append(bare(number))
    return pair
