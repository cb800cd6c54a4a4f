"""Rules between the values of a job description; each notes what it finds wrong at its place."""

import posixpath
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from prominence_hpc.adapter.shapes import on_one_node, shapes_of
from prominence_hpc.adapter.sources import artifact_filename
from prominence_hpc.adapter.spec.job import (
    Artifact,
    InputFile,
    Job,
    Resources,
    StorageMount,
    Task,
)
from prominence_hpc.adapter.spec.place import INVALID, Place, quoted
from prominence_hpc.adapter.spec.texts import without_query
from prominence_hpc.adapter.translate import below_working_directory, output_objects

__all__ = ["MPI_TYPES", "check_job", "check_resources"]

# Archives, of which many files may come; what else is compressed is one file without that ending.
UNPACKED = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")
MPI_TYPES = ("openmpi", "mpich", "intelmpi")


def check_resources(raw: Mapping[str, Any], place: Place) -> None:
    """Which keys of ``resources`` stand together."""
    if "memory" in raw and "memoryPerCpu" in raw:
        place.key("memory").note("give either memory or memoryPerCpu, not both")
    elif "memory" not in raw and "memoryPerCpu" not in raw:
        place.key("memory").note("is required, unless memoryPerCpu is given")
    counts = [key for key in ("cpus", "cpusRange", "cpusOptions") if key in raw]
    if len(counts) > 1:
        place.key(counts[0]).note(f"give only one of {' and '.join(counts)}")
    if "gpuType" in raw and "gpus" not in raw:
        place.key("gpuType").note("needs gpus, the number of GPUs per node")
    # PROMINENCE's Python client writes its default, 1 node, into every description.
    if raw.get("nodes", 1) != 1 and "totalCpusRange" in raw:
        place.key("nodes").note("give either nodes or totalCpusRange, not both")


def check_job(values: Mapping[str, Any], place: Place) -> None:
    """Rules over the whole job; ``values`` holds what could be decoded."""
    artifacts = tuple(item for item in values.get("artifacts", ()) if item is not INVALID)
    of_cpus = place.key("resources").key("cpus").path
    cpus_wrong = any(problem.path.startswith(of_cpus) for problem in place.problems)
    cpus = None if cpus_wrong else most_cpus(values.get("resources"))
    check_total(values.get("resources"), place.key("resources"))
    check_tasks(values.get("tasks", ()), cpus, artifacts, place.key("tasks"))
    check_inputs(values.get("inputs", ()), place.key("inputs"))
    check_mounts(values.get("artifacts", ()), values.get("storage"), place)
    check_filenames(values.get("inputs", ()), values.get("artifacts", ()), place)
    check_outputs(values, artifacts, place)


def check_total(resources: Any, place: Place) -> None:
    if not isinstance(resources, Resources) or resources.total_cpus_range is None:
        return
    if not shapes_of(resources) and on_one_node(resources) is None:
        least, most = resources.total_cpus_range
        place.key("totalCpusRange").note(
            f"no number of nodes has {least} to {most} CPUs in all, if each has the CPUs that are asked for"
        )


def most_cpus(resources: Resources | None) -> int | None:
    """The most CPUs that a node of the job may have; None where that is not known."""
    if resources is None:
        return None
    several = resources.cpus_range or resources.cpus_options
    return max(several) if several else resources.cpus


def check_tasks(
    tasks: Sequence[Any], cpus: int | None, artifacts: tuple[Artifact, ...], place: Place
) -> None:
    if tasks and all(task is not INVALID and task.type == "sidecar" for task in tasks):
        place.note("must hold at least one task that is not a sidecar")
    for index, task in enumerate(tasks):
        if task is not INVALID:
            check_task(task, cpus, place.item(index))
            if task.stdout is not None:
                check_path(task.stdout, artifacts, place.item(index).key("stdout"))


def check_task(task: Task, cpus: int | None, place: Place) -> None:
    if task.app is not None and task.runtime == "udocker":
        place.key("app").note("needs the runtime singularity; udocker has no apps")
    if task.procs_per_node and cpus is not None and task.procs_per_node > cpus:
        place.key("procsPerNode").note(
            f"must be at most the CPUs of a node, {cpus}, not {task.procs_per_node}"
        )
    if task.type in MPI_TYPES:
        check_mpi_command(task, place.key("cmd"))


def check_mpi_command(task: Task, place: Place) -> None:
    if place.path in {problem.path for problem in place.problems}:
        return
    if task.cmd is None:
        place.note(f"is required for a task of type {task.type}")
    elif shlex.split(task.cmd)[0] == "mpirun":
        place.note(f"must not begin with mpirun: the type {task.type} starts it by itself")


def check_inputs(inputs: Sequence[InputFile], place: Place) -> None:
    seen: set[str] = set()
    for index, item in enumerate(inputs):
        if item is INVALID:
            continue
        if item.filename in seen:
            name = quoted(item.filename)
            place.item(index).key("filename").note(f"another input has the name {name} already")
        seen.add(item.filename)


def check_mounts(artifacts: Sequence[Artifact], storage: Any, job: Place) -> None:
    place = job.key("artifacts")
    seen: dict[str, str] = {}
    for index, item in enumerate(artifacts):
        if item is INVALID or item.mountpoint is None:
            continue
        path = posixpath.normpath(item.mountpoint.path)
        if seen.setdefault(path, item.mountpoint.directory) != item.mountpoint.directory:
            place.item(index).key("mountpoint").note(
                f"{path} is the mount path of {quoted(seen[path])} already"
            )
    if isinstance(storage, StorageMount) and storage.mountpoint in seen:
        message = f"{storage.mountpoint} is the mount path of {quoted(seen[storage.mountpoint])}"
        job.key("storage").key("mountpoint").note(f"{message}, an artifact, already")


def check_filenames(
    inputs: Sequence[InputFile], artifacts: Sequence[Artifact], place: Place
) -> None:
    """Each artifact has a name as a file, and none that is not unpacked takes another one's."""
    taken = {
        item.filename: ("", place.key("inputs").item(index))
        for index, item in enumerate(inputs)
        if item is not INVALID
    }
    for index, item in enumerate(artifacts):
        if item is INVALID:
            continue
        where = place.key("artifacts").item(index).key("url")
        name = artifact_filename(item.url)
        if name in ("", ".", "..") or "\0" in name:
            where.note(f"does not end in the name of a file: {without_query(item.url)}")
        elif not name.lower().endswith(UNPACKED):
            url, first = taken.setdefault(without_compression(name), (item.url, where))
            if first is not where and url != item.url:
                where.note(f"becomes the file {quoted(name)}, as {first.path} does already")


def without_compression(name: str) -> str:
    stem, ending = posixpath.splitext(name)
    return stem if ending.lower() in (".gz", ".bz2") else name


def check_outputs(values: Mapping[str, Any], artifacts: tuple[Artifact, ...], place: Place) -> None:
    """Outputs lie where the job can write, and no two become one object."""
    files = writable(values.get("output_files", ()), artifacts, place.key("outputFiles"))
    directories = writable(values.get("output_dirs", ()), artifacts, place.key("outputDirs"))
    job = Job(
        tasks=(),
        resources=Resources(),
        artifacts=artifacts,
        output_files=tuple(name for name, _ in files),
        output_dirs=tuple(name for name, _ in directories),
    )
    taken: dict[str, Place] = {}
    for item, (_, where) in zip(output_objects(job), [*files, *directories], strict=True):
        if item.kind == "pattern":
            continue  # its names are known on the node alone
        first = taken.setdefault(item.object_name, where)
        if first is not where:
            name = quoted(item.object_name)
            where.note(f"is stored as {name}, as {first.path} is; leave out or rename one of them")


def writable(
    names: Sequence[Any], artifacts: tuple[Artifact, ...], place: Place
) -> list[tuple[str, Place]]:
    places = [(name, place.item(index)) for index, name in enumerate(names)]
    return [
        (name, where)
        for name, where in places
        if name is not INVALID and check_path(name, artifacts, where)
    ]


def check_path(name: str, artifacts: tuple[Artifact, ...], place: Place) -> bool:
    """Whether ``name`` is below the working directory, or below an artifact's mount path."""
    relative = below_working_directory(name, artifacts)
    if relative.startswith("/"):
        place.note(
            "must be relative to the job's working directory, or below an artifact's mountpoint, "
            f"not {quoted(name)}"
        )
        return False
    if posixpath.normpath(relative).split("/")[0] in ("..", "."):
        place.note(f"must name something inside the job's working directory, not {quoted(name)}")
        return False
    return True
