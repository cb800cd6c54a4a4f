"""The shapes of a job that asks for a number of CPUs in all (totalCpusRange): so many nodes of so many.

Pure. Which of them a job gets, its backend finds out (:class:`.Shape`). ``cpus`` of 1 says nothing here:
PROMINENCE's clients write it into every description.
"""

from dataclasses import replace

from prominence_hpc.adapter.spec.job import Resources
from prominence_hpc.backends.base import Shape

__all__ = ["on_one_node", "shapes_of"]

# Sizes of node that are considered where any will do; each is one question to the scheduler.
SIZES = 5


def on_one_node(resources: Resources) -> Resources | None:
    """The same job on one node, as a job with ``cpus``, ``cpusRange`` or ``cpusOptions``; None: it has not room."""
    if resources.total_cpus_range is None:
        return resources
    least, most = resources.total_cpus_range
    single = replace(resources, total_cpus_range=None, nodes=1)
    if resources.cpus_options is not None:
        fitting = [cpus for cpus in resources.cpus_options if least <= cpus <= most]
        return replace(single, cpus_options=(min(fitting), max(fitting))) if fitting else None
    if resources.cpus is not None and resources.cpus > 1:
        return single if least <= resources.cpus <= most else None
    fewest, largest = resources.cpus_range or (1, most)
    both = (max(fewest, least), min(largest, most))
    return replace(single, cpus=None, cpus_range=both) if both[0] <= both[1] else None


def shapes_of(resources: Resources) -> tuple[Shape, ...]:
    """Fewest nodes first; none without totalCpusRange, and where no number of nodes gives so many CPUs."""
    if resources.total_cpus_range is None:
        return ()
    least, most = resources.total_cpus_range
    ranges = [(cpus, -(-least // cpus), most // cpus) for cpus in node_sizes(resources, most)]
    return tuple(
        Shape(cpus=cpus, nodes=fewest, most_nodes=largest)
        for cpus, fewest, largest in ranges
        if fewest <= largest
    )


def node_sizes(resources: Resources, most: int) -> list[int]:
    """CPUs of a node that are considered, most first."""
    if resources.cpus is not None and resources.cpus > 1:
        return [resources.cpus]
    if resources.cpus_options is not None:
        return sorted(set(resources.cpus_options), reverse=True)
    least, largest = resources.cpus_range or (1, most)
    # All the CPUs in 1, 2, 4 … nodes, as far as nodes of that size will do.
    shares = {min(max(most >> shift, least), largest) for shift in range(SIZES - 1)}
    ends = {least, min(largest, most)} if resources.cpus_range else set()
    return sorted(shares | ends, reverse=True)
