"""totalCpusRange: which nodes would do, and whether one would."""

import pytest

from prominence_hpc.adapter.shapes import on_one_node, shapes_of
from prominence_hpc.adapter.spec.decode import decode_job
from prominence_hpc.adapter.spec.job import Resources
from tests.unit.spec.documents import assert_one_problem, with_resources


def resources(**changes: object) -> Resources:
    decoded = decode_job(with_resources(memory=1, **changes)).resources
    assert isinstance(decoded, Resources)
    return decoded


def shapes(**changes: object) -> list[tuple[int, int, int]]:
    found = shapes_of(resources(**changes))
    return [(shape.cpus, shape.nodes, shape.most_nodes) for shape in found]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"cpus": 4}, [(4, 1, 3)]),
        ({"cpus": 1}, [(12, 1, 1), (6, 1, 2), (3, 2, 4), (1, 4, 12)]),
        ({}, [(12, 1, 1), (6, 1, 2), (3, 2, 4), (1, 4, 12)]),
        ({"cpusOptions": [4, 8]}, [(8, 1, 1), (4, 1, 3)]),
        ({"cpusOptions": [16, 5]}, [(5, 1, 2)]),
        ({"cpusRange": [2, 8]}, [(8, 1, 1), (6, 1, 2), (3, 2, 4), (2, 2, 6)]),
    ],
)
def test_shapes(changes: dict[str, object], expected: list[tuple[int, int, int]]) -> None:
    found = shapes(totalCpusRange=[4, 12], **changes)
    assert found == expected
    assert all(nodes * cpus >= 4 and most * cpus <= 12 for cpus, nodes, most in found)


def test_every_size_of_a_large_job_is_not_asked_for() -> None:
    assert len(shapes(totalCpusRange=[1, 100_000])) == 4
    assert len(shapes(totalCpusRange=[512, 2048], cpusRange=[3, 128])) <= 6


@pytest.mark.parametrize(
    ("changes", "cpus", "cpus_range", "cpus_options"),
    [
        ({"cpus": 1}, None, (4, 12), None),
        ({"cpus": 8}, 8, None, None),
        ({"cpusRange": [2, 8]}, None, (4, 8), None),
        ({"cpusOptions": [2, 8]}, None, None, (8, 8)),
    ],
)
def test_one_node(
    changes: dict[str, object],
    cpus: int | None,
    cpus_range: tuple[int, int] | None,
    cpus_options: tuple[int, int] | None,
) -> None:
    found = on_one_node(resources(totalCpusRange=[4, 12], **changes))
    assert found is not None
    assert (found.cpus, found.cpus_range, found.cpus_options) == (cpus, cpus_range, cpus_options)
    assert (found.nodes, found.total_cpus_range) == (1, None)


@pytest.mark.parametrize("changes", [{"cpus": 2}, {"cpusRange": [1, 3]}, {"cpusOptions": [2, 16]}])
def test_not_on_one_node(changes: dict[str, object]) -> None:
    assert on_one_node(resources(totalCpusRange=[4, 12], **changes)) is None


def test_other_jobs_are_what_they_are() -> None:
    plain = resources(cpus=2)
    assert on_one_node(plain) is plain
    assert shapes_of(plain) == ()


def test_what_no_number_of_nodes_gives() -> None:
    assert_one_problem(
        with_resources(memory=1, cpus=6, totalCpusRange=[7, 11]),
        "resources.totalCpusRange: no number of nodes has 7 to 11 CPUs in all, if each has the CPUs "
        "that are asked for",
    )
