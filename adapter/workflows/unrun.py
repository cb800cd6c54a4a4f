"""Why jobs of a workflow were not run: what they were to wait for has not ended well."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from prominence_hpc.adapter.store.records import JobRecord
from prominence_hpc.adapter.store.workflow_records import PartRecord
from prominence_hpc.adapter.store.workflows import Workflows
from prominence_hpc.adapter.verdict import Verdict

__all__ = ["NOT_RUN", "failed_parents", "name_parents", "why_not_run"]

NOT_RUN = "Not run"  # how the reason of a job begins that was never started for this

# A part's name, and how its jobs have ended: "failed", "killed", "deleted", "was not run".
Failed = tuple[str, str]


def name_parents(
    workflows: Workflows, unrun: Sequence[JobRecord], judged: Mapping[int, Verdict]
) -> dict[int, Verdict]:
    """Verdicts on jobs that were not run, with the names of what they waited for; by job id."""
    named: dict[int, Verdict] = {}
    for workflow_id in {job.workflow for job in unrun if job.workflow is not None}:
        parts = workflows.parts(workflow_id)
        jobs = [as_judged(job, judged) for job in workflows.jobs(workflow_id)]
        ended = (
            f"{NOT_RUN}: what runs workflow {workflow_id} ended early; see the logs in its folder"
        )
        reasons = {part.number: ended for part in parts if not part.parents}
        reasons |= reasons_of(parts, jobs)
        named |= {
            job.id: replace(judged[job.id], reason=reasons[job.part])
            for job in unrun
            if job.workflow == workflow_id and job.part in reasons
        }
    return named


def as_judged(job: JobRecord, judged: Mapping[int, Verdict]) -> JobRecord:
    verdict = judged.get(job.id)
    if verdict is None:
        return job
    return replace(
        job,
        status=verdict.status,
        status_reason=verdict.reason,
        final=verdict.final,
        task_failed=verdict.task_failed,
    )


def reasons_of(parts: Sequence[PartRecord], jobs: Sequence[JobRecord]) -> dict[int, str]:
    """Why each part with parents that have failed is not run."""
    found = {part.number: failed_parents(part, parts, jobs) for part in parts if part.parents}
    return {number: why_not_run(failed) for number, failed in found.items() if failed}


def failed_parents(
    part: PartRecord, parts: Sequence[PartRecord], jobs: Iterable[JobRecord]
) -> list[Failed]:
    """The parents of a part of which a job has ended and has not succeeded, each with what became of it."""
    found: dict[int, str] = {}
    for job in jobs:
        if job.part in part.parents and job.final and not job.succeeded:
            found.setdefault(job.part, became(job))
    return [(parts[number].name, found[number]) for number in sorted(found)]


def became(job: JobRecord) -> str:
    if job.status_reason.startswith(NOT_RUN):
        return "was not run"
    if job.status == "completed":
        return "failed"  # by the exit code of a task
    return "failed" if job.status == "failed" else f"was {job.status}"


def why_not_run(failed: Sequence[Failed]) -> str:
    """The reason of a job that waited for these.

    >>> why_not_run([("prepare", "failed"), ("fetch", "was deleted")])
    'Not run: prepare failed, fetch was deleted'
    """
    return f"{NOT_RUN}: {', '.join(f'{name} {words}' for name, words in failed)}"
