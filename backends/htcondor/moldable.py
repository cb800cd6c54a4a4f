"""The size of a job that may have several, as ClassAd expressions: settled where job meets machine.

``request_cpus`` is evaluated against each machine, first by the negotiator, then by the startd that
cuts the slot; in a partitionable slot ``TARGET.Cpus`` is what is free there now. The memory follows it.

A pool that fills its nodes one after the other (NEGOTIATOR_PRE_JOB_RANK's default) meets the job with
the fullest machine that will do, and no ``rank`` of ours comes before that. So the collector is
asked once how many CPUs the job could have now, and the job takes no fewer at first. Once the negotiator
has found no match for it (LastRejMatchTime), what the collector knew is no longer so, and any size will do:
one cycle later, or after :data:`_PATIENT_SECONDS`, as only one of many like jobs is told.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from prominence_hpc.backends.base import Submission

__all__ = ["FREE_ATTRIBUTES", "free_constraint", "most_free", "request_cpus", "request_memory"]

FREE_ATTRIBUTES = ("Cpus", "Memory")
_PATIENT_SECONDS = 120


def request_cpus(submission: Submission, wanted: int | None = None) -> str:
    """A number or an expression; ``wanted``: what :func:`most_free` found, at least the least."""
    moldable = submission.moldable
    if moldable is None:
        return str(submission.cpus)
    least = str(submission.cpus)
    if wanted is not None and wanted > submission.cpus:
        at_first = f"LastRejMatchTime is undefined && time() - QDate < {_PATIENT_SECONDS}"
        least = f"({at_first} ? {wanted} : {submission.cpus})"
    if moldable.between:
        fitting = f"max({{{least}, min({{{moldable.most_cpus}, {_room(submission)}}})}})"
    else:
        fitting = f"({_room(submission)} >= {moldable.most_cpus} ? {moldable.most_cpus} : {least})"
    # Without a machine to look at (condor_q, the schedd): the least.
    return f"TARGET.Cpus is undefined ? {submission.cpus} : {fitting}"


def request_memory(submission: Submission) -> str:
    """MiB: a number, or so many for each CPU."""
    moldable = submission.moldable
    if moldable is None or submission.memory_mib_per_cpu is None:
        return str(submission.memory_mib)
    return f"{submission.memory_mib_per_cpu} * RequestCpus"


def free_constraint(submission: Submission) -> str:
    """Which slots could start the least of the job now."""
    wanted = {
        "Cpus": submission.cpus,
        "Memory": submission.memory_mib,
        "Disk": submission.disk_mib * 1024,
        "GPUs": submission.gpus,
    }
    enough = [f"{name} >= {number}" for name, number in wanted.items() if number]
    return " && ".join(['(PartitionableSlot is true || State == "Unclaimed")', *enough])


def most_free(submission: Submission, slots: Iterable[Mapping[str, Any]]) -> int | None:
    """The most CPUs that one of ``slots`` (:data:`FREE_ATTRIBUTES`) has for the job; None: none does."""
    moldable = submission.moldable
    if moldable is None:
        return None
    per_cpu = submission.memory_mib_per_cpu
    rooms = [
        int(slot["Cpus"] if per_cpu is None else min(slot["Cpus"], slot["Memory"] // per_cpu))
        for slot in slots
    ]
    if not moldable.between:
        rooms = [
            moldable.most_cpus if room >= moldable.most_cpus else submission.cpus for room in rooms
        ]
    return min(max(rooms), moldable.most_cpus) if rooms else None


def _room(submission: Submission) -> str:
    """How many CPUs the machine has for the job."""
    moldable = submission.moldable
    if moldable is None or submission.memory_mib_per_cpu is None:
        return "TARGET.Cpus"
    return f"min({{TARGET.Cpus, int(TARGET.Memory / {submission.memory_mib_per_cpu})}})"
