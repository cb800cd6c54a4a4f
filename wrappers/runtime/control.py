"""When the job must end: the walltime of its tasks, the scheduler's limit, the scheduler's signal."""

import os
import time

from .errors import Stopped

CLOSE_SECONDS = 15  # a SIGTERM this near to the limit is the limit speaking


class Control:
    """Asked by everything that takes time. Times are of ``time.time``.

    ``hard_end`` is when the scheduler kills; after its SIGTERM, ``grace`` seconds later at most
    (KillWait of slurm.conf(5), 30 s by default).
    """

    def __init__(
        self, start: float, limit_seconds: float, reserve_seconds: float, grace_seconds: float
    ) -> None:
        self.hard_end = min(start + limit_seconds, _scheduler_end(start, limit_seconds))
        self.reserve = reserve_seconds
        self.grace = grace_seconds
        self.task_end = self.hard_end - reserve_seconds
        self.signal_number = 0
        self.signal_time = 0.0
        self.staging_out = False

    def start_tasks(self, walltime_seconds: float) -> None:
        self.task_end = min(time.time() + walltime_seconds, self.hard_end - self.reserve)

    def signalled(self, number: int) -> None:
        """Called by the signal handler: assignments only."""
        if not self.signal_number:
            self.signal_time = time.time()
            self.signal_number = number

    @property
    def near_limit(self) -> bool:
        """Whether the signal is the scheduler's way to say that the time is over."""
        return bool(self.signal_number) and self.hard_end - self.signal_time < CLOSE_SECONDS

    def end(self) -> float:
        """When whatever is done now must be over."""
        if self.staging_out:
            if self.signal_number:
                return min(self.hard_end, self.signal_time + self.grace)
            return self.hard_end - 1
        return self.hard_end - self.reserve

    def left(self) -> float:
        return self.end() - time.time()

    def check(self) -> None:
        """Raises Stopped where there is no time to go on."""
        if (self.signal_number and not self.staging_out) or self.left() <= 0:
            raise Stopped

    def sleep(self, seconds: float) -> None:
        """Wait, in short steps; raises Stopped as soon as that is called for."""
        end = time.time() + seconds
        while True:
            self.check()
            rest = end - time.time()
            if rest <= 0:
                return
            time.sleep(min(rest, 0.2))


def _scheduler_end(start: float, limit_seconds: float) -> float:
    """Slurm's own word on when the job ends (sbatch(1), SLURM_JOB_END_TIME), where it is one."""
    text = os.environ.get("SLURM_JOB_END_TIME", "")
    end = float(text) if text.isdigit() else 0.0
    return end if end > start else start + limit_seconds
