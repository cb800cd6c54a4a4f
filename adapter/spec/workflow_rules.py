"""Rules between the parts of a workflow; each notes what it finds wrong at its place."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prominence_hpc.adapter.spec.factories import size
from prominence_hpc.adapter.spec.job import Job
from prominence_hpc.adapter.spec.place import INVALID, Place, quoted
from prominence_hpc.adapter.spec.points import check_points
from prominence_hpc.adapter.spec.workflow import Factory, ParameterSweep, Zip

__all__ = ["check_workflow"]


def check_workflow(values: Mapping[str, Any], place: Place) -> None:
    """Rules over the whole workflow; ``values`` holds what could be decoded."""
    jobs = {index: job for index, job in enumerate(values.get("jobs", ())) if job is not INVALID}
    every_job_is_known = len(jobs) == len(values.get("jobs", ()))
    names = check_names(jobs, place.key("jobs"))
    factories = values.get("factories", ())
    if every_job_is_known:
        check_factories(factories, names, place.key("factories"))
        check_dependencies(sound_dependencies(values), names, place.key("dependencies"))
        check_full_names(jobs, factories, place.key("jobs"))
    if not place.problems:
        check_points(jobs, factories, place.key("jobs"))


def sound_dependencies(values: Mapping[str, Any]) -> dict[str, list[str]]:
    """Parents whose children could all be read."""
    return {
        parent: list(children)
        for parent, children in values.get("dependencies", {}).items()
        if children is not INVALID and INVALID not in children
    }


def check_names(jobs: Mapping[int, Job], place: Place) -> set[str]:
    """Jobs are told apart by their names."""
    seen: dict[str, int] = {}
    for index, job in jobs.items():
        here = place.item(index).key("name")
        if not job.name:
            here.note("is required: a workflow's jobs are known by their names")
        elif {"", ".", ".."} & set(job.name.split("/")):
            here.note(f"has an empty part, or one that means a folder: {quoted(job.name)}")
        elif job.name in seen:
            here.note(f"jobs[{seen[job.name]}] has the name {quoted(job.name)} already")
        else:
            seen[job.name] = index
    return set(seen)


def check_factories(factories: Sequence[Any], names: set[str], place: Place) -> None:
    """Factories have names of their own, and each job is made by one of them at most."""
    taken: set[str] = set()
    made_by: dict[str, str] = {}
    for index, factory in enumerate(factories):
        if factory is INVALID:
            continue
        here = place.item(index)
        if factory.name in taken:
            here.key("name").note(f"another factory has the name {quoted(factory.name)} already")
        taken.add(factory.name)
        check_made_jobs(factory, names, made_by, here.key("jobs"))
        check_parameters(factory, here.key("parameters"))


def check_made_jobs(
    factory: Factory, names: set[str], made_by: dict[str, str], place: Place
) -> None:
    for index, name in enumerate(factory.jobs):
        if name not in names:
            place.item(index).note(f"there is no job {quoted(name)}{known(names)}")
        elif name in made_by:
            place.item(index).note(
                f"the job {quoted(name)} is made by factory {quoted(made_by[name])} already"
            )
        made_by.setdefault(name, factory.name)


def check_parameters(factory: Factory, place: Place) -> None:
    if not isinstance(factory, ParameterSweep | Zip):
        return
    seen: set[str] = set()
    for index, name in enumerate(item.name for item in factory.parameters):
        if name in seen:
            message = f"another parameter has the name {quoted(name)} already"
            place.item(index).key("name").note(message)
        seen.add(name)
    if isinstance(factory, Zip):
        check_lengths(factory, place)


def check_lengths(factory: Zip, place: Place) -> None:
    first = factory.parameters[0]
    for index, parameter in enumerate(factory.parameters):
        if len(parameter.values) != len(first.values):
            place.item(index).key("values").note(
                f"has {len(parameter.values)} values, and {quoted(first.name)} has "
                f"{len(first.values)}: a zip takes one of each for every job"
            )


def check_dependencies(
    dependencies: Mapping[str, Sequence[str]], names: set[str], place: Place
) -> None:
    """Names must exist, and nothing may wait for itself, over however many steps."""
    before = len(place.problems)
    for parent, children in dependencies.items():
        here = place.key(parent)
        if parent not in names:
            here.note(f"there is no job {quoted(parent)}{known(names)}")
        for index, child in enumerate(children):
            if child not in names:
                here.item(index).note(f"there is no job {quoted(child)}{known(names)}")
    if len(place.problems) == before and (cycle := find_cycle(dependencies)):
        place.note(f"go round in a circle: {' -> '.join(map(quoted, cycle))}")


def find_cycle(dependencies: Mapping[str, Sequence[str]]) -> list[str]:
    """Jobs each of which waits for the one before, the last being the first; empty where none do."""
    done: set[str] = set()
    for start in dependencies:
        path: list[str] = []
        on_path: set[str] = set()
        waiting: list[Iterator[str]] = [iter([start])]
        while waiting:
            name = next(waiting[-1], None)
            if name is None:
                waiting.pop()
                if path:
                    on_path.discard(path[-1])
                    done.add(path.pop())
            elif name in on_path:
                return [*path[path.index(name) :], name]
            elif name not in done:
                path.append(name)
                on_path.add(name)
                waiting.append(iter(dependencies.get(name, ())))
    return []


def check_full_names(jobs: Mapping[int, Job], factories: Sequence[Any], place: Place) -> None:
    """``JOB/INDEX`` is a name too: no job may be called as another's copy is."""
    made = {name: size(item) for item in factories if item is not INVALID for name in item.jobs}
    for index, job in jobs.items():
        stem, slash, number = job.name.rpartition("/")
        if not slash or stem not in made or not number.isdecimal() or str(int(number)) != number:
            continue
        if int(number) < made[stem]:
            copy = f"{quoted(job.name)} is also the name of a copy of {quoted(stem)}"
            place.item(index).key("name").note(f"{copy}; rename one of them")


def known(names: set[str]) -> str:
    shown = sorted(names)[:10]
    more = ", …" if len(names) > len(shown) else ""
    return f"; there are {', '.join(map(quoted, shown))}{more}" if shown else ""
