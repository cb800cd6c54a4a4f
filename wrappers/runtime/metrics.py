"""What the node is and what the scheduler gave, read from files and the environment alone."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


# What a GB of a job description is to the scheduler; the login node asks by the same rate.
MIB_PER_GB = 1000.0
KIB_PER_GB = 1024.0 * MIB_PER_GB


def cpu() -> "dict[str, str]":
    """Vendor, model and clock of the first processor, as /proc/cpuinfo has them."""
    wanted = {"vendor_id": "vendor", "model name": "model", "cpu MHz": "clock"}
    found: "dict[str, str]" = {}
    for line in _read("/proc/cpuinfo").split("\n\n", 1)[0].splitlines():
        key, _, value = line.partition(":")
        if key.strip() in wanted:
            found[wanted[key.strip()]] = value.strip()
    return found


def attempt() -> int:
    """How often the scheduler has started this job before: 0 at first."""
    restarts = os.environ.get("SLURM_RESTART_COUNT", "")
    if restarts.isdigit():
        return int(restarts)
    return int(_ad("_CONDOR_JOB_AD").get("NumJobStarts", 0))


def provisioned(plan: "dict[str, Any]") -> "dict[str, float]":
    """CPUs and memory (GB) per node, disk (GB), nodes: the scheduler's word, else the plan's."""
    machine = _ad("_CONDOR_MACHINE_AD")
    environ = os.environ
    cpus = _number(environ.get("SLURM_CPUS_ON_NODE"), machine.get("Cpus", plan["cpus"]))
    memory = machine["Memory"] / MIB_PER_GB if "Memory" in machine else plan["memory_gb"]
    memory_mib = _number(environ.get("SLURM_MEM_PER_NODE"), 0)
    disk = machine["Disk"] / KIB_PER_GB if "Disk" in machine else plan["disk_gb"]
    found = {
        "cpus": cpus,
        "memory": memory_mib / MIB_PER_GB if memory_mib else memory,
        "disk": disk,
        "nodes": _number(environ.get("SLURM_JOB_NUM_NODES"), plan["nodes"]),
    }
    return {key: _plain(value) for key, value in found.items()}


def _plain(value: float) -> float:
    """To three digits; a whole number without its point."""
    return int(value) if value == int(value) else round(value, 3)


def memory_kills() -> "int | None":
    """How many processes of this job's control group were killed for memory; None: not known.

    memory.events of cgroup v2, memory.oom_control of v1: cgroups(7), kernel admin-guide.
    """
    for line in _read("/proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            text = _read("/sys/fs/cgroup%s/memory.events" % path)
        elif "memory" in controllers.split(","):
            text = _read("/sys/fs/cgroup/memory%s/memory.oom_control" % path)
        else:
            continue
        for entry in text.splitlines():
            key, _, value = entry.partition(" ")
            if key == "oom_kill" and value.isdigit():
                return int(value)
    return None


def _ad(variable: str) -> "dict[str, float]":
    """The numbers of a ClassAd file that HTCondor leaves for the job; empty elsewhere."""
    numbers: "dict[str, float]" = {}
    path = os.environ.get(variable, "")
    for line in _read(path).splitlines() if path else ():
        key, _, value = line.partition("=")
        try:
            numbers[key.strip()] = float(value)
        except ValueError:
            continue
    return numbers


def _number(text: "str | None", default: float) -> float:
    return int(text) if text and text.isdigit() else default


def _read(path: str) -> str:
    try:
        with open(path, "rb") as stream:
            return stream.read().decode("utf-8", "replace")
    except OSError:
        return ""
