"""The job description that the options of ``prominence create`` stand for."""

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prominence_hpc.adapter.spec.input_files import input_entry
from prominence_hpc.errors import Problem, ProminenceError, SpecError, UsageError

__all__ = ["CreateOptions", "describe_job", "ignored_options", "runtime_of_site"]

# NAME:DIR:/MOUNT. URLs hold colons too ("https://host:8443/x"), but do not end in this form.
MOUNTED_ARTIFACT = re.compile(r"(?P<url>.+):(?P<mountpoint>[^:/]+:/[^:]*)", re.DOTALL)
# PROMINENCE runs tarballs at URLs by udocker; presigned URLs have a query after the suffix.
TARBALL_URL = re.compile(r"https?://.*\.(tar|tgz)(?![A-Za-z0-9])", re.DOTALL)


# Methods for comparison and display of 33 fields would cost every `create` a millisecond.
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class CreateOptions:
    """The options of ``create`` as typed; None and empty are "not given".

    ``directory_artifact``: the uploaded archive of ``--directory``. Memory and disk in GB, walltime
    and time in queue in minutes.
    """

    image: str
    command: str | None = None
    name: str = ""
    cpus: int = 1
    cpus_range: str | None = None
    cpus_options: str | None = None
    memory: float = 1
    memory_per_cpu: float | None = None
    nodes: int = 1
    total_cpus_range: str | None = None
    procs_per_node: int | None = None
    omp_procs_per_node: int | None = None
    disk: float = 10
    walltime: int | None = None
    gpus: int | None = None
    gpu_type: str | None = None
    openmpi: bool = False
    mpich: bool = False
    intelmpi: bool = False
    artifacts: Sequence[str] = ()
    inputs: Sequence[str] = ()
    outputs: Sequence[str] = ()
    output_dirs: Sequence[str] = ()
    workdir: str | None = None
    env: Sequence[str] = ()
    labels: Sequence[str] = ()
    runtime: str | None = None
    retries: int | None = None
    task_retries: int | None = None
    max_time_in_queue: int | None = None
    leave_in_queue: bool = False
    priority: int | None = None
    directory_artifact: str | None = None
    storage: str | None = None


def describe_job(options: CreateOptions) -> dict[str, Any]:
    """The description as ``create --dry-run`` prints it; options not given add no keys.

    Reads the files of ``--input`` and ``--storage``. Checks the form of the options and what they
    mean together; whether the job is valid is for the decoder to say. As in PROMINENCE,
    ``--memory-per-cpu`` wins over ``--memory``, ``--cpus-range`` and ``--cpus-options`` over
    ``--cpus``, and the numbers of processes mean nothing without an MPI flag. Raises UsageError
    naming the option, and SpecError where the file of ``--storage`` is malformed.
    """
    refuse_infinite(options)
    flavour = mpi_flavour(options)
    described: dict[str, Any] = {
        "resources": resources(options, flavour),
        "name": options.name,
        "outputFiles": list(options.outputs),
        "outputDirs": list(options.output_dirs),
        "artifacts": artifacts(options),
        "inputs": [input_file(name) for name in options.inputs],
        "labels": pairs(options.labels, "--label"),
        "storage": storage(options.storage) if options.storage else None,
        "policies": policies(options),
    }
    given = {key: value for key, value in described.items() if value or key == "name"}
    return given | {"tasks": [task(options, flavour)]}


def refuse_infinite(options: CreateOptions) -> None:
    """``nan`` and ``inf`` are numbers to Python and to click, and cannot be written in JSON."""
    numbers = {
        "--memory": options.memory,
        "--memory-per-cpu": options.memory_per_cpu,
        "--disk": options.disk,
    }
    for option, value in numbers.items():
        if value is not None and not math.isfinite(value):
            msg = f"{option} takes a number of GB, such as {option} 4; not {value}"
            raise UsageError(msg)


def mpi_flavour(options: CreateOptions) -> str | None:
    flags = {"openmpi": options.openmpi, "mpich": options.mpich, "intelmpi": options.intelmpi}
    flavours = [name for name, given in flags.items() if given]
    if len(flavours) > 1:
        msg = f"--{flavours[0]} and --{flavours[1]} exclude each other; give the image's own MPI"
        raise UsageError(msg)
    return flavours[0] if flavours else None


def resources(options: CreateOptions, flavour: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if options.total_cpus_range:
        if options.nodes > 1:
            msg = "--nodes and --total-cpus-range exclude each other; leave out one of them"
            raise UsageError(msg)
    else:
        found["nodes"] = options.nodes
    if options.nodes > 1 and flavour is None:
        msg = (
            f"--nodes {options.nodes} needs an MPI: add --openmpi, --mpich or --intelmpi, "
            "whichever the image has"
        )
        raise UsageError(msg)
    found["disk"] = plain(options.disk)
    if options.walltime is not None:
        found["walltime"] = options.walltime
    found |= gpus(options)
    found |= cpus(options)
    if options.memory_per_cpu:
        return found | {"memoryPerCpu": plain(options.memory_per_cpu)}
    return found | {"memory": plain(options.memory)}


def gpus(options: CreateOptions) -> dict[str, Any]:
    if options.gpu_type and not options.gpus:
        msg = f"--gpu-type {options.gpu_type} needs --gpus, the number of GPUs per node"
        raise UsageError(msg)
    found = {"gpus": options.gpus, "gpuType": options.gpu_type}
    return {key: value for key, value in found.items() if value}


def cpus(options: CreateOptions) -> dict[str, Any]:
    if options.cpus_range and options.cpus_options:
        msg = "--cpus-range and --cpus-options exclude each other; leave out one of them"
        raise UsageError(msg)
    found: dict[str, Any] = {}
    if options.cpus_range:
        found["cpusRange"] = two_numbers(options.cpus_range, "--cpus-range")
    elif options.cpus_options:
        found["cpusOptions"] = two_numbers(options.cpus_options, "--cpus-options")
    else:
        found["cpus"] = options.cpus
    if options.total_cpus_range:
        found["totalCpusRange"] = two_numbers(options.total_cpus_range, "--total-cpus-range")
    return found


def two_numbers(value: str, option: str) -> list[int]:
    match = re.fullmatch(r"\s*([0-9]{1,9})\s*,\s*([0-9]{1,9})\s*", value)
    if match is None:
        msg = f"{option} takes two whole numbers, such as {option} 4,8; not {value!r}"
        raise UsageError(msg)
    return [int(match[1]), int(match[2])]


def plain(number: float) -> float:
    """Whole numbers as integers, which JSON prints without a fraction."""
    return int(number) if float(number).is_integer() else number


def artifacts(options: CreateOptions) -> list[dict[str, Any]]:
    found = [artifact(value) for value in options.artifacts]
    if options.directory_artifact:
        found.append({"url": options.directory_artifact})
    return found


def artifact(value: str) -> dict[str, Any]:
    if match := MOUNTED_ARTIFACT.fullmatch(value):
        return {"url": match["url"], "mountpoint": match["mountpoint"]}
    if ":" in value and not value.startswith(("http://", "https://")):
        msg = f"--artifact takes NAME, URL, NAME:DIR:/MOUNT or URL:DIR:/MOUNT; not {value!r}"
        raise UsageError(msg)
    return {"url": value}


def input_file(name: str) -> dict[str, Any]:
    try:
        return input_entry(Path(name))
    except UsageError as error:
        msg = f"--input: {error}"
        raise UsageError(msg) from error


def pairs(values: Sequence[str], option: str) -> dict[str, str]:
    """KEY=VALUE options; VALUE may hold more of ``=``, and the last of a key wins."""
    found = {}
    for value in values:
        key, equals, rest = value.partition("=")
        if not key or not equals:
            msg = f"{option} takes {option.removeprefix('--').upper()}=VALUE; not {value!r}"
            raise UsageError(msg)
        found[key] = rest
    return found


def storage(name: str) -> dict[str, Any]:
    """The section ``storage`` of a file: the section itself, or an object that has it.

    PROMINENCE documents the file without the object's braces: ``"storage": {…}``.
    """
    # Reads YAML too; the way of a job without --storage does not come by.
    from prominence_hpc.adapter.spec.job_file import read_text
    from prominence_hpc.adapter.spec.markup import parse

    try:
        text = read_text(Path(name))
        braced = text.lstrip().startswith('"storage"')
        section = parse(f"{{{text}}}" if braced else text, name)
    except SpecError:
        raise
    except ProminenceError as error:
        msg = f"--storage: {error}"
        raise UsageError(msg) from error
    if isinstance(section, dict) and set(section) == {"storage"}:
        section = section["storage"]
    if not isinstance(section, dict):
        message = f'{name} must hold "storage": {{"type": …, …}}'
        raise SpecError([Problem("storage", message)])
    return section


def policies(options: CreateOptions) -> dict[str, Any]:
    """What is not given, and zero, which is what holds anyway, has no key."""
    found = {
        "priority": options.priority,
        "maximumRetries": options.retries,
        "maximumTaskRetries": options.task_retries,
        "maximumTimeInQueue": options.max_time_in_queue,
        "leaveInQueue": options.leave_in_queue,
    }
    return {key: value for key, value in found.items() if value}


def task(options: CreateOptions, flavour: str | None) -> dict[str, Any]:
    processes, environment = mpi_processes(options, flavour)
    described = {
        "image": options.image,
        "procsPerNode": processes,
        "workdir": options.workdir,
        "runtime": options.runtime or default_runtime(options.image),
        "type": flavour,
        "cmd": options.command,
        "env": pairs(options.env, "--env") | environment,
    }
    return {key: value for key, value in described.items() if value or key == "image"}


def default_runtime(image: str) -> str:
    return "udocker" if TARBALL_URL.match(image) else "singularity"


def runtime_of_site(
    document: dict[str, Any], options: CreateOptions, runtimes: Collection[str]
) -> str | None:
    """Give a job whose runtime nobody asked for one that the site has; a sentence where that changes it.

    PROMINENCE's own nodes all had udocker. A cluster's have it where the site says so; singularity
    runs the same archives.
    """
    (described,) = document["tasks"]
    if options.runtime is not None or described["runtime"] != "udocker" or "udocker" in runtimes:
        return None
    described["runtime"] = "singularity"
    return (
        "the image is run by singularity: PROMINENCE would run this archive by udocker, which the "
        "site does not say that its nodes have (--runtime udocker insists)"
    )


def mpi_processes(options: CreateOptions, flavour: str | None) -> tuple[int | None, dict[str, str]]:
    """``procsPerNode`` and the environment that goes with it.

    ``--omp-procs-per-node N`` leaves N of a node's CPUs to OpenMP threads, the others to MPI
    processes.
    """
    if flavour is None or not options.omp_procs_per_node:
        return (options.procs_per_node if flavour else None), {}
    if options.procs_per_node:
        msg = "--procs-per-node and --omp-procs-per-node exclude each other; leave out one of them"
        raise UsageError(msg)
    if options.cpus_range or options.cpus_options:
        msg = "--omp-procs-per-node needs a fixed number of CPUs; give --cpus"
        raise UsageError(msg)
    processes = options.cpus - options.omp_procs_per_node
    if processes < 1:
        msg = (
            f"--omp-procs-per-node {options.omp_procs_per_node} leaves no CPU of "
            f"--cpus {options.cpus} for MPI processes; ask for more CPUs"
        )
        raise UsageError(msg)
    return processes, {"OMP_NUM_THREADS": str(options.omp_procs_per_node)}


def ignored_options(options: CreateOptions, given: Collection[str]) -> list[str]:
    """A sentence for each option that the user gave and :func:`describe_job` made nothing of.

    ``given``: the fields of ``options`` that were on the command line; a default that gives way is
    nobody's concern. Scripts written for PROMINENCE, which drops these options too, keep working.
    """
    found = {
        **useless_values(options),
        **useless_resources(options),
        **useless_processes(options),
    }
    sentences = [
        f"--{field.replace('_', '-')} is not used: {reason}"
        for field, reason in found.items()
        if field in given
    ]
    _, environment = mpi_processes(options, mpi_flavour(options))
    overridden = environment.keys() & pairs(options.env, "--env")
    return sentences + [
        f"--env {name} is not used: --omp-procs-per-node sets {name}" for name in overridden
    ]


def useless_values(options: CreateOptions) -> dict[str, str]:
    """Zero time in queue and zero priority are not among them: they are what holds then."""
    numbers = (
        "memory_per_cpu",
        "gpus",
        "procs_per_node",
        "omp_procs_per_node",
        "retries",
        "task_retries",
    )
    texts = ("cpus_range", "cpus_options", "total_cpus_range", "gpu_type", "storage")
    zeros = {name: "0 is the same as leaving it out" for name in numbers}
    blanks = {name: "an empty text is the same as leaving it out" for name in texts}
    return {name: why for name, why in (zeros | blanks).items() if not getattr(options, name)}


def useless_resources(options: CreateOptions) -> dict[str, str]:
    found = {}
    if options.memory_per_cpu:
        found["memory"] = "--memory-per-cpu says how much memory there is"
    if options.cpus_range or options.cpus_options:
        other = "--cpus-range" if options.cpus_range else "--cpus-options"
        found["cpus"] = f"{other} says how many CPUs a node has"
    if options.total_cpus_range:
        found["nodes"] = "--total-cpus-range says how large the job is"
    return found


def useless_processes(options: CreateOptions) -> dict[str, str]:
    if mpi_flavour(options):
        return {}
    reason = "it is for MPI, and none of --openmpi, --mpich and --intelmpi is given"
    return dict.fromkeys(("procs_per_node", "omp_procs_per_node"), reason)
