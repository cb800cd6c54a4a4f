"""A job as the store knows it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from prominence_hpc.adapter.store.claims import Claim

__all__ = ["COLUMNS", "JobRecord", "JobStatus", "SubmissionState", "decode", "labels_of"]

JobStatus = Literal["idle", "running", "completed", "failed", "deleted", "killed"]
SubmissionState = Literal["intent", "submitted"]


@dataclass(frozen=True)
class JobRecord:
    """One row. Times are seconds since the epoch (UTC); see ``adapter.verdict`` for the status."""

    id: int
    uid: str  # 32 hex digits; in storage keys: scratch/UID/…
    tag: str  # 32 hex digits; in the scheduler's own record
    site: str
    backend: str
    name: str
    image: str  # the first task's, as the user wrote it
    command: str  # the first task's, empty where it has none
    labels: Mapping[str, str]
    created: float
    # "intent": it is not known whether the scheduler has the job; see .submission
    state: SubmissionState
    # The scheduler's own id. None with "submitted": the job ran, but the scheduler has forgotten it.
    handle: str | None
    # Since when the scheduler answers that it does not have the job, while nothing explains why.
    absent_since: float | None
    deleted: bool  # the user asked for it
    cancelled: bool  # and the scheduler was told
    removed: bool  # taken off the list by the user
    leave_in_queue: bool
    status: JobStatus
    status_reason: str
    final: bool  # the verdict is stored and never asked again
    started: float | None
    ended: float | None
    seen: float | None  # last time the site's scheduler answered, once the job was there
    claim: Claim | None  # who is submitting it
    # Of a job of a workflow: which part of it, and which of the part's copies, from 0 (None: the only one).
    workflow: int | None = None
    part: int | None = None
    copy: int | None = None
    task_failed: bool = False  # "completed", but for the exit code of a task
    # The engine's own id of the workflow, where it runs workflows. Until its scheduler has been given the job,
    # ``handle`` is None.
    graph: str | None = None

    @property
    def succeeded(self) -> bool:
        """Whether it has ended as those who wait for it need it."""
        return self.status == "completed" and not self.task_failed


COLUMNS = (
    "id, uid, tag, site, backend, name, image, command, labels, created, state, handle,"
    " absent_since, deleted, cancelled, removed, leave_in_queue, status, status_reason, final,"
    " started, ended, (SELECT time FROM answers WHERE answers.site = jobs.site),"
    " claim_host, claim_pid, claim_start, claim_time, workflow, part, copy, task_failed,"
    " (SELECT workflows.handle FROM workflows WHERE workflows.id = jobs.workflow)"
)


def decode(row: tuple[Any, ...]) -> JobRecord:
    """The record in a row of ``SELECT COLUMNS FROM jobs``."""
    (
        job_id,
        uid,
        tag,
        site,
        backend,
        name,
        image,
        command,
        labels,
        created,
        state,
        handle,
        absent_since,
        deleted,
        cancelled,
        removed,
        leave_in_queue,
        status,
        status_reason,
        final,
        started,
        ended,
        answered,
        host,
        pid,
        process_start,
        claimed,
        workflow,
        part,
        copy,
        task_failed,
        graph,
    ) = row
    return JobRecord(
        id=job_id,
        uid=uid,
        tag=tag,
        site=site,
        backend=backend,
        name=name,
        image=image,
        command=command,
        labels=labels_of(labels),
        created=created,
        state=state,
        handle=handle,
        absent_since=absent_since,
        deleted=bool(deleted),
        cancelled=bool(cancelled),
        removed=bool(removed),
        leave_in_queue=bool(leave_in_queue),
        status=status,
        status_reason=status_reason,
        final=bool(final),
        started=started,
        ended=ended,
        seen=answered if answered is not None and answered >= created else None,
        claim=None if host is None else Claim(host, pid, process_start, claimed),
        workflow=workflow,
        part=part,
        copy=copy,
        task_failed=bool(task_failed),
        graph=graph,
    )


def labels_of(text: str) -> Mapping[str, str]:
    """The labels in a column of them."""
    if text == "{}":
        return {}
    import json  # not needed for the jobs of those who use no labels

    labels: dict[str, str] = json.loads(text)
    return labels
