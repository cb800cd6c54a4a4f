"""``plan.json``: everything that the wrapper on the compute node does, decided before submission.

The adapter builds a :class:`Plan`, :func:`render` writes it as readable JSON, and
``wrappers/runtime`` reads that JSON back as plain dictionaries (it runs under any Python 3.6+ and
imports nothing of ours). Field names here are the keys there. A plan may hold presigned URLs,
which are bearer tokens: its file is written 0600.
"""

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Literal

__all__ = [
    "PLAN_VERSION",
    "Artifact",
    "Destination",
    "ExitCode",
    "Image",
    "InputFile",
    "Mount",
    "Output",
    "Plan",
    "Storage",
    "Sweep",
    "SweepParameter",
    "SweptObject",
    "Task",
    "TaskType",
    "render",
]

PLAN_VERSION = 1

TaskType = Literal["basic", "sidecar", "openmpi", "mpich", "intelmpi"]
ExitCode = Literal["plain", "strict", "silent"]


@dataclass(frozen=True, kw_only=True)
class InputFile:
    """A small file that travels inside the plan and lands in the working directory."""

    filename: str
    content: str  # base64
    executable: bool = False


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A folder of the working directory that the containers also see at an absolute path."""

    directory: str  # one name, without "/"
    path: str  # absolute, inside the container


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """Data fetched before the first task; an archive is unpacked as it streams.

    ``source`` is an http(s) URL or a path; a relative path counts from the folder of the plan.
    """

    name: str  # as the user wrote it, for messages: never the presigned URL
    filename: str  # the name it has in the working directory when it is no archive
    source: str
    sha256: str | None = None
    size_bytes: int | None = None
    executable: bool = False
    mount: Mount | None = None


@dataclass(frozen=True, kw_only=True)
class Image:
    """A container image, fetched once however many tasks use it.

    ``kind``: ``sif`` and ``docker-archive`` are files to fetch from ``source`` (URL or path, as for
    artifacts; an absolute path is used where it lies, without a copy); ``registry`` is a reference
    that the container runtime itself resolves (``docker://…``, ``oras://…``, ``library://…``,
    ``shub://…``); ``directory-or-file`` is an absolute path on the node whose kind is seen there.
    ``sha256`` is the file's, or the digest of a registry's manifest: another image is not run.
    """

    name: str  # as the user wrote it, for messages
    kind: Literal["sif", "docker-archive", "registry", "directory-or-file"]
    source: str
    sha256: str | None = None
    size_bytes: int | None = None
    username: str | None = None  # of a private registry
    token: str | None = field(default=None, repr=False)
    runtime: Literal["singularity", "udocker"] = "singularity"  # what will run it


@dataclass(frozen=True, kw_only=True)
class Storage:
    """Remote storage that every container sees as a folder at ``mountpoint``, by WebDAV."""

    url: str
    username: str
    password: str = field(repr=False)
    mountpoint: str  # absolute, inside the containers


@dataclass(frozen=True, kw_only=True)
class Task:
    """One command in a container. ``command`` is an argument list, never a shell text."""

    image: int  # index into Plan.images
    command: tuple[str, ...] | None = None  # None: the image's own run script
    # In the plan of a sweep, in place of ``command``: the user's text, which is split as a shell would
    # once the parameters' values are in it.
    command_line: str | None = None
    environment: dict[str, str] = field(default_factory=dict)
    workdir: str | None = None  # relative to the working directory, or absolute in the container
    stdout: str | None = None  # file below the working directory, or below an artifact's mount path
    app: str | None = None  # SCIF app
    runtime: Literal["singularity", "udocker"] = "singularity"
    # A sidecar runs beside the others: from before the first of them until after the last.
    type: TaskType = "basic"
    processes_per_node: int | None = None  # of MPI tasks; None: one for each CPU


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where one output goes.

    ``put``: ``url`` takes one object by HTTP PUT with a Content-Length.
    ``post``: ``url`` takes any number of objects by multipart/form-data POST; ``fields`` are sent
    first, ``fields["key"]`` being the prefix to which the object's name is added.
    ``folder``: ``path`` is a folder (a relative one counts from the folder of the plan) into which
    files are written under a temporary name and renamed.
    """

    method: Literal["put", "post", "folder"]
    url: str | None = None
    fields: dict[str, str] = field(default_factory=dict)
    path: str | None = None


@dataclass(frozen=True, kw_only=True)
class Output:
    """A file, a shell pattern of files, or a directory that becomes ``BASENAME.tgz``."""

    name: str  # as the user wrote it, relative to the working directory
    kind: Literal["file", "pattern", "directory"]
    object_name: str  # name below the destination; for a pattern the prefix of names, often ""
    destination: Destination


@dataclass(frozen=True, kw_only=True)
class SweepParameter:
    """``$name`` and ``${name}`` become one of the values."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class SweptObject:
    """An uploaded object that the jobs of a sweep read, under a name with parameters in it."""

    source: str  # as Artifact.source
    sha256: str | None = None
    size_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What makes many jobs of one plan: each node puts in the values of its own job.

    Copy N has the index ``indices[N]`` (or N, where there are none), and of each parameter one value:
    where ``product``, every combination has an index, and the last parameter changes fastest;
    otherwise the index is that of the value. Values are put into commands, environments, folders,
    artifacts' addresses and outputs' names; outputs of copy N go to ``N/`` below their destination,
    and everything else of copy N is in the folder ``N`` beside the plan.
    """

    first_job_id: int  # of copy 0; the others' follow
    parameters: tuple[SweepParameter, ...] = ()
    product: bool = False
    indices: tuple[int, ...] | None = None
    # By the artifact's name with the values in it; those that are on the web need none.
    objects: dict[str, SweptObject] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the wrapper does for one job, in the order of its fields from ``inputs`` on."""

    job_id: int
    job_uid: str
    name: str
    workflow_id: int | None = None
    # Per node, as asked for: of a job that may be larger the least. The node tells what it got.
    cpus: int
    memory_gb: float
    memory_gb_per_cpu: float | None = None  # where the memory goes with the CPUs
    disk_gb: float
    gpus: int = 0
    nodes: int = 1
    # The tasks may take walltime_seconds from the start of the first; the scheduler ends the whole
    # job limit_seconds after its start; reserve_seconds of that are kept for stage-out.
    walltime_seconds: int
    limit_seconds: int
    reserve_seconds: int
    # How long the scheduler waits between its SIGTERM and its SIGKILL (KillWait in slurm.conf(5)).
    grace_seconds: int = 25
    inputs: tuple[InputFile, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    images: tuple[Image, ...] = ()
    storage: Storage | None = None
    tasks: tuple[Task, ...] = ()
    outputs: tuple[Output, ...] = ()
    # A folder that all nodes of the job see; None: the job has one node. $NAME and ~ as in ``scratch``.
    shared_scratch: str | None = None
    serial_tasks_on_all_nodes: bool = False
    task_retries: int = 0
    ignore_task_failures: bool = False
    report_job_success_on_task_failure: bool = False
    maximum_retries: int = (
        0  # of the whole job, after failures of its tasks or of what is around them
    )
    # A first attempt later than this (seconds since the epoch) has waited too long; None: never.
    start_before: float | None = None
    # Of a job that waits for others: how long it may wait after those. 0: as long as need be, or the
    # scheduler sees to it.
    queue_seconds: int = 0
    parameters: dict[str, str] = field(default_factory=dict)  # become PROMINENCE_PARAMETER_*
    environment: dict[str, str] = field(default_factory=dict)  # the site's, for every task
    # The user's own, from the login node, for the wrapper itself and for every task: before the
    # site's. Tokens may be among them.
    forwarded_environment: dict[str, str] = field(default_factory=dict, repr=False)
    binds: tuple[str, ...] = ()  # the site's, "SOURCE[:TARGET[:OPTIONS]]" as the runtime takes them
    # Where the working directory is made; $NAME is filled in on the node. None: the scheduler's
    # scratch folder if it names one, else $TMPDIR, else /tmp.
    scratch: str | None = None
    image_cache: str | None = None  # folder; $NAME and ~ are filled in on the node; None: no cache
    image_cache_bytes: int = 0  # least recently used images beyond this are removed
    # The site's command for the e-mail at the job's end; none: none is sent. Without an address it goes
    # to the user by login name.
    mail_command: tuple[str, ...] = ()
    mail_address: str | None = None
    # PEM text of certificates that TLS is verified against, beside the node's own.
    ca_certificates: str | None = None
    # How the wrapper's exit code tells of the job: "plain": a task's failure is none of the job's;
    # "strict": it is one (code 13), for schedulers that decide by the code what is run next;
    # "silent": always 0, but for another attempt, where whoever decides reads the reports.
    exit_code: ExitCode = "plain"
    sweep: Sweep | None = None


def render(plan: Plan) -> str:
    """The plan as JSON text, keys in the order of the fields, ASCII only, ending in a newline."""
    document = {"version": PLAN_VERSION, **dataclasses.asdict(plan)}
    return json.dumps(document, indent=1) + "\n"
