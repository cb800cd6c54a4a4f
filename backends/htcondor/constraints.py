"""Which records are asked for: ClassAd expressions over the queue's and the history's. Pure functions."""

import json
from collections.abc import Iterable, Sequence

from prominence_hpc.backends.htcondor.copies import COPY_ATTRIBUTE

__all__ = [
    "ONE_EACH_IN_HISTORY",
    "ONE_EACH_IN_QUEUE",
    "exactly",
    "handle_parts",
    "has_tag",
    "in_queue",
    "with_nodes",
]

_OURS = "ProminenceTag isnt undefined"
# A cluster's own record has no ProcId. Of single jobs it would say nothing new.
_TELLING = f"(ProcId isnt undefined || {COPY_ATTRIBUTE} isnt undefined)"
# One record of a submission, however many jobs it has: its cluster's, or where that is gone its first job's.
ONE_EACH_IN_QUEUE = "ProcId is undefined"
ONE_EACH_IN_HISTORY = "ProcId == 0"
# More runs of numbers than these are asked for as one, with what is between them.
_RUNS = 20

Runs = list[tuple[int, int]]


def handle_parts(handle: str) -> tuple[int, int]:
    """Cluster and number in it: of ``12.7`` 12 and 7, of ``12`` 12 and 0."""
    cluster, _, proc = handle.partition(".")
    return int(cluster), int(proc or 0)


def in_queue(handles: Iterable[str]) -> str:
    """Ours among the clusters from the first of ``handles`` to the last: short, however many."""
    clusters = [handle_parts(handle)[0] for handle in handles]
    return f"{_OURS} && {_TELLING} && {_between('ClusterId', min(clusters), max(clusters))}"


def with_nodes(handles: Sequence[str]) -> str:
    """:func:`in_queue`, and what DAGMan has submitted, where it is among those."""
    clusters = [handle_parts(handle)[0] for handle in handles]
    nodes = _between("DAGManJobId", min(clusters), max(clusters))
    return f"({in_queue(handles)}) || ({_OURS} && {nodes})"


def exactly(handles: Iterable[str]) -> tuple[str, int]:
    """No other jobs than these, as those would use up a limit, and how many there may be.

    Of a cluster of many, runs of numbers are named instead of each, or the one run that holds all.
    """
    numbers: dict[int, set[int]] = {}
    for handle in handles:
        cluster, proc = handle_parts(handle)
        numbers.setdefault(cluster, set()).add(proc)
    firsts = [cluster for cluster, procs in numbers.items() if procs == {0}]
    many = {cluster: _runs(procs) for cluster, procs in numbers.items() if procs != {0}}
    terms = [f"(ClusterId == {cluster} && {_any_of(runs)})" for cluster, runs in many.items()]
    if firsts:
        terms.append(f"(ProcId == 0 && member(ClusterId, {{{', '.join(map(str, firsts))}}}))")
    constraint = f"{_OURS} && {_between('ClusterId', min(numbers), max(numbers))}"
    limit = len(firsts) + sum(last - first + 1 for runs in many.values() for first, last in runs)
    return f"{constraint} && ({' || '.join(terms)})", limit


def has_tag(tags: Iterable[str]) -> str:
    """Whatever carries one of these tags."""
    # Hexadecimal digits: JSON's quoting is ClassAd's.
    return f"member(ProminenceTag, {{{', '.join(json.dumps(tag) for tag in tags)}}})"


def _any_of(runs: Runs) -> str:
    return f"({' || '.join(_between('ProcId', *run) for run in runs)})"


def _between(name: str, first: int, last: int) -> str:
    return f"{name} >= {first} && {name} <= {last}"


def _runs(numbers: Iterable[int]) -> Runs:
    """The numbers as runs without a gap, or where these are many as one.

    >>> _runs([1, 2, 3, 7])
    [(1, 3), (7, 7)]
    """
    ordered: Sequence[int] = sorted(numbers)
    runs: Runs = []
    for number in ordered:
        if runs and number == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs if len(runs) <= _RUNS else [(ordered[0], ordered[-1])]
