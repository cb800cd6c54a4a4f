"""Deleting jobs: whole clusters, single ones, and those that cannot be removed.

Of a job that is not made yet there is nothing to remove. Its cluster's record is given an attribute, which the
job's ``periodic_remove`` (:mod:`.removal`) looks for: the schedd removes it within its PERIODIC_EXPR_INTERVAL,
a minute by default, of having made it. In a graph it is ``job.sh`` that looks for it, and a job that
runs is put back into the queue for that. The bindings change records of jobs alone, condor_qedit
also those of clusters.
"""

from collections.abc import Sequence

from prominence_hpc.backends.base import Condition
from prominence_hpc.backends.htcondor import client
from prominence_hpc.backends.htcondor.constraints import handle_parts
from prominence_hpc.backends.htcondor.parse import Record, sparing, to_come
from prominence_hpc.backends.htcondor.removal import DELETED_ATTRIBUTE
from prominence_hpc.backends.run_command import first_line, run_command
from prominence_hpc.errors import BackendError

__all__ = ["delete"]

_AT_ONCE = 1000  # on one command line


def delete(handles: Sequence[str], records: Sequence[Record], *, timeout_seconds: float) -> None:
    """Remove these jobs and clusters, or have them end; ``records`` are what the queue says of them."""
    spared = sparing(handles, records)
    marked: dict[int, list[int]] = {}
    for handle in [*to_come(handles, records), *spared]:
        cluster, proc = handle_parts(handle)
        marked.setdefault(cluster, []).append(proc)
    for cluster, procs in marked.items():
        _mark(cluster, sorted(set(procs)), timeout_seconds)
    acts: dict[client.Action, list[str]] = {
        "VacateFast": [job for job, where in spared.items() if where is Condition.RUNNING],
        "Release": [job for job, where in spared.items() if where is Condition.HELD],
        "Remove": [handle for handle in handles if handle not in spared],
    }
    for action, jobs in acts.items():
        if jobs:
            client.act(action, jobs, timeout_seconds=timeout_seconds)


def _mark(cluster: int, procs: Sequence[int], timeout_seconds: float) -> None:
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
