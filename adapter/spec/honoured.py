"""What of a valid job this version can do; all else is refused, never silently ignored."""

from collections.abc import Collection, Iterator

from prominence_hpc.adapter.shapes import on_one_node
from prominence_hpc.adapter.sources import SIF_SUFFIXES
from prominence_hpc.adapter.spec.job import Job, Resources, StorageMount, Task
from prominence_hpc.adapter.spec.rules import MPI_TYPES
from prominence_hpc.errors import Problem, SpecError

__all__ = ["refuse_unsupported"]

ONE_MACHINE = "the backend local has one node, this machine; submit to a cluster"
NO_SHARED_FOLDER = (
    "this site has no folder that all nodes of a job see, for its working directory; where there "
    "is one, shared_scratch in the site's configuration names it"
)
NO_LOGIN = ("library://", "shub://")


def refuse_unsupported(
    job: Job,
    *,
    backend: str,
    webdav: bool = False,
    mail: str = "none",
    runtimes: Collection[str] = (),
    shared_scratch: bool = True,
) -> None:
    """Raise SpecError with everything in ``job`` that cannot be honoured on ``backend``.

    ``webdav``: whether the nodes can mount remote storage; ``mail``: the site's way to send e-mails;
    ``runtimes``: those that the site says its nodes have; none: it does not say;
    ``shared_scratch``: whether the site has a folder that all nodes of a job see.

    What changes nothing for this job passes: policies of workflows, policies for the other nodes of
    a job of one node, policies that the contract merely accepts, ``procsPerNode`` without MPI.
    """
    problems = list(unsupported_resources(job.resources, backend, shared_scratch=shared_scratch))
    for index, task in enumerate(job.tasks):
        problems += unsupported_image(task, f"tasks[{index}]", runtimes)
        problems += unsupported_by_udocker(job, task, f"tasks[{index}]")
    if backend == "htcondor" and (job.resources.nodes or 1) > 1 and job.policies.maximum_retries:
        message = (
            "HTCondor does not run a job of several nodes again by its exit code; "
            "maximumTaskRetries reruns failing tasks within the job"
        )
        problems.append(Problem("policies.maximumRetries", message))
    if job.notifications and mail == "none":
        message = (
            "this site sends no e-mails; leave notifications out, or ask its administrators to set "
            "mail in the site's configuration"
        )
        problems.append(Problem("notifications", message))
    if job.storage is not None:
        problems += unsupported_storage(job.storage, backend, webdav=webdav)
    if problems:
        raise SpecError(problems)


def unsupported_resources(
    resources: Resources, backend: str, *, shared_scratch: bool
) -> Iterator[Problem]:
    if resources.nodes is not None and resources.nodes > 1:
        if backend == "local":
            yield Problem("resources.nodes", ONE_MACHINE)
        elif not shared_scratch:
            yield Problem("resources.nodes", NO_SHARED_FOLDER)
    if resources.total_cpus_range is not None and on_one_node(resources) is None:
        if backend == "local":
            yield Problem("resources.totalCpusRange", ONE_MACHINE)
        elif not shared_scratch:
            yield Problem("resources.totalCpusRange", NO_SHARED_FOLDER)


def unsupported_storage(storage: StorageMount, backend: str, *, webdav: bool) -> Iterator[Problem]:
    if storage.type == "onedata":
        message = (
            "Onedata is mounted by oneclient, which this version does not run; list the data under "
            "artifacts, by the provider's URLs"
        )
        yield Problem("storage.type", message)
    elif not webdav:
        why = (
            "this machine does not have both"
            if backend == "local"
            else 'the site\'s configuration does not say that its nodes have both (webdav = "rclone")'
        )
        message = (
            f"storage of type {storage.type} is mounted by rclone and FUSE, and {why}; list the "
            "data under artifacts"
        )
        yield Problem("storage.type", message)
    if storage.for_outputs:
        message = (
            "outputs are kept in the site's own object storage, not in this one; leave default "
            "out, and let the task copy to the mountpoint what is to be there"
        )
        yield Problem("storage.default", message)


def unsupported_image(task: Task, path: str, runtimes: Collection[str]) -> Iterator[Problem]:
    if runtimes and task.runtime not in runtimes:
        message = (
            f"the nodes of this site have no {task.runtime}, but {' and '.join(runtimes)}; write "
            f"that (create: --runtime {next(iter(runtimes))}), or choose another site"
        )
        yield Problem(f"{path}.runtime", message)
    if task.image_pull_credential is not None and task.image.startswith(NO_LOGIN):
        message = (
            "is handed to docker:// and oras:// registries; there is no way to hand it to this one"
        )
        yield Problem(f"{path}.imagePullCredential", message)


def unsupported_by_udocker(job: Job, task: Task, path: str) -> Iterator[Problem]:
    """What is at a URL or a path shows on the node."""
    if task.runtime != "udocker":
        return
    if task.image.startswith((*NO_LOGIN, "oras://")) or task.image.endswith(SIF_SUFFIXES):
        message = (
            "udocker runs Docker archives (.tar, .tgz) and images of Docker registries; write "
            "singularity for this image"
        )
        yield Problem(f"{path}.runtime", message)
    if task.type in MPI_TYPES:
        message = f"udocker runs no tasks of type {task.type}; write singularity"
        yield Problem(f"{path}.runtime", message)
    if job.resources.gpus:
        message = "containers of udocker are not given GPUs; write singularity"
        yield Problem(f"{path}.runtime", message)
