"""A job as its description says it: validated, typed, engine-free.

Made by :mod:`prominence_hpc.adapter.spec.decode` from JSON or YAML; names are the contract's, in Python's
spelling. Nothing here has been looked up: images and artifacts are still names.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = [
    "Artifact",
    "InputFile",
    "Job",
    "MountPoint",
    "Notification",
    "Placement",
    "Policies",
    "PullCredential",
    "Resources",
    "StorageMount",
    "Task",
    "TaskType",
]

TaskType = Literal["basic", "sidecar", "openmpi", "mpich", "intelmpi"]

# repr=False: the methods for display, written at import, would cost every `create` a millisecond.


@dataclass(frozen=True, kw_only=True)
class PullCredential:
    """Login of a private image registry; the token is kept out of every ``repr``."""

    username: str
    token: str = field(repr=False)


@dataclass(frozen=True, kw_only=True, repr=False)
class Task:
    """One entry of ``tasks``."""

    image: str
    cmd: str | None = None
    runtime: Literal["singularity", "udocker"] = "singularity"
    env: Mapping[str, str] = field(default_factory=dict)  # numbers already as text
    workdir: str | None = None
    type: TaskType = "basic"
    procs_per_node: int | None = None
    app: str | None = None
    image_pull_credential: PullCredential | None = None
    image_sha256: str | None = None
    stdout: str | None = None


@dataclass(frozen=True, kw_only=True, repr=False)
class Resources:
    """``resources``; memory and disk in GB, walltime in minutes. Ranges are (minimum, maximum)."""

    nodes: int | None = 1  # None with total_cpus_range
    cpus: int | None = 1  # None with cpus_range, cpus_options or total_cpus_range
    cpus_range: tuple[int, int] | None = None
    cpus_options: tuple[int, int] | None = None
    total_cpus_range: tuple[int, int] | None = None
    memory: float | None = None  # exactly one of memory and memory_per_cpu
    memory_per_cpu: float | None = None
    disk: float = 10
    walltime: int = 720
    gpus: int | None = None  # per node
    gpu_type: str | None = None


@dataclass(frozen=True, kw_only=True, repr=False)
class InputFile:
    """A small file that travels with the job; ``content`` is base64."""

    filename: str
    content: str
    executable: bool = False


@dataclass(frozen=True, kw_only=True, repr=False)
class MountPoint:
    """``DIR:/ABSOLUTE/PATH``: a folder of the working directory also seen at an absolute path."""

    directory: str
    path: str


@dataclass(frozen=True, kw_only=True, repr=False)
class Artifact:
    """Data to fetch: an http(s) URL or the name of an uploaded object."""

    url: str
    mountpoint: MountPoint | None = None
    executable: bool = False


@dataclass(frozen=True, kw_only=True, repr=False)
class Placement:
    """Sites and regions that must (requirements) or should (preferences, in order) run the job."""

    required_sites: tuple[str, ...] = ()
    required_regions: tuple[str, ...] = ()
    preferred_sites: tuple[str, ...] = ()
    preferred_regions: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, repr=False)
class Policies:
    """``policies``; None is "not said"."""

    maximum_retries: int | None = None
    maximum_task_retries: int | None = None
    maximum_time_in_queue: int | None = None  # minutes; -1 and 0: no limit
    leave_in_queue: bool = False
    ignore_task_failures: bool = False
    report_job_success_on_task_failure: bool = False
    run_serial_tasks_on_all_nodes: bool = False
    priority: int | None = None
    placement: Placement | None = None
    preemptible: bool = False
    auto_scaling_type: str | None = None
    maximum_idle_time_per_resource: int | None = None


@dataclass(frozen=True, kw_only=True, repr=False)
class Notification:
    """``notifications``: an e-mail when the job has finished."""

    event: str
    type: str


@dataclass(frozen=True, kw_only=True)
class StorageMount:
    """``storage``: remote storage mounted in the containers; ``credentials`` never shown."""

    type: str
    mountpoint: str
    for_outputs: bool = False  # whether outputs are to go there too, PROMINENCE's "default"
    credentials: Mapping[str, str] = field(repr=False, default_factory=dict)


@dataclass(frozen=True, kw_only=True, repr=False)
class Job:
    """A whole job. ``document`` is the description as JSON data, as ``describe --input`` shows it."""

    tasks: tuple[Task, ...]
    resources: Resources
    name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[InputFile, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    output_files: tuple[str, ...] = ()
    output_dirs: tuple[str, ...] = ()
    policies: Policies = Policies()
    notifications: tuple[Notification, ...] = ()
    storage: StorageMount | None = None
    document: Mapping[str, Any] = field(default_factory=dict, repr=False)
