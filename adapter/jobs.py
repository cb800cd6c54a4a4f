"""What can be asked and done about jobs that exist: list, describe, read, delete, remove."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prominence_hpc.adapter.attempts import earlier_attempts, stream_of_attempt
from prominence_hpc.adapter.cancellation import delete_jobs
from prominence_hpc.adapter.describe import describe_job
from prominence_hpc.adapter.refresh import Refreshed, refresh
from prominence_hpc.adapter.renewal import renew_urls
from prominence_hpc.adapter.settle import settle
from prominence_hpc.adapter.store.records import JobRecord
from prominence_hpc.adapter.store.state_folder import (
    JOB_FILE,
    REPORT_FILE,
    folder_of,
    scratch_prefix,
)
from prominence_hpc.adapter.store.store import Which
from prominence_hpc.adapter.workspace import Workspace
from prominence_hpc.backends.base import Stream
from prominence_hpc.errors import ConflictError, NotFoundError
from prominence_hpc.wrappers.report import read as read_report

__all__ = [
    "Listing",
    "Selection",
    "bring_up_to_date",
    "delete",
    "describe",
    "list_jobs",
    "read_stream",
    "remove",
    "submitted_document",
    "up_to_date",
]


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which jobs a listing is about; every condition must hold. ``workflow``: jobs of this one alone."""

    which: Which = "listed"
    statuses: tuple[str, ...] | None = None
    last: int | None = None
    name: str | None = None
    labels: Mapping[str, str] | None = None
    site: str | None = None
    workflow: int | None = None


@dataclass(frozen=True)
class Listing:
    """Jobs in order of id, and what could not be found out about them."""

    records: list[JobRecord]
    warnings: list[str]


def list_jobs(workspace: Workspace, selection: Selection) -> Listing:
    """The selected jobs as of now: active ones are brought up to date first, with one call a site.

    ConfigError where the selection names a site that there is not.
    """
    site, store = selection.site, workspace.store
    if site is not None:
        workspace.config.site(site)
    current = bring_up_to_date(
        workspace, lambda: store.active(site=site, workflow=selection.workflow)
    )
    wanted = store.select_ids(
        which=selection.which,
        statuses=selection.statuses,
        last=selection.last,
        name=selection.name,
        labels=selection.labels,
        site=site,
        workflow=selection.workflow,
    )
    return Listing(with_others(workspace, wanted, current.records), current.warnings)


def with_others(
    workspace: Workspace, wanted: Sequence[int], known: Sequence[JobRecord]
) -> list[JobRecord]:
    """The records of ``wanted``, in that order; those that are ``known`` are not read once more."""
    records = {record.id: record for record in known}
    others = [job_id for job_id in wanted if job_id not in records]
    records |= {record.id: record for record in workspace.store.get_many(others)}
    return [records[job_id] for job_id in wanted if job_id in records]


def up_to_date(workspace: Workspace, job_ids: Sequence[int], *, phases: bool = False) -> Listing:
    """These jobs as of now; NotFoundError names the first that does not exist.

    ``phases``: see :func:`.refresh`.
    """
    wanted = list(dict.fromkeys(job_ids))
    for job_id in set(wanted).difference(record.id for record in workspace.store.get_many(wanted)):
        workspace.store.get(job_id)  # says that there is none
    current = bring_up_to_date(workspace, lambda: workspace.store.get_many(wanted), phases=phases)
    return Listing(with_others(workspace, wanted, current.records), current.warnings)


def bring_up_to_date(
    workspace: Workspace, read: Callable[[], list[JobRecord]], *, phases: bool = False
) -> Refreshed:
    """Settle interrupted submissions, then bring the jobs that ``read`` gives up to date.

    They are read after the former, which may change them; ten thousand are not read twice.
    """
    messages = settle(workspace)
    records = read()
    if any(record.graph is not None and record.handle is None for record in records):
        from prominence_hpc.adapter.workflows.graphs import adopt_graphs

        adopt_graphs(workspace, records)
        records = read()
    if not records:
        return Refreshed([], messages)
    current = refresh(workspace.store, workspace.backend, records, now=time.time(), phases=phases)
    messages += renew_urls(workspace, current.records, time.time())
    return Refreshed(current.records, [*messages, *current.warnings])


def describe(workspace: Workspace, job_id: int) -> tuple[dict[str, Any], list[str]]:
    """The contract's document about one job, and warnings."""
    listing = up_to_date(workspace, [job_id], phases=True)
    record = listing.records[0]
    folder = folder_of(workspace.state, record)
    prefix = scratch_prefix(record.uid)
    document = describe_job(
        record,
        submitted_document(workspace, job_id),
        read_report(folder / REPORT_FILE),
        lambda name: workspace.storage.temporary_url(prefix + name),
        earlier_attempts(folder),
        membership(workspace, record),
    )
    return document, listing.warnings


def membership(workspace: Workspace, record: JobRecord) -> dict[str, Any]:
    """Of a workflow's job, the workflow and the values of its parameters; of any other nothing."""
    if record.workflow is None:
        return {}
    from prominence_hpc.adapter.workflows.descriptions import part_of

    workflow = workspace.store.workflows.get(record.workflow)
    return {
        "parameters": part_of(workspace.state, record).parameters(record.copy),
        "workflow": {"id": workflow.id, "name": workflow.name},
    }


def submitted_document(workspace: Workspace, job_id: int) -> dict[str, Any]:
    """The description as it was submitted."""
    record = workspace.store.get(job_id)
    if record.workflow is not None:
        from prominence_hpc.adapter.workflows.descriptions import job_document

        return job_document(workspace.state, record)
    path = folder_of(workspace.state, record) / JOB_FILE
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        msg = f"The folder of job {job_id} is gone: {path.parent} holds no {JOB_FILE}."
        raise NotFoundError(msg) from error
    return document


def read_stream(
    workspace: Workspace, job_id: int, stream: Stream, attempt: int | None = None
) -> tuple[JobRecord, Iterator[bytes]]:
    """The job as of now, and what it has written so far, in blocks; the last attempt of it, or one.

    ConflictError where it has not started: there is nothing that could be read yet. NotFoundError
    where there is no such attempt.
    """
    record = up_to_date(workspace, [job_id]).records[0]
    folder = folder_of(workspace.state, record)
    begun = record.started is not None or record.final
    if attempt is not None:
        path = stream_of_attempt(folder, job_id, attempt, stream, begun=begun)
        if path != folder / stream:
            return record, read_file(path)
    # A job that waits for its next attempt has had one.
    if not begun and not (folder / REPORT_FILE).exists():
        msg = f"Job {job_id} is {record.status}: it has written nothing yet."
        raise ConflictError(msg)
    if not begun or record.final or record.handle is None:
        return record, read_file(folder / stream)
    return record, workspace.backend(record.site).output(record.handle, folder, stream)


def read_file(path: Path) -> Iterator[bytes]:
    """A file in blocks; nothing where there is none."""
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                yield block
    except FileNotFoundError:
        return


def delete(workspace: Workspace, job_ids: Sequence[int]) -> list[str]:
    """End these jobs; NotFoundError or ConflictError (ended already) before anything is done."""
    listing = up_to_date(workspace, job_ids)
    for record in listing.records:
        if record.final:
            msg = f"Job {record.id} has ended already: it is {record.status}."
            raise ConflictError(msg)
        if record.graph is not None and record.handle is None:
            msg = (
                f"Job {record.id} waits for other jobs of workflow {record.workflow} and is not in "
                f"the queue yet; 'prominence delete {record.workflow}' ends the whole workflow."
            )
            raise ConflictError(msg)
    return delete_jobs(workspace.store, workspace.backend, listing.records)


def remove(workspace: Workspace, job_ids: Sequence[int]) -> None:
    """Take ended jobs off the list of those left in the queue; ConflictError for active ones."""
    listing = up_to_date(workspace, job_ids)
    for record in listing.records:
        if not record.final:
            msg = (
                f"Job {record.id} is {record.status}; "
                f"end it with 'prominence delete {record.id}' before it is removed."
            )
            raise ConflictError(msg)
    workspace.store.mark_removed(job_ids)
