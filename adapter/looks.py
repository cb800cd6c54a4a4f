"""Jobs and workflows looked at together, with one call to each site, however many jobs these have."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from prominence_hpc.adapter.jobs import bring_up_to_date, with_others
from prominence_hpc.adapter.store.records import JobRecord
from prominence_hpc.adapter.store.workflow_records import PartRecord
from prominence_hpc.adapter.workflows.listing import is_listed
from prominence_hpc.adapter.workflows.progress import (
    Counts,
    Progress,
    counts_of_parts,
    progress_of,
)
from prominence_hpc.adapter.workflows.unrun import NOT_RUN
from prominence_hpc.adapter.workspace import Workspace

__all__ = ["Look", "Watched", "look_at", "look_at_active"]

# Jobs of a workflow that are told one by one, of each kind: nobody reads ten thousand.
SHOWN_JOBS = 20


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A workflow as of now."""

    progress: Progress
    parts: Sequence[PartRecord]
    counts: Sequence[Counts]  # of each part
    jobs: Sequence[JobRecord] = ()  # the first of those that run or have failed, in order of id


@dataclass(frozen=True, kw_only=True)
class Look:
    """What was asked for, as of now, in order of id; and what could not be found out."""

    records: Sequence[JobRecord] = ()
    workflows: Sequence[Watched] = ()
    active: Sequence[JobRecord] = ()  # all that have not ended, those of the workflows too
    warnings: Sequence[str] = ()

    @property
    def final(self) -> bool:
        """Whether nothing of it is left to come."""
        return all(record.final for record in self.records) and all(
            item.progress.final for item in self.workflows
        )


def look_at(workspace: Workspace, job_ids: Sequence[int], workflow_ids: Sequence[int]) -> Look:
    """These jobs and workflows; NotFoundError names the first that does not exist."""
    store = workspace.store
    for number in set(job_ids).difference(job.id for job in store.get_many(job_ids)):
        store.get(number)  # says that there is none

    def read() -> list[JobRecord]:
        found = {job.id: job for job in store.get_many(job_ids)}
        for number in workflow_ids:
            found |= {job.id: job for job in store.active(workflow=number)}
        return list(found.values())

    current = bring_up_to_date(workspace, read)
    wanted = set(job_ids)
    return Look(
        records=[job for job in current.records if job.id in wanted],
        workflows=watched(workspace, sorted(set(workflow_ids)), current.records),
        active=[job for job in current.records if not job.final],
        warnings=current.warnings,
    )


def look_at_active(
    workspace: Workspace, job_ids: Sequence[int], workflow_ids: Sequence[int]
) -> Look:
    """Whatever is listed now, and these that were listed before; jobs of workflows with their workflows."""
    store = workspace.store
    current = bring_up_to_date(workspace, store.active)
    wanted = sorted({*store.select_ids(which="listed"), *job_ids})
    records = with_others(workspace, wanted, current.records)
    numbers = {record.id for record in store.workflows.select(which="listed")}
    found = watched(workspace, sorted(numbers | set(workflow_ids)), current.records)
    now = time.time()
    return Look(
        records=[job for job in records if job.workflow is None],
        workflows=[
            item
            for item in found
            if item.progress.id in workflow_ids or is_listed(item.progress, now)
        ],
        active=[job for job in current.records if not job.final],
        warnings=current.warnings,
    )


def watched(
    workspace: Workspace, workflow_ids: Sequence[int], current: Sequence[JobRecord]
) -> list[Watched]:
    store = workspace.store.workflows
    found = []
    for number in workflow_ids:
        tallies = store.tallies([number])
        parts = store.parts(number)
        running = [job for job in current if job.workflow == number and job.status == "running"]
        failed = store.unsuccessful(number, last_reason=NOT_RUN, most=SHOWN_JOBS)
        shown = [*running[:SHOWN_JOBS], *failed]
        found.append(
            Watched(
                progress=progress_of([store.get(number)], tallies)[0],
                parts=parts,
                counts=counts_of_parts(parts, tallies),
                jobs=sorted(shown, key=lambda job: job.id),
            )
        )
    return found
