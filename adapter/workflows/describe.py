"""What ``prominence describe`` prints of a workflow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prominence_hpc.adapter.describe import document_without_secrets, format_time
from prominence_hpc.adapter.store.records import JobRecord
from prominence_hpc.adapter.store.workflow_records import PartRecord
from prominence_hpc.adapter.verdict import UNCONFIRMED_REASON
from prominence_hpc.adapter.workflows.descriptions import workflow_document
from prominence_hpc.adapter.workflows.listing import progress_now
from prominence_hpc.adapter.workflows.progress import Counts, Progress, counts_of_parts
from prominence_hpc.adapter.workflows.unrun import NOT_RUN
from prominence_hpc.adapter.workspace import Workspace

__all__ = [
    "Known",
    "describe_workflow",
    "gather",
    "submitted_workflow",
    "workflow_document_without_secrets",
]

# Of ten thousand jobs that failed, the first ones tell why.
SHOWN_FAILURES = 20


@dataclass(frozen=True, kw_only=True)
class Known:
    """All that is told of a workflow."""

    progress: Progress
    document: Mapping[str, Any]  # as submitted
    parts: Sequence[PartRecord]
    counts: Sequence[Counts]  # of each part
    failed: Sequence[JobRecord] = ()  # the first that have not succeeded
    reruns: Sequence[int] = ()  # workflows that did what this one had left


def gather(workspace: Workspace, workflow_id: int) -> tuple[Known, list[str]]:
    """A workflow as of now, and warnings."""
    store = workspace.store.workflows
    listing = progress_now(workspace, [workflow_id])
    parts = store.parts(workflow_id)
    known = Known(
        progress=listing.workflows[0],
        document=workflow_document(workspace.state, workflow_id),
        parts=parts,
        counts=counts_of_parts(parts, store.tallies([workflow_id])),
        failed=store.unsuccessful(workflow_id, last_reason=NOT_RUN, most=SHOWN_FAILURES),
        reruns=store.reruns_of(workflow_id),
    )
    return known, listing.warnings


def submitted_workflow(workspace: Workspace, workflow_id: int) -> dict[str, Any]:
    """The description as it was submitted, to be shown."""
    workspace.store.workflows.get(workflow_id)
    return workflow_document_without_secrets(workflow_document(workspace.state, workflow_id))


def workflow_document_without_secrets(document: Mapping[str, Any]) -> dict[str, Any]:
    """A workflow's description without the tokens and passwords of its jobs."""
    return {**document, "jobs": [document_without_secrets(job) for job in document["jobs"]]}


def describe_workflow(known: Known) -> dict[str, Any]:
    """The workflow as JSON data; what is empty is left out. Pure."""
    record, counts, document = known.progress.record, known.progress.counts, known.document
    described: dict[str, Any] = {
        "id": record.id,
        "name": record.name,
        "status": known.progress.status,
        "statusReason": UNCONFIRMED_REASON if record.state == "intent" else "",
        "labels": document.get("labels"),
        "jobs": [described_job(job) for job in document["jobs"]],
        "dependencies": document.get("dependencies"),
        "factories": document.get("factories"),
        "policies": document.get("policies"),
        "notifications": document.get("notifications"),
        "events": events(known.progress),
        "progress": progress(counts),
        "parts": [
            described_part(part, found, known.parts)
            for part, found in zip(known.parts, known.counts, strict=True)
        ],
        "failedJobs": [failed_job(job) for job in known.failed],
        "execution": {
            "site": record.site,
            "backend": record.backend,
            **({"backendId": record.handle} if record.handle else {}),
        },
        "rerunOf": record.rerun_of,
        "rerunBy": list(known.reruns),
    }
    return {key: value for key, value in described.items() if value not in (None, "", [], {})}


def described_job(job: Mapping[str, Any]) -> dict[str, Any]:
    """One of the description's jobs; of its inputs the names, as ``describe`` shows them of any job."""
    shown = document_without_secrets(job)
    names = [item["filename"] for item in shown.pop("inputs", [])]
    return shown | ({"inputFiles": names} if names else {})


def events(found: Progress) -> dict[str, str]:
    times = {
        "createTime": found.record.created,
        "startTime": found.counts.started,
        "endTime": found.counts.ended,
    }
    return {key: format_time(value) for key, value in times.items() if value is not None}


def progress(counts: Counts) -> dict[str, Any]:
    """How many jobs have succeeded, have not, and are left; and how many are in which state."""
    return {
        "success": counts.success,
        "failed": counts.failed,
        "active": counts.active,
        "total": counts.total,
        "states": dict(counts.states),
    }


def described_part(part: PartRecord, counts: Counts, parts: Sequence[PartRecord]) -> dict[str, Any]:
    """One entry of the description's jobs, its state and which jobs it has become."""
    last = part.first_job + part.size - 1
    ids = {"firstId": part.first_job, "lastId": last} if part.swept else {"id": part.first_job}
    after = [parts[number].name for number in part.parents]
    return {
        "name": part.name,
        "status": counts.status,
        **ids,
        **({"after": after} if after else {}),
        **progress(counts),
    }


def failed_job(job: JobRecord) -> dict[str, Any]:
    reason = job.status_reason or ("A task failed" if job.task_failed else "")
    return {"id": job.id, "name": job.name, "status": job.status, "statusReason": reason}
