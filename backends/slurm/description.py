"""sbatch's options as attributes of pyslurm's ``JobSubmitDescription``: pure functions.

https://pyslurm.github.io/25.11/reference/jobsubmitdescription/. pyslurm reads ``#SBATCH`` lines only by
rules of its own, and passes over those that it does not know: nothing is left to it.
"""

import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["attributes", "inexpressible_options"]


def _comma_separated(text: str) -> list[str]:
    return text.split(",")


def _is_given(_: str) -> bool:
    return True


# sbatch's option, and how pyslurm calls it and takes it. Another option is submitted by sbatch.
_ATTRIBUTES: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "account": ("account", str),
    "chdir": ("working_directory", str),
    "comment": ("comment", str),
    "cpus-per-task": ("cpus_per_task", int),
    "deadline": ("deadline", str),
    "error": ("standard_error", str),
    "job-name": ("name", str),
    "mail-type": ("mail_types", _comma_separated),
    "mail-user": ("mail_user", str),
    "mem": ("memory_per_node", str),
    "nice": ("nice", int),
    "nodes": ("nodes", str),
    "ntasks-per-node": ("ntasks_per_node", int),
    "open-mode": ("log_files_open_mode", str),
    "output": ("standard_output", str),
    "partition": ("partitions", _comma_separated),
    "qos": ("qos", str),
    "requeue": ("is_requeueable", _is_given),
    "time": ("time_limit", int),  # minutes
}
# How the launchers of MPI are told to start processes on the job's other nodes: by srun, in a step that
# leaves the job's resources to others.
_MPI_LAUNCHERS: Mapping[str, str] = {
    "HYDRA_BOOTSTRAP": "slurm",
    "HYDRA_LAUNCHER_EXTRA_ARGS": "--external-launcher",
    "I_MPI_HYDRA_BOOTSTRAP": "slurm",
    "I_MPI_HYDRA_BOOTSTRAP_EXEC_EXTRA_ARGS": "--external-launcher",
    "OMPI_MCA_plm_slurm_args": "--external-launcher",
    "PRTE_MCA_plm_slurm_args": "--external-launcher",
}
# pyslurm passes on no limits of the login node to begin with.
_NOTHING_TO_SAY = {"propagate": "NONE"}


def inexpressible_options(options: Mapping[str, str]) -> list[str]:
    """Those of sbatch's options that pyslurm is not told of in the same words."""
    return [
        name
        for name, value in options.items()
        if (name not in _ATTRIBUTES and _NOTHING_TO_SAY.get(name) != value)
        or (name == "nodes" and not value.isdecimal())  # a range, of which the tasks are not known
    ]


def attributes(
    options: Mapping[str, str], script: Path, environment: Mapping[str, str]
) -> dict[str, Any]:
    """The attributes that stand for sbatch's ``options``, run with nothing but ``environment``."""
    told = {
        _ATTRIBUTES[name][0]: _ATTRIBUTES[name][1](value)
        for name, value in options.items()
        if name in _ATTRIBUTES
    }
    tasks = int(options["nodes"]) * int(options["ntasks-per-node"])
    return {
        **told,
        "ntasks": tasks,
        "script": str(script),
        "script_args": [str(script)],  # the name that squeue shows as the job's command
        "environment": {**environment, **_sbatch_variables(options)},
    }


def _sbatch_variables(options: Mapping[str, str]) -> dict[str, str]:
    """What sbatch adds to a job's environment, beside what the node does.

    slurmd takes SLURM_UMASK as the job's umask: without it the job's files would be everybody's to read.
    https://slurm.schedmd.com/sbatch.html#SECTION_OUTPUT-ENVIRONMENT-VARIABLES
    """
    cpus = options["cpus-per-task"]
    return {
        **_MPI_LAUNCHERS,
        "SLURM_CPUS_PER_TASK": cpus,
        "SLURM_NTASKS_PER_NODE": options["ntasks-per-node"],
        "SLURM_PRIO_PROCESS": "0",
        "SLURM_SUBMIT_DIR": options["chdir"],
        "SLURM_SUBMIT_HOST": socket.gethostname(),
        "SLURM_TRES_PER_TASK": f"cpu={cpus}",
        "SLURM_UMASK": "0077",
    }
