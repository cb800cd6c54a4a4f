"""The other nodes of a Slurm job: one step of it, which the leader starts and ends."""

import os
import sys
import time

from .errors import NODES_FAILED, JobFailed
from .text import decode, encode, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .process import Watch

KEPT = 2000  # characters of what srun has said
OUTPUT = b"nodes.out"


def argv(srun: bytes, nodes: int, follower: "list[bytes]") -> "list[bytes]":
    """One program on each node but the first, within what the job has.

    ``--relative`` counts the job's nodes from its first, where the batch script runs. Without
    ``--cpus-per-task`` a step has all CPUs that the job has there.
    """
    others = b"%d" % (nodes - 1)
    return [
        srun,
        b"--overlap",
        b"--relative=1",
        b"--nodes=" + others,
        b"--ntasks=" + others,
        b"--ntasks-per-node=1",
        b"--cpu-bind=none",
        b"--mpi=none",
        b"--kill-on-bad-exit=0",
        b"--input=none",
        b"--export=ALL",
        b"--unbuffered",
        b"--quiet",
        b"--job-name=prominence-nodes",
        *follower,
    ]


def environment() -> "dict[bytes, bytes]":
    """Ours, without what srun would take for wishes: they were about the batch script."""
    taken = (b"SLURM_CPUS_PER_TASK", b"SRUN_CPUS_PER_TASK", b"SLURM_DISTRIBUTION", b"SLURM_HINT")
    return {name: value for name, value in os.environb.items() if name not in taken}


class Step:
    """srun, beside the tasks, until :meth:`end`."""

    def __init__(
        self, nodes: int, plan_path: bytes, folder: bytes, shared: bytes, watch: "Watch"
    ) -> None:
        """``folder`` takes what srun says. Raises JobFailed where it cannot be started."""
        srun = _which("srun")
        if srun is None:
            detail = (
                "srun, which starts the other nodes, is not on PATH of %s; the site's prologue can "
                "put it there." % shown(os.uname().nodename)
            )
            raise JobFailed(NODES_FAILED, detail)
        self.watch = watch
        self._output = os.open(
            os.path.join(folder, OUTPUT), os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
        )
        python = encode(sys.executable or "python3")
        runner = encode(os.path.abspath(sys.argv[0]))
        follower = [python, b"-IS", runner, b"--follow", plan_path, shared]
        words = argv(srun, nodes, follower)
        try:
            self._companion = watch.begin(words, environment(), folder, self._output, self._output)
        except OSError as error:
            detail = "srun cannot be started: %s." % error.strerror
            raise JobFailed(NODES_FAILED, detail) from error

    def check(self) -> None:
        """Raises JobFailed where the step has ended before all nodes have joined."""
        if self._companion.ended is not None:
            said = self.said() or "exit code %d" % self._companion.ended.exit_code
            raise JobFailed(NODES_FAILED, "srun has ended: %s" % said)

    def said(self) -> str:
        size = os.fstat(self._output).st_size
        text = decode(os.pread(self._output, KEPT, max(size - KEPT, 0)))
        return " ".join(text.split())

    def end(self, seconds: float) -> None:
        """Wait so long for the step to end by itself; then end it."""
        end = time.monotonic() + seconds
        while self._companion.ended is None and time.monotonic() < end:
            self.watch.pause(end - time.monotonic())
        self.watch.end([self._companion])
        os.close(self._output)


def _which(name: str) -> "bytes | None":
    for folder in os.get_exec_path():
        path = os.path.join(folder, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return os.fsencode(path)
    return None
