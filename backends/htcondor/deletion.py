"""Deleting jobs of a cluster that are not made yet: nothing of them can be removed.

Their cluster's record is given an attribute for each, which their ``periodic_remove``
(:mod:`.removal`) looks for: the schedd removes such a job within its PERIODIC_EXPR_INTERVAL, a
minute by default, of having made it. The bindings change records of jobs alone, condor_qedit also those
of clusters.
"""

from collections.abc import Sequence

from prominence_hpc.backends.htcondor.removal import DELETED_ATTRIBUTE
from prominence_hpc.backends.run_command import first_line, run_command
from prominence_hpc.errors import BackendError

__all__ = ["delete_to_come"]

_AT_ONCE = 1000  # on one command line


def delete_to_come(cluster: int, procs: Sequence[int], *, timeout_seconds: float) -> None:
    """Have these jobs of a cluster removed as soon as they are made. Raises BackendError."""
    for start in range(0, len(procs), _AT_ONCE):
        words = [
            word
            for proc in procs[start : start + _AT_ONCE]
            for word in (f"{DELETED_ATTRIBUTE}{proc}", "true")
        ]
        argv = ["condor_qedit", str(cluster), *words]
        ended = run_command(argv, timeout_seconds=timeout_seconds)
        if ended.returncode != 0:
            said = first_line(ended.stderr).rstrip(".")
            msg = f"HTCondor does not let jobs of cluster {cluster} be removed: {said}."
            raise BackendError(msg)
