"""How many nodes of how many CPUs: HTCondor wants to be told (machine_count), so the collector is asked.

What could start now is taken, the most CPUs of it; else the most of what the pool's machines have when
they are free; else the least.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from prominence_hpc.backends.base import Submission

__all__ = ["SLOT_ATTRIBUTES", "SLOT_CONSTRAINT", "best_shape"]

SLOT_ATTRIBUTES = (
    *("PartitionableSlot", "State", "Cpus", "Memory", "TotalSlotCpus", "TotalSlotMemory"),
)
# Dynamic slots are parts of partitionable ones.
SLOT_CONSTRAINT = "DynamicSlot isnt true"

Room = tuple[float, float]  # CPUs and MiB of one slot


def best_shape(submission: Submission, slots: Iterable[Mapping[str, Any]]) -> Submission:
    """``submission`` with a number of nodes, and CPUs for each."""
    free: list[Room] = []
    whole: list[Room] = []
    for slot in slots:
        if slot.get("PartitionableSlot") or slot.get("State") == "Unclaimed":
            free.append((slot.get("Cpus", 0), slot.get("Memory", 0)))
        cpus = slot.get("TotalSlotCpus", slot.get("Cpus", 0))
        whole.append((cpus, slot.get("TotalSlotMemory", slot.get("Memory", 0))))
    for rooms in (free, whole):
        if found := _most(submission, rooms):
            return found
    least = min(submission.shapes, key=lambda shape: shape.nodes * shape.cpus)
    return submission.shaped(replace(least, most_nodes=least.nodes))


def _most(submission: Submission, rooms: list[Room]) -> Submission | None:
    """The most CPUs in these slots, the fewest nodes among equals; None where nothing fits."""
    fitting = []
    for shape in submission.shapes:
        nodes = min(_count(submission.shaped(shape), rooms), shape.most_nodes)
        if nodes >= shape.nodes:
            fitting.append(replace(shape, nodes=nodes, most_nodes=nodes))
    if not fitting:
        return None
    return submission.shaped(
        max(fitting, key=lambda shape: (shape.nodes * shape.cpus, -shape.nodes))
    )


def _count(node: Submission, rooms: list[Room]) -> int:
    """How many slots have room for a node of this size.

    Two nodes in one partitionable slot would be two parts of one machine, which a larger node uses better.
    """
    return sum(cpus >= node.cpus and mib >= node.memory_mib for cpus, mib in rooms)
