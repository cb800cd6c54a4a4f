"""What the node is and what happens to the job on it, read from files and the environment alone."""

import os

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
    for name in ("SLURM_RESTART_COUNT", "PROMINENCE_RESTART_COUNT"):
        restarts = os.environ.get(name, "")
        if restarts.isdigit():
            return int(restarts)
    return int(read_ad(os.environ.get("_CONDOR_JOB_AD", "")).get("NumJobStarts", 0))


def completions() -> int:
    """How often this job has ended by itself and was kept in HTCondor's queue all the same."""
    return int(read_ad(os.environ.get("_CONDOR_JOB_AD", "")).get("NumJobCompletions", 0))


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


def read_ad(path: str) -> "dict[str, float]":
    """The numbers of a ClassAd file that HTCondor leaves for the job; none where ``path`` is empty."""
    numbers: "dict[str, float]" = {}
    for line in _read(path).splitlines() if path else ():
        key, _, value = line.partition("=")
        try:
            numbers[key.strip()] = float(value)
        except ValueError:
            continue
    return numbers


def _read(path: str) -> str:
    try:
        with open(path, "rb") as stream:
            return stream.read().decode("utf-8", "replace")
    except OSError:
        return ""
