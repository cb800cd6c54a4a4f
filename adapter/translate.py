"""From a job description to what the wrapper does (Plan) and what the scheduler must know (Submission).

Pure: whatever had to be looked up (where uploaded objects lie, where outputs go, the job's
numbers) is handed in. Only the paths of things are known here, never their content.
"""

import posixpath
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from prominence_hpc.adapter.shapes import on_one_node, shapes_of
from prominence_hpc.adapter.sources import Carrier, Places, artifact_of, images_of
from prominence_hpc.adapter.spec.job import (
    Artifact,
    InputFile,
    Job,
    Resources,
    StorageMount,
    Task,
)
from prominence_hpc.backends.base import Moldable, Shape, Submission
from prominence_hpc.backends.settings import SiteSettings
from prominence_hpc.wrappers import plan as plans

__all__ = [
    "Identity",
    "Membership",
    "OutputObject",
    "asked_of",
    "output_objects",
    "submission_of",
    "translate",
]

PATTERN_CHARACTERS = frozenset("*?[")
# PROMINENCE asks its scheduler for 1000 "MB" (MiB there) per GB; nodes sold with N GB then fit N.
MIB_PER_GB = 1000
# What clocks, and a scheduler that has just decided, may differ by.
CLOCK_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What makes a job this one: our numbers and its folder."""

    job_id: int
    uid: str
    tag: str
    folder: Path
    runner: Path
    email: str | None = None  # of its user, where it is known
    created: float = 0.0  # seconds since the epoch


@dataclass(frozen=True, kw_only=True)
class Membership:
    """What makes a job one of a workflow, or with ``sweep`` many.

    Locations of the sweep's objects are as object storage gives them.
    """

    workflow_id: int
    name: str  # WORKFLOW/JOB
    exit_code: plans.ExitCode
    # Whether its time in the queue begins later than its submission, or is its wrapper's affair.
    waits: bool = False
    sweep: plans.Sweep | None = None


@dataclass(frozen=True, kw_only=True)
class OutputObject:
    """One entry of outputFiles or outputDirs, and the object's name below the job's prefix."""

    name: str
    kind: Literal["file", "pattern", "directory"]
    object_name: str  # "" for a pattern: the node alone will know the names


def output_objects(job: Job) -> list[OutputObject]:
    """Every output of the job, files first, in the order of the description."""
    files = [output_file(name, job.artifacts) for name in job.output_files]
    directories = [
        OutputObject(
            name=name, kind="directory", object_name=posixpath.basename(name.rstrip("/")) + ".tgz"
        )
        for name in job.output_dirs
    ]
    return [*files, *directories]


def output_file(name: str, artifacts: Sequence[Artifact]) -> OutputObject:
    if PATTERN_CHARACTERS & set(name):
        return OutputObject(name=name, kind="pattern", object_name="")
    relative = posixpath.normpath(below_working_directory(name, artifacts))
    return OutputObject(name=name, kind="file", object_name=relative)


def below_working_directory(name: str, artifacts: Sequence[Artifact]) -> str:
    """``name`` without an artifact's mount path: what lies there lies in the working directory."""
    for artifact in artifacts:
        mount = artifact.mountpoint
        if mount and name.startswith(mount.path.rstrip("/") + "/"):
            return posixpath.join(mount.directory, name[len(mount.path.rstrip("/")) + 1 :])
    return name


def translate(
    job: Job,
    identity: Identity,
    places: Places,
    site: SiteSettings,
    login_environment: Mapping[str, str] = MappingProxyType({}),
    member: Membership | None = None,
) -> tuple[plans.Plan, Submission]:
    """The plan for the wrapper and the submission for the backend of ``site``.

    ``job`` has passed :func:`prominence_hpc.adapter.spec.honoured.refuse_unsupported`. Of
    ``login_environment`` the job gets what the site forwards. A job of a workflow is ``member``.
    """
    carrier = Carrier(shared=shares_files(site))
    asked = asked_of(job, identity, site)
    plan = plan_of(job, identity, places, site, asked, carrier, login_environment)
    if member is not None:
        plan = as_member(plan, job, member, carrier, asked.queue_seconds)
    return plan, submission_of(job, identity, site, asked, carrier, plan.name)


def as_member(
    plan: plans.Plan, job: Job, member: Membership, carrier: Carrier, queue_seconds: int
) -> plans.Plan:
    """The plan of a workflow's job; of a sweep's, commands are split once their values are known."""
    plan = replace(
        plan, name=member.name, workflow_id=member.workflow_id, exit_code=member.exit_code
    )
    if member.waits:
        plan = replace(plan, start_before=None, queue_seconds=queue_seconds)
    if member.sweep is None:
        return plan
    objects = {
        name: replace(item, source=carrier.source(item.source))
        for name, item in member.sweep.objects.items()
    }
    tasks = tuple(
        replace(task, command=None, command_line=described.cmd)
        for task, described in zip(plan.tasks, job.tasks, strict=True)
    )
    return replace(plan, tasks=tasks, sweep=replace(member.sweep, objects=objects))


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What plan and submission both go by: sizes, and times in seconds."""

    resources: Resources  # with a shape chosen where there is but one
    shapes: tuple[Shape, ...]
    cpus: int  # per node
    memory_gb: float  # per node
    staging_seconds: int
    limit_seconds: int
    queue_seconds: int
    retries: int
    shared_scratch: str | None


def asked_of(job: Job, identity: Identity, site: SiteSettings) -> Asked:
    shared_scratch = shared_scratch_of(site, identity.folder)
    several_nodes = site.backend != "local" and shared_scratch is not None
    resources, shapes = sizes_of(job.resources, several_nodes=several_nodes)
    cpus = least_cpus(resources)
    staging_seconds = ceil(site.staging_minutes * 60)
    return Asked(
        resources=resources,
        shapes=shapes,
        cpus=cpus,
        memory_gb=memory_of(resources, cpus),
        staging_seconds=staging_seconds,
        limit_seconds=resources.walltime * 60 + staging_seconds,
        queue_seconds=max(0, job.policies.maximum_time_in_queue or 0) * 60,
        retries=job.policies.maximum_retries or 0,
        shared_scratch=shared_scratch if has_nodes(resources) else None,
    )


def plan_of(
    job: Job,
    identity: Identity,
    places: Places,
    site: SiteSettings,
    asked: Asked,
    carrier: Carrier,
    login_environment: Mapping[str, str],
) -> plans.Plan:
    images, indices = images_of(job, places, carrier)
    by_command = bool(job.notifications) and site.mail == "command"
    # Every scheduler takes care of this by itself, but for what is in Slurm's way (its render.py).
    late = asked.retries and asked.queue_seconds
    return plans.Plan(
        job_id=identity.job_id,
        job_uid=identity.uid,
        name=job.name,
        cpus=asked.cpus,
        memory_gb=asked.memory_gb,
        memory_gb_per_cpu=asked.resources.memory_per_cpu,
        disk_gb=job.resources.disk,
        gpus=asked.resources.gpus or 0,
        nodes=asked.resources.nodes or 1,
        walltime_seconds=asked.resources.walltime * 60,
        limit_seconds=asked.limit_seconds,
        reserve_seconds=asked.staging_seconds // 2,
        inputs=tuple(input_of(item) for item in job.inputs),
        artifacts=tuple(artifact_of(item, places, carrier) for item in job.artifacts),
        images=images,
        storage=None if job.storage is None else storage_of(job.storage, site),
        tasks=tuple(task_of(task, image) for task, image in zip(job.tasks, indices, strict=True)),
        outputs=tuple(output_of(item, places, carrier) for item in output_objects(job)),
        task_retries=job.policies.maximum_task_retries or 0,
        ignore_task_failures=job.policies.ignore_task_failures,
        report_job_success_on_task_failure=job.policies.report_job_success_on_task_failure,
        maximum_retries=asked.retries,
        start_before=identity.created + asked.queue_seconds + CLOCK_SECONDS if late else None,
        ca_certificates=places.ca_certificates,
        environment=dict(site.environment),
        forwarded_environment=forwarded(site, login_environment),
        binds=site.binds,
        scratch=site.scratch,
        shared_scratch=asked.shared_scratch,
        serial_tasks_on_all_nodes=job.policies.run_serial_tasks_on_all_nodes,
        image_cache=site.image_cache,
        image_cache_bytes=int(site.image_cache_gb * 1e9),
        mail_command=site.mail_command if by_command else (),
        mail_address=identity.email if by_command else None,
    )


def input_of(item: InputFile) -> plans.InputFile:
    return plans.InputFile(filename=item.filename, content=item.content, executable=item.executable)


def forwarded(site: SiteSettings, login_environment: Mapping[str, str]) -> dict[str, str]:
    """Of the login node's environment what the site forwards and is set."""
    return {
        name: login_environment[name]
        for name in site.forward_environment
        if name in login_environment
    }


def submission_of(
    job: Job,
    identity: Identity,
    site: SiteSettings,
    asked: Asked,
    carrier: Carrier,
    name: str,
) -> Submission:
    """After :func:`plan_of`, which tells the carrier what must travel."""
    resources, per_cpu = asked.resources, asked.resources.memory_per_cpu
    by_scheduler = bool(job.notifications) and site.mail == "scheduler"
    return Submission(
        tag=identity.tag,
        job_id=identity.job_id,
        name=name,
        labels=dict(job.labels),
        folder=identity.folder,
        runner=identity.runner,
        cpus=asked.cpus,
        memory_mib=mib(asked.memory_gb),
        disk_mib=mib(resources.disk),
        nodes=resources.nodes or 1,
        limit_seconds=asked.limit_seconds,
        priority=job.policies.priority,
        gpus=resources.gpus or 0,
        gpu_type=resources.gpu_type,
        moldable=None if asked.shapes else moldable_of(resources),
        shapes=asked.shapes,
        memory_mib_per_cpu=None if per_cpu is None else mib(per_cpu),
        mails=by_scheduler,
        mail_address=identity.email if by_scheduler else None,
        maximum_retries=asked.retries,
        queue_limit_seconds=asked.queue_seconds,
        preemptible=job.policies.preemptible,
        transfer=carrier.transfer(),
    )


def shares_files(site: SiteSettings) -> bool:
    """Whether the site's nodes see this file system: HTCondor's are taken not to, unless told."""
    if site.shared_filesystem is not None:
        return site.shared_filesystem
    return site.backend != "htcondor"


def sizes_of(resources: Resources, *, several_nodes: bool) -> tuple[Resources, tuple[Shape, ...]]:
    """What is asked for, and the shapes to choose from where it is CPUs over several nodes."""
    if several_nodes and resources.total_cpus_range is not None:
        return resources, shapes_of(resources)
    return on_one_node(resources) or resources, ()


def least_cpus(resources: Resources) -> int:
    """CPUs per node; the least of a job that may have more."""
    several = resources.cpus_range or resources.cpus_options
    return min(several) if several else resources.cpus or 1


def moldable_of(resources: Resources) -> Moldable | None:
    several = resources.cpus_range or resources.cpus_options
    if several is None or min(several) == max(several):
        return None
    return Moldable(most_cpus=max(several), between=resources.cpus_range is not None)


def mib(gigabytes: float) -> int:
    """What the scheduler is asked for; a hair's breadth over a whole number is a float's, not the user's."""
    return ceil(round(gigabytes * MIB_PER_GB, 6))


def has_nodes(resources: Resources) -> bool:
    """Whether the job may have several nodes."""
    return resources.nodes is None or resources.nodes > 1


def shared_scratch_of(site: SiteSettings, folder: Path) -> str | None:
    """A folder that all nodes of a job see: the site's, else the job's own; None where neither is.

    >>> shared_scratch_of(SiteSettings(name="s", backend="slurm"), Path("/home/me/jobs/7"))
    '/home/me/jobs/7'
    """
    return site.shared_scratch or (str(folder) if shares_files(site) else None)


def memory_of(resources: Resources, cpus: int) -> float:
    """GB per node."""
    if resources.memory is not None:
        return resources.memory
    return (resources.memory_per_cpu or 0) * cpus


def storage_of(storage: StorageMount, site: SiteSettings) -> plans.Storage:
    """B2DROP's address is known; that of any other server is the user's to give."""
    given = storage.credentials
    if storage.type == "b2drop":
        url, username, password = site.b2drop_url, given["app-username"], given["app-password"]
    else:
        url, username, password = given["url"], given["username"], given["password"]
    return plans.Storage(
        url=url, username=username, password=password, mountpoint=storage.mountpoint
    )


def task_of(task: Task, image: int) -> plans.Task:
    return plans.Task(
        image=image,
        command=None if task.cmd is None else tuple(shlex.split(task.cmd)),
        environment=dict(task.env),
        workdir=task.workdir,
        stdout=task.stdout,
        app=task.app,
        runtime=task.runtime,
        type=task.type,
        processes_per_node=task.procs_per_node,
    )


def output_of(item: OutputObject, places: Places, carrier: Carrier) -> plans.Output:
    return plans.Output(
        name=item.name,
        kind=item.kind,
        object_name=item.object_name,
        destination=carrier.destination(places.destinations[item.kind, item.name]),
    )
