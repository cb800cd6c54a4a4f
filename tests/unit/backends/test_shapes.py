"""So many CPUs in all: how many nodes of which size, as each scheduler is asked."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prominence_hpc.adapter.submission import dump_submission, load_submission
from prominence_hpc.backends.base import Shape, Submission
from prominence_hpc.backends.htcondor.shapes import best_shape
from prominence_hpc.backends.settings import SiteSettings
from prominence_hpc.backends.slurm.description import inexpressible_options
from prominence_hpc.backends.slurm.moldable import Start, largest_that_starts
from prominence_hpc.backends.slurm.render import directive_options
from prominence_hpc.errors import BackendUnavailable
from tests.unit.backends.helpers import submission

SITE = SiteSettings(name="s", backend="slurm")
# 4 to 12 CPUs, on nodes of any size.
SHAPES = (
    Shape(cpus=12, nodes=1, most_nodes=1),
    Shape(cpus=6, nodes=1, most_nodes=2),
    Shape(cpus=3, nodes=2, most_nodes=4),
    Shape(cpus=1, nodes=4, most_nodes=12),
)
JOB = submission(Path("/jobs/12"), cpus=1, memory_mib=100, memory_mib_per_cpu=100, shapes=SHAPES)


class Cluster:
    """Nodes with so many free CPUs; whatever does not fit now fits in an hour."""

    def __init__(self, *free: int, size: int = 16) -> None:
        self.free, self.size = free, size
        self.asked: list[int] = []

    def __call__(self, wanted: Submission) -> Start:
        self.asked.append(wanted.cpus)
        if wanted.cpus > self.size:
            return Start(float("inf"))
        nodes = min(
            sum(free // wanted.cpus for free in self.free), wanted.most_nodes or wanted.nodes
        )
        if nodes >= wanted.nodes:
            return Start(time.time(), nodes * wanted.cpus)
        return Start(time.time() + 3600, wanted.nodes * wanted.cpus)


@pytest.mark.parametrize(
    ("cluster", "cpus", "nodes", "asked"),
    [
        (Cluster(16, 16), 12, (1, None), [12]),
        (Cluster(8, 8), 6, (1, 2), [12, 6]),
        (Cluster(8), 1, (4, 12), [12, 6, 3, 1]),
        (Cluster(3, 3, 3), 3, (2, 4), [12, 6, 3, 1]),
        (Cluster(2), 12, (1, None), [12, 6, 3, 1]),  # nothing now: the most, when all are as late
        (Cluster(2, size=8), 6, (1, 2), [12, 6, 3, 1]),
    ],
)
def test_slurm(
    cluster: Cluster, cpus: int, nodes: tuple[int, int | None], asked: list[int]
) -> None:
    found = largest_that_starts(JOB, cluster)
    assert (found.cpus, found.memory_mib, found.shapes) == (cpus, 100 * cpus, ())
    assert (found.nodes, found.most_nodes) == nodes
    assert cluster.asked == asked


def test_a_controller_that_does_not_say() -> None:
    def silent(_: Submission) -> Start:
        msg = "no answer"
        raise BackendUnavailable(msg)

    found = largest_that_starts(JOB, silent)
    assert (found.cpus, found.nodes, found.shapes) == (12, 1, ())


def test_slurm_may_give_more_nodes_when_it_starts_the_job() -> None:
    options = directive_options(JOB.shaped(SHAPES[2]), SITE)
    assert options["nodes"] == "2-4"
    assert inexpressible_options({"nodes": "2-4"}) == ["nodes"]
    assert inexpressible_options({"nodes": "2"}) == []
    assert directive_options(JOB.shaped(SHAPES[0]), SITE)["nodes"] == "1"


def slot(free: int, size: int = 16, mib: int = 100_000) -> dict[str, Any]:
    sizes = {"TotalSlotCpus": size, "TotalSlotMemory": 100_000}
    return {"PartitionableSlot": True, "State": "Unclaimed", "Cpus": free, "Memory": mib, **sizes}


@pytest.mark.parametrize(
    ("slots", "cpus", "nodes"),
    [
        ([slot(16), slot(16)], 12, 1),
        ([slot(8), slot(8)], 6, 2),
        ([slot(8)], 6, 1),  # a machine is one node, not two halves of itself
        ([slot(3), slot(3)], 3, 2),
        ([slot(8, mib=600)], 6, 1),
        ([slot(0), slot(0)], 12, 1),  # full now: what they have when they are free
        ([slot(0, size=8), slot(0, size=8)], 6, 2),
        ([{"State": "Claimed", "Cpus": 6, "Memory": 6000}], 6, 1),
        ([], 1, 4),
    ],
)
def test_htcondor(slots: list[dict[str, Any]], cpus: int, nodes: int) -> None:
    found = best_shape(JOB, slots)
    assert (found.cpus, found.nodes, found.most_nodes, found.shapes) == (cpus, nodes, None, ())
    assert found.memory_mib == 100 * cpus


def test_shapes_are_kept_with_the_submission() -> None:
    job = replace(JOB, labels={"a": "b"})
    assert load_submission(dump_submission(job)) == job
