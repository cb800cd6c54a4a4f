"""The rows' names, in the table's order; `inside` says what each of them does."""

from typing import Final

NAMES: Final = (
    "version",
    "dry-run",
    "create-slurm",
    "create-htcondor",
    "create-slurm-s3",
    "create-htcondor-s3",
    "sweep-slurm",
    "sweep-htcondor",
    "list-last",
    "exec-srun",
    "exec-ssh",
    "exec-htcondor",
    "one-task",
    "output",
    "in-tar",
    "in-tar-gz",
    "out-file",
    "out-folder",
    "out-text",
    "upload",
    "download",
    "download-many",
)
