"""The rows of the table: every key of a job description, in the contract's order, and its kinds.

A row is named as the marks of tests name it. What no test can show has its reason here.
"""

from collections.abc import Mapping
from typing import Final

__all__ = ["COLUMNS", "NOT_APPLICABLE", "ROWS"]

# The names that fixtures give their engines, and the titles of the columns.
COLUMNS: Final[Mapping[str, str]] = {
    "slurm": "Slurm, commands",
    "slurm-pyslurm": "Slurm, pyslurm",
    "htcondor": "HTCondor",
    "local": "local",
}

ROWS: Final = (
    "name",
    "labels",
    "tasks.image uploaded .sif",
    "tasks.image uploaded .simg",
    "tasks.image uploaded .tar",
    "tasks.image uploaded .tgz",
    "tasks.image http(s)",
    "tasks.image absolute path",
    "tasks.image docker://",
    "tasks.image registry name",
    "tasks.image oras://",
    "tasks.image library://",
    "tasks.image shub://",
    "tasks.cmd",
    "tasks.cmd absent",
    "tasks.runtime singularity",
    "tasks.runtime udocker",
    "tasks.env",
    "tasks.workdir",
    "tasks.type basic",
    "tasks.type sidecar",
    "tasks.type openmpi",
    "tasks.type mpich",
    "tasks.type intelmpi",
    "tasks.procsPerNode",
    "tasks.app",
    "tasks.imagePullCredential",
    "tasks.imageSha256",
    "tasks.stdout",
    "resources.nodes",
    "resources.cpus",
    "resources.cpusRange",
    "resources.cpusOptions",
    "resources.totalCpusRange",
    "resources.memory",
    "resources.memoryPerCpu",
    "resources.disk",
    "resources.walltime",
    "resources.gpus",
    "resources.gpuType",
    "inputs",
    "artifacts.url uploaded",
    "artifacts.url http(s)",
    "artifacts.mountpoint",
    "artifacts.executable",
    "outputFiles",
    "outputDirs",
    "policies.maximumRetries",
    "policies.maximumTaskRetries",
    "policies.maximumTimeInQueue",
    "policies.leaveInQueue",
    "policies.ignoreTaskFailures",
    "policies.reportJobSuccessOnTaskFailure",
    "policies.runSerialTasksOnAllNodes",
    "policies.priority",
    "policies.placement",
    "policies.preemptible",
    "policies.autoScalingType",
    "policies.maximumIdleTimePerResource",
    "notifications",
    "storage b2drop/webdav",
    "storage onedata",
    "environment",
    # Of workflows
    "dependencies",
    "factories parameterSweep",
    "factories zip",
    "factories repeat",
)

# Cells that nothing can fill: row and column, and why.
NOT_APPLICABLE: Final[Mapping[tuple[str, str], str]] = {
    (
        "resources.disk",
        "local",
    ): "this machine's disk is shared by all who use it; none is set aside",
    ("policies.runSerialTasksOnAllNodes", "local"): "there is one node",
    **{
        (
            f"tasks.image {scheme}://",
            column,
        ): "handed to Apptainer; the test site reaches no such server"
        for scheme in ("library", "shub")
        for column in COLUMNS
    },
}
