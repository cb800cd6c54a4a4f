"""The size of a job that may have several: Slurm is asked which would start first.

``sbatch --test-only`` (sbatch(1)) submits nothing and says when such a job would start, as things
are now: 6 ms a question. The largest size that starts as early as the smallest does is taken, so
that nobody waits for CPUs that they can do without.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from prominence_hpc.backends.base import Submission
from prominence_hpc.backends.run_command import Completed, log
from prominence_hpc.errors import BackendError

__all__ = ["TEST_TIME_FORMAT", "Start", "largest_that_starts", "parse_start"]

# Environment of the question: the answer's time is in seconds since the epoch.
TEST_TIME_FORMAT = {"SLURM_TIME_FORMAT": "%s"}

# Starts that lie less apart are the same: the scheduler's own next look may be as far away.
_SAME_SECONDS = 60
# The most and the least, and then as many halvings of what lies between.
_HALVINGS = 4
# A controller that is slow is not asked for more; each question has the site's own limit too.
_PATIENCE_SECONDS = 10.0

_START = re.compile(r"\bto start at (\d+)\b.*?\busing (\d+) processors")
_NEVER = float("inf")


@dataclass(frozen=True)
class Start:
    """When a job would start, in seconds since the epoch (never: infinite), and with how many CPUs in all."""

    time: float
    cpus: int = 0


Ask = Callable[[Submission], Start]


def largest_that_starts(submission: Submission, ask: Ask) -> Submission:
    """``submission`` with its size chosen; unchanged where there is nothing to choose.

    Where Slurm does not say, the least: it starts wherever any other would.
    """
    moldable = submission.moldable
    if submission.shapes:
        return _largest_shape(submission, ask)
    if moldable is None:
        return submission
    try:
        cpus = _choose(submission, moldable.most_cpus, ask, between=moldable.between)
    except BackendError as error:
        log(f"the least number of CPUs is taken: {error}")
        cpus = submission.cpus
    return submission.sized(cpus)


def parse_start(ended: Completed) -> Start:
    """When the job would start; infinite where no node could ever hold it."""
    match = _START.search(ended.stderr) or _START.search(ended.stdout)
    if ended.returncode != 0 or not match:
        return Start(_NEVER)
    return Start(float(match[1]), int(match[2]))


def _largest_shape(submission: Submission, ask: Ask) -> Submission:
    """Of the shapes that start as early as any, the one with the most CPUs; fewest nodes among equals.

    The number of nodes stays open where it may: Slurm settles it as the job starts (sbatch(1), --nodes).
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    found: list[tuple[Submission, Start]] = []
    for shape in submission.shapes:
        candidate = submission.shaped(shape)
        try:
            start = ask(candidate)
        except BackendError as error:
            log(f"Slurm does not say when {shape} would start: {error}")
            break
        found.append((candidate, start))
        all_now = start.cpus >= shape.most_nodes * shape.cpus and _is_now(start)
        if all_now or time.monotonic() > deadline:
            break
    if not found:
        return submission.shaped(submission.shapes[0])
    first = min(start.time for _, start in found)
    early = [item for item in found if item[1].time <= first + _SAME_SECONDS]
    return max(early, key=lambda item: item[1].cpus)[0]


def _is_now(start: Start) -> bool:
    return start.time <= time.time() + _SAME_SECONDS


def _choose(submission: Submission, most: int, ask: Ask, *, between: bool) -> int:
    least, deadline = submission.cpus, time.monotonic() + _PATIENCE_SECONDS
    start = ask(submission.sized(most))
    if _is_now(start):
        return most
    first = ask(submission.sized(least)).time
    if start.time <= first + _SAME_SECONDS:
        return least if first == _NEVER else most
    # "good" starts as early as the least does, "bad" does not.
    good, bad = least, most
    for _ in range(_HALVINGS if between else 0):
        middle = (good + bad) // 2
        if middle == good or time.monotonic() > deadline:
            break
        if ask(submission.sized(middle)).time <= first + _SAME_SECONDS:
            good = middle
        else:
            bad = middle
    return good
