"""Creating a job: checked whole, looked up, recorded, handed over; in that order.

Nothing is recorded before the description is valid and everything it names exists; nothing is
submitted before the intent is on disk (:mod:`.submission` says why).
"""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prominence_hpc.adapter.image_checks import known_runtimes, refuse_other_checksums
from prominence_hpc.adapter.placement import choose_site
from prominence_hpc.adapter.sources import URL_SCHEMES, Places, Source, image_kind, uploaded_names
from prominence_hpc.adapter.spec.decode import decode_job
from prominence_hpc.adapter.spec.honoured import refuse_unsupported
from prominence_hpc.adapter.spec.job import Job
from prominence_hpc.adapter.store.records import JobRecord
from prominence_hpc.adapter.store.state_folder import (
    JOB_FILE,
    PLAN_FILE,
    job_folder,
    make_job_folder,
    scratch_prefix,
    write_private,
)
from prominence_hpc.adapter.submission import discard, submit_job, write_submission
from prominence_hpc.adapter.translate import Identity, output_objects, shared_scratch_of, translate
from prominence_hpc.adapter.workspace import Workspace
from prominence_hpc.backends.base import Submission
from prominence_hpc.backends.settings import SiteSettings
from prominence_hpc.errors import BackendUnavailable, ProminenceError
from prominence_hpc.wrappers import plan as plans
from prominence_hpc.wrappers.bundle import install_runner

if TYPE_CHECKING:
    from prominence_hpc.adapter.directory import PackedDirectory
    from prominence_hpc.adapter.storage.base import ObjectInfo

__all__ = ["create_job", "find_sources", "translate_job"]


def create_job(
    workspace: Workspace,
    document: Mapping[str, Any],
    site: str | None,
    directory: "PackedDirectory | None" = None,
) -> JobRecord:
    """Validate and submit one job; its record has the scheduler's handle.

    ``directory`` is an artifact of the job that is packed and uploaded once all else is known to be
    right. SpecError, UsageError, NotFoundError, StorageError, ConfigError and BackendError leave
    nothing behind. BackendUnavailable leaves the intent: the job is submitted or found by a later
    command.
    """
    job = decode_job(document)
    settings = choose_site(workspace.config, job, site, lambda at: refuse_at(job, at))
    names = [name for name in uploaded_names(job) if directory is None or name != directory.name]
    sources = find_sources(workspace, names)
    refuse_other_checksums(job, sources)
    check_urls(job)
    with ExitStack() as stack:
        if directory:
            info = stack.enter_context(directory.uploaded(workspace.storage, workspace.config.user))
            sources[directory.name] = source_of(workspace, info)
        return create_checked(workspace, job, settings, sources)


def create_checked(
    workspace: Workspace, job: Job, settings: SiteSettings, sources: Mapping[str, Source]
) -> JobRecord:
    """Record and submit a job of which everything is known to be there."""
    backend = workspace.backend(settings.name)
    # Lists show the first task, which is none that only helps.
    shown = next((task for task in job.tasks if task.type != "sidecar"), job.tasks[0])
    record = workspace.store.create_intent(
        site=settings.name,
        backend=settings.backend,
        name=job.name,
        image=shown.image,
        command=shown.cmd or "",
        labels=job.labels,
        leave_in_queue=job.policies.leave_in_queue,
    )
    try:
        submission = write_job(workspace, job, record, sources, settings)
        submit_job(workspace.store, backend, record, submission)
    except BackendUnavailable as error:
        msg = (
            f"Job {record.id} is recorded, but its submission is not confirmed. {error} "
            "Do not create it again: 'prominence list' finds it, or submits it if need be."
        )
        raise BackendUnavailable(msg, argv=error.argv, stderr=error.stderr) from error
    except (ProminenceError, OSError):
        discard(workspace.store, record)
        raise
    # Any other end (Ctrl-C, a kill) may come at any step: a later command finds out which.
    return workspace.store.get(record.id)


def find_sources(workspace: Workspace, names: Sequence[str]) -> dict[str, Source]:
    """Where these uploaded objects are; NotFoundError names all that are missing."""
    if not names:
        return {}
    from prominence_hpc.adapter.objects import resolve_names  # with storage, where it is needed

    found = resolve_names(workspace.storage, workspace.config.user, names)
    return {name: source_of(workspace, info) for name, info in found.items()}


def source_of(workspace: Workspace, info: "ObjectInfo") -> Source:
    return Source(
        location=workspace.storage.source(info), sha256=info.sha256, size_bytes=info.size_bytes
    )


def refuse_at(job: Job, settings: SiteSettings) -> None:
    """SpecError with everything in ``job`` that cannot be honoured at a site."""
    refuse_unsupported(
        job,
        backend=settings.backend,
        webdav=can_mount(job, settings),
        runtimes=known_runtimes(settings),
        mail=settings.mail,
        shared_scratch=shared_scratch_of(settings, Path("/")) is not None,
    )


def can_mount(job: Job, settings: SiteSettings) -> bool:
    """Whether nodes of the site mount remote storage; asked only for a job that has some."""
    if job.storage is None or settings.webdav is not None:
        return settings.webdav is not None
    if settings.backend != "local":
        return False
    from prominence_hpc.backends.local import machine

    return machine.can_mount()


def check_urls(job: Job) -> None:
    """NotFoundError names the web addresses in the job at which there is nothing."""
    images = [task.image for task in job.tasks if image_kind(task.image) == "url"]
    artifacts = [item.url for item in job.artifacts if item.url.startswith(URL_SCHEMES)]
    if images or artifacts:
        from prominence_hpc.adapter.web_check import refuse_missing  # few jobs name a URL

        refuse_missing([*images, *artifacts])


def write_job(
    workspace: Workspace,
    job: Job,
    record: JobRecord,
    sources: Mapping[str, Source],
    settings: SiteSettings,
) -> Submission:
    """Fill the job's folder; ``submission.json`` comes last and says that all is there."""
    folder = make_job_folder(workspace.state, record.id)
    plan, submission = translate_job(workspace, job, record, sources, settings)
    write_private(folder / JOB_FILE, json.dumps(job.document, indent=2) + "\n")
    write_private(folder / PLAN_FILE, plans.render(plan))
    write_submission(submission)
    return submission


def translate_job(
    workspace: Workspace,
    job: Job,
    record: JobRecord,
    sources: Mapping[str, Source],
    settings: SiteSettings,
) -> tuple[plans.Plan, Submission]:
    """Plan and submission of a recorded job, with URLs as fresh as ``sources``."""
    identity = Identity(
        job_id=record.id,
        uid=record.uid,
        tag=record.tag,
        folder=job_folder(workspace.state, record.id),
        runner=install_runner(workspace.state),
        email=workspace.config.email,
        created=record.created,
    )
    destinations = find_destinations(workspace, job, record.uid)
    places = Places(
        sources=sources,
        destinations=destinations,
        ca_certificates=(
            ca_certificates(workspace) if sources or destinations or job.storage else None
        ),
    )
    return translate(job, identity, places, settings, os.environ)


def ca_certificates(workspace: Workspace) -> str | None:
    """What the site's own certificate authority is known by, for nodes that may not know it."""
    path = workspace.config.storage.ca_file
    if path is None or workspace.config.storage.type != "s3":
        return None
    return Path(path).read_text(encoding="ascii", errors="replace")


def find_destinations(
    workspace: Workspace, job: Job, uid: str
) -> dict[tuple[str, str], plans.Destination]:
    """Where the node writes each output."""
    outputs = output_objects(job)
    if not outputs:
        return {}
    storage, prefix = workspace.storage, scratch_prefix(uid)
    storage.prepare(prefix)
    return {
        (item.kind, item.name): (
            storage.destination_prefix(prefix)
            if item.kind == "pattern"
            else storage.destination(prefix + item.object_name)
        )
        for item in outputs
    }
