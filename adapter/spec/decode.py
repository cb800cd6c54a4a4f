"""Text to a validated job: every key of a job description, what it may hold, all problems at once.

The tables below are the contract's section on job descriptions. Reading files and the expansions
that the command line makes come before (:mod:`prominence_hpc.adapter.spec.job_file`), what this version
can honour comes after (:mod:`prominence_hpc.adapter.spec.honoured`).
"""

from collections.abc import Mapping
from typing import Any

from prominence_hpc.adapter.spec import rules, texts
from prominence_hpc.adapter.spec.fields import (
    Field,
    Reader,
    Table,
    boolean,
    choice,
    list_of,
    mapping_of,
    nullable,
    number,
    pair_of,
    read_keys,
    record,
    secret,
    text,
    then,
    whole_number,
)
from prominence_hpc.adapter.spec.job import (
    Artifact,
    InputFile,
    Job,
    Notification,
    Placement,
    Policies,
    PullCredential,
    Resources,
    StorageMount,
    Task,
)
from prominence_hpc.adapter.spec.place import INVALID, Place
from prominence_hpc.errors import Problem, SpecError

__all__ = ["decode_job", "read_job"]

STORAGE_MOUNTPOINT = "/data"  # the one in PROMINENCE's own examples
MOST_CPUS = 1_000_000  # technical bounds, far beyond any machine: what schedulers can hold
MOST_GPUS = 10_000
MOST_GB = 1_000_000_000
MOST_MINUTES = 10_000_000  # nineteen years
MOST_PRIORITY = 1_000_000_000
MOST_QUEUE_MINUTES = 44640  # the contract's: 31 days


def decode_job(document: object) -> Job:
    """The job that ``document`` (JSON data) describes; the caller leaves ``document`` as it is.

    Raises SpecError with every problem in it. No other exception, whatever the document.
    """
    if isinstance(document, dict) and "jobs" in document:
        message = "is a key of workflows, and this must be one job"
        raise SpecError([Problem("jobs", message)])
    place = Place()
    job: Job = read_job(document, place)
    if place.problems:
        raise SpecError(place.problems)
    return job


def read_job(value: object, place: Place) -> Any:
    """The job, or INVALID with what is wrong with it noted at ``place``."""
    before = len(place.problems)
    values = read_keys(value, place, JOB, OF_RESOURCES | OF_POLICIES | OF_TASKS)
    if values is not INVALID:
        rules.check_job(values, place)
    if len(place.problems) > before or not isinstance(value, dict):
        return INVALID
    return Job(**values, document=value)


def resources_from(**values: Any) -> Resources:
    """What is not said takes its default, unless another form of the same says it."""
    if "total_cpus_range" in values:
        values["nodes"] = None
    if values.keys() & {"cpus_range", "cpus_options", "total_cpus_range"}:
        values.setdefault("cpus", None)
    return Resources(**values)


def ascending(value: tuple[int, int], place: Place) -> Any:
    if value[0] > value[1]:
        return place.note(f"must be [minimum, maximum], not [{value[0]}, {value[1]}]")
    return value


def placement_from(
    requirements: dict[str, Any] | None = None, preferences: dict[str, Any] | None = None
) -> Placement:
    required, preferred = requirements or {}, preferences or {}
    return Placement(
        required_sites=required.get("sites", ()),
        required_regions=required.get("regions", ()),
        preferred_sites=preferred.get("sites", ()),
        preferred_regions=preferred.get("regions", ()),
    )


def storage_from(**values: Any) -> StorageMount:
    kind = values["type"]
    return StorageMount(
        type=kind,
        mountpoint=values.get("mountpoint") or STORAGE_MOUNTPOINT,
        for_outputs=values.get("default", False),
        credentials=values.get(kind, {}),
    )


def input_reader(value: object, place: Place) -> Any:
    if isinstance(value, str) and value.startswith(texts.FILE_SCHEME):
        return place.note(texts.LOCAL_ONLY)
    return INPUT(value, place)


NAME = text(texts.not_empty)
CPUS = whole_number(1, MOST_CPUS)
CPU_RANGE = then(pair_of(CPUS, "minimum, maximum"), ascending)
GIGABYTES = number(MOST_GB)
RETRIES = whole_number(1, 6)
NAMES = list_of(NAME)

PULL_CREDENTIAL: Table = {
    "username": Field("username", NAME, required=True),
    "token": Field("token", secret, required=True),
}
TASK: Table = {
    "image": Field("image", text(texts.image_name), required=True),
    "cmd": Field("cmd", then(text(), texts.command)),
    "runtime": Field(
        "runtime",
        choice(
            "singularity",
            "udocker",
            hint="; singularity means whichever of Apptainer and Singularity the node has",
        ),
    ),
    "env": Field("env", mapping_of(texts.environment_name, texts.environment_value)),
    "workdir": Field("workdir", then(text(), texts.task_folder)),
    "type": Field("type", choice("basic", "sidecar", *rules.MPI_TYPES)),
    "procsPerNode": Field("procs_per_node", CPUS),
    "app": Field("app", NAME),
    "imagePullCredential": Field("image_pull_credential", record(PULL_CREDENTIAL, PullCredential)),
    "imageSha256": Field("image_sha256", then(text(), texts.sha256)),
    "stdout": Field("stdout", text(texts.file_path)),
}
RESOURCES: Table = {
    "nodes": Field("nodes", whole_number(1, MOST_CPUS)),
    "cpus": Field("cpus", CPUS),
    "cpusRange": Field("cpus_range", CPU_RANGE),
    "cpusOptions": Field("cpus_options", pair_of(CPUS, "one, another")),
    "totalCpusRange": Field("total_cpus_range", CPU_RANGE),
    "memory": Field("memory", GIGABYTES),
    "memoryPerCpu": Field("memory_per_cpu", GIGABYTES),
    "disk": Field("disk", GIGABYTES),
    "walltime": Field("walltime", whole_number(1, MOST_MINUTES)),
    "gpus": Field("gpus", whole_number(1, MOST_GPUS)),
    "gpuType": Field("gpu_type", text(texts.gpu_type)),
}
INPUT_FILE: Table = {
    "filename": Field("filename", text(texts.input_filename), required=True),
    "content": Field("content", then(text(), texts.base64_content), required=True),
    "executable": Field("executable", boolean),
}
ARTIFACT: Table = {
    "url": Field("url", text(texts.artifact_url), required=True),
    "mountpoint": Field("mountpoint", then(text(), texts.mount_point)),
    "executable": Field("executable", boolean),
}
WHERE: Table = {"sites": Field("sites", NAMES), "regions": Field("regions", NAMES)}
PLACEMENT: Table = {
    "requirements": Field("requirements", record(WHERE, dict)),
    "preferences": Field("preferences", record(WHERE, dict)),
}
POLICIES: Table = {
    "maximumRetries": Field("maximum_retries", RETRIES),
    "maximumTaskRetries": Field("maximum_task_retries", RETRIES),
    "maximumTimeInQueue": Field("maximum_time_in_queue", whole_number(-1, MOST_QUEUE_MINUTES)),
    "leaveInQueue": Field("leave_in_queue", boolean),
    "ignoreTaskFailures": Field("ignore_task_failures", boolean),
    "reportJobSuccessOnTaskFailure": Field("report_job_success_on_task_failure", boolean),
    "runSerialTasksOnAllNodes": Field("run_serial_tasks_on_all_nodes", boolean),
    "priority": Field("priority", whole_number(-MOST_PRIORITY, MOST_PRIORITY)),
    "placement": Field("placement", record(PLACEMENT, placement_from)),
    "preemptible": Field("preemptible", boolean),
    "autoScalingType": Field("auto_scaling_type", nullable(choice("none", "dedicated", "shared"))),
    "maximumIdleTimePerResource": Field(
        "maximum_idle_time_per_resource", whole_number(0, MOST_QUEUE_MINUTES)
    ),
}
NOTIFICATION: Table = {
    "event": Field("event", choice("jobFinished"), required=True),
    "type": Field("type", choice("email"), required=True),
}


def credentials(*keys: str, optional: tuple[str, ...] = ()) -> Reader:
    table = {key: Field(key, secret, key not in optional) for key in (*keys, *optional)}
    return record(table, dict)


WEBDAV: Table = {
    "url": Field("url", text(texts.web_folder), required=True),
    "username": Field("username", secret, required=True),
    "password": Field("password", secret, required=True),
}
STORAGE: Table = {
    "type": Field("type", choice("b2drop", "webdav", "onedata"), required=True),
    "mountpoint": Field("mountpoint", nullable(then(text(), texts.mount_path))),
    "default": Field("default", boolean),
    "b2drop": Field("b2drop", credentials("app-username", "app-password")),
    "webdav": Field("webdav", record(WEBDAV, dict)),
    "onedata": Field("onedata", credentials("provider", "token", optional=("options",))),
}


def check_storage(raw: Mapping[str, Any], place: Place) -> None:
    """The credentials of the one type that is used, and of no other."""
    kinds = ("b2drop", "webdav", "onedata")
    kind = raw.get("type")
    if kind not in kinds:
        return
    if kind not in raw:
        place.key(kind).note(f"is required for storage of type {kind}")
    for other in kinds:
        if other != kind and other in raw:
            place.key(other).note(f"is of no use to storage of type {kind}; leave it out")


# Keys that are often written one level too high, and where they belong.
OF_RESOURCES = dict.fromkeys(RESOURCES, "resources")
OF_POLICIES = dict.fromkeys(POLICIES, "policies")
OF_TASKS = dict.fromkeys(TASK, "a task, in the list tasks")

INPUT = record(INPUT_FILE, InputFile)
JOB: Table = {
    "name": Field("name", text(texts.job_name)),
    "labels": Field("labels", mapping_of(texts.label_key, text(texts.label_value))),
    "tasks": Field(
        "tasks",
        list_of(record(TASK, Task, elsewhere=OF_RESOURCES | OF_POLICIES), minimum=1),
        required=True,
    ),
    "resources": Field(
        "resources",
        record(
            RESOURCES,
            resources_from,
            check=rules.check_resources,
            elsewhere=OF_TASKS | OF_POLICIES,
        ),
        required=True,
    ),
    "inputs": Field("inputs", list_of(input_reader)),
    "artifacts": Field("artifacts", list_of(record(ARTIFACT, Artifact))),
    "outputFiles": Field("output_files", list_of(text(texts.file_path))),
    "outputDirs": Field("output_dirs", NAMES),
    "policies": Field("policies", record(POLICIES, Policies)),
    "notifications": Field("notifications", list_of(record(NOTIFICATION, Notification))),
    "storage": Field("storage", record(STORAGE, storage_from, check=check_storage)),
}
