"""What parameters make of a job: whether each of a factory's jobs is as valid as the one it is made of."""

import re
from collections.abc import Iterator, Mapping, Sequence

from prominence_hpc.adapter.spec.decode import read_job
from prominence_hpc.adapter.spec.factories import points
from prominence_hpc.adapter.spec.job import Job
from prominence_hpc.adapter.spec.place import Place
from prominence_hpc.adapter.spec.substitution import replace, substituted
from prominence_hpc.adapter.spec.workflow import Factory

__all__ = ["check_points"]

# Values that mean nothing to a shell, a path or an address: they leave a valid job valid, but for
# two outputs that become one.
PLAIN = re.compile(r"[A-Za-z0-9_+.-]*[A-Za-z0-9_][A-Za-z0-9_+.-]*")


def check_points(jobs: Mapping[int, Job], factories: Sequence[Factory], place: Place) -> None:
    """Note, for each job of a factory, the first of its copies that would be wrong."""
    indices = {job.name: index for index, job in jobs.items()}
    for factory in factories:
        for name in factory.jobs:
            index = indices[name]
            check_copies(jobs[index], factory, place.item(index))


def check_copies(job: Job, factory: Factory, place: Place) -> None:
    outputs = [*job.output_files, *job.output_dirs]
    several = len(outputs) > 1 and any("$" in name for name in outputs)
    for number, values in enumerate(points(factory)):
        plain = all(PLAIN.fullmatch(value) for value in values.values())
        if plain and not (several and clash(outputs, values)):
            continue
        for path, message in problems_of(job, values):
            given = ", ".join(f"{name}={value}" for name, value in values.items())
            where = Place(f"{place.path}.{path}", place.problems)
            where.note(f"as copy {number} ({given}): {message}")
            return


def clash(outputs: Sequence[str], values: Mapping[str, str]) -> bool:
    return len({replace(name, values) for name in outputs}) < len(outputs)


def problems_of(job: Job, values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What is wrong with the copy, by the rules of any job."""
    place = Place()
    read_job(substituted(job.document, values), place)
    return ((problem.path, problem.message) for problem in place.problems)
