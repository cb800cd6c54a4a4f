"""What the scheduler gave to the job on this node: its own words, else what the plan asked for."""

from .metrics import KIB_PER_GB, MIB_PER_GB, read_ad

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

# Schedulers round memory up (HTCondor to 128 MiB, sites to more); a task is told the even number.
ROUNDING_MIB = 1024


def provisioned(plan: "dict[str, Any]", environ: "Mapping[str, str]") -> "dict[str, float]":
    """CPUs, memory (GB), disk (GB) and GPUs per node, and nodes.

    ``environ`` is the wrapper's own: Slurm's variables (sbatch(1), "output environment variables"),
    the machine's ClassAd of HTCondor, PROMINENCE_CPUS of the local backend.
    """
    machine = read_ad(environ.get("_CONDOR_MACHINE_AD", ""))
    ours = _number(environ, "PROMINENCE_CPUS", plan["cpus"])
    cpus = _number(environ, "SLURM_CPUS_ON_NODE", machine.get("Cpus", ours))
    nodes = _number(environ, "_CONDOR_NPROCS", plan["nodes"])
    found = {
        "cpus": cpus,
        "memory": _memory(plan, environ, machine, cpus),
        "disk": machine["Disk"] / KIB_PER_GB if "Disk" in machine else plan["disk_gb"],
        "nodes": _number(environ, "SLURM_JOB_NUM_NODES", nodes),
    }
    gpus = _number(environ, "SLURM_GPUS_ON_NODE", machine.get("GPUs", plan["gpus"]))
    if gpus:
        found["gpus"] = gpus
    return {key: _plain(value) for key, value in found.items()}


def told(plan: "dict[str, Any]", environ: "Mapping[str, str]") -> "dict[str, str]":
    """The same as variables for the tasks, by section 3 of the contract; PROMINENCE_GPUS is ours."""
    found = provisioned(plan, environ)
    variables = {
        "PROMINENCE_CPUS": "%d" % found["cpus"],
        "PROMINENCE_MEMORY": "%g" % _even(found["memory"], _asked(plan, found["cpus"])),
        "PROMINENCE_NODES": "%d" % found["nodes"],
    }
    if "gpus" in found:
        variables["PROMINENCE_GPUS"] = "%d" % found["gpus"]
    return variables


def _memory(
    plan: "dict[str, Any]",
    environ: "Mapping[str, str]",
    machine: "dict[str, float]",
    cpus: float,
) -> float:
    if "Memory" in machine:
        return machine["Memory"] / MIB_PER_GB
    mib = _number(environ, "SLURM_MEM_PER_NODE", 0)
    mib = mib or _number(environ, "SLURM_MEM_PER_CPU", 0) * cpus
    return mib / MIB_PER_GB if mib else _asked(plan, cpus)


def _asked(plan: "dict[str, Any]", cpus: float) -> float:
    per_cpu = plan["memory_gb_per_cpu"]
    return float(plan["memory_gb"] if per_cpu is None else per_cpu * cpus)


def _even(given: float, asked: float) -> float:
    """What was asked for, where what was given is no more than that rounded up."""
    return asked if 0 <= given - asked < ROUNDING_MIB / MIB_PER_GB else given


def _number(environ: "Mapping[str, str]", name: str, default: float) -> float:
    text = environ.get(name, "")
    return int(text) if text.isdigit() else default


def _plain(value: float) -> float:
    """To three digits; a whole number without its point."""
    return int(value) if value == int(value) else round(value, 3)
