"""How a program ended, and what it used."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import resource


class Ended:
    """``exit_code`` (128+N for signal N), seconds, KiB, and whether its time was over."""

    def __init__(self, exit_code: int, wall_time: float, cpu_time: float, max_kb: int) -> None:
        self.exit_code = exit_code
        self.wall_time = wall_time
        self.cpu_time = cpu_time
        self.max_kb = max_kb
        self.over_time = False

    @classmethod
    def of(cls, status: int, usage: "resource.struct_rusage", seconds: float) -> "Ended":
        """From what wait4(2) says."""
        killed = os.WIFSIGNALED(status)
        code = 128 + os.WTERMSIG(status) if killed else os.WEXITSTATUS(status)
        return cls(code, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
