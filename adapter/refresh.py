"""The one place that brings active jobs up to date: evidence gathered, judged, and stored.

Whatever the number of jobs, a site's scheduler is asked once for its queue, and once for its history
where jobs have left the queue without a final report.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from prominence_hpc.adapter.cancellation import resend
from prominence_hpc.adapter.store.records import JobRecord
from prominence_hpc.adapter.store.state_folder import folder_of
from prominence_hpc.adapter.store.store import Store
from prominence_hpc.adapter.verdict import Evidence, Verdict, judge
from prominence_hpc.backends.base import Backend, Cause, Condition, SchedulerState
from prominence_hpc.errors import BackendError, ConfigError
from prominence_hpc.wrappers import report as reports

__all__ = ["Refreshed", "refresh"]

# Rewriting the time of a site's last answer at every command would only wear the disk.
_ANSWER_SECONDS = 10.0
# Beyond this many reports, several are read at once: on NFS each costs a round trip or two.
_READ_AT_ONCE = 64

_ABSENT = SchedulerState(condition=Condition.ABSENT)
# Whatever the cause (no squeue on PATH, bindings that are not installed, a refusal), one site must
# not hide the jobs of the others.
_NO_ANSWER = (BackendError, ConfigError)
_WAITS = SchedulerState(
    condition=Condition.QUEUED, reason="Waiting for the jobs that it depends on"
)
_NOT_RUN = SchedulerState(condition=Condition.ENDED, cause=Cause.DEPENDENCY)
_CANCELLED = SchedulerState(condition=Condition.ENDED, cause=Cause.CANCELLED)
_GONE = frozenset({Condition.ENDED, Condition.ABSENT})


@dataclass(frozen=True)
class Refreshed:
    """The records given, in their order, as of now; and what could not be found out, in sentences."""

    records: list[JobRecord]
    warnings: list[str]


@dataclass
class _Site:
    """What one site's scheduler says. ``queue`` is None where it does not answer."""

    backend: Backend | None
    queue: dict[str, SchedulerState] | None = None
    history: dict[str, SchedulerState] | None = field(default_factory=dict)


def refresh(
    store: Store,
    backends: Callable[[str], Backend],
    records: Sequence[JobRecord],
    *,
    now: float,
    phases: bool = False,
) -> Refreshed:
    """Records as of ``now``; final ones are passed through. New verdicts are stored in one transaction.

    ``phases``: read the reports of running jobs too, for a reason such as "Storing outputs".
    A scheduler that does not answer, or cannot be asked from here, or a site that is no longer configured, is a warning, and its
    jobs are as last known. ConflictError or ProminenceError where the store cannot be written.
    """
    warnings: list[str] = []
    verdicts: dict[int, Verdict] = {}
    for name, jobs in _by_site(records).items():
        site = _ask_queue(name, backends, jobs, warnings)
        found = _read_reports(store, [job for job in jobs if _report_matters(job, site, phases)])
        _ask_history(name, site, jobs, found, warnings)
        judged = {job.id: judge(_evidence(job, site, found.get(job.id), now)) for job in jobs}
        judged |= _name_parents(store, jobs, judged)
        _keep(store, name, site, jobs, judged, now)
        warnings += resend(store, site.backend, _to_cancel(jobs, judged, site))
        verdicts.update(judged)
    return Refreshed([_updated(job, verdicts.get(job.id)) for job in records], warnings)


def _name_parents(
    store: Store, jobs: Sequence[JobRecord], judged: Mapping[int, Verdict]
) -> dict[int, Verdict]:
    """The verdicts on jobs that were not run, with what they have waited for in vain."""
    unrun = [job for job in jobs if judged[job.id].not_run]
    if not unrun:
        return {}
    from prominence_hpc.adapter.workflows.unrun import name_parents

    return name_parents(store.workflows, unrun, judged)


def _by_site(records: Iterable[JobRecord]) -> dict[str, list[JobRecord]]:
    sites: dict[str, list[JobRecord]] = {}
    for record in records:
        if not record.final:
            sites.setdefault(record.site, []).append(record)
    return sites


def _ask_queue(
    name: str,
    backends: Callable[[str], Backend],
    jobs: Sequence[JobRecord],
    warnings: list[str],
) -> _Site:
    handles = [job.handle for job in jobs if job.handle is not None]
    handles += {job.graph for job in jobs if job.handle is None and job.graph is not None}
    try:
        backend = backends(name)
    except ConfigError as error:
        warnings.append(f"{error} Its active jobs are shown as last known: {len(jobs)}.")
        return _Site(backend=None)
    try:
        return _Site(backend, backend.poll(handles) if handles else {})
    except _NO_ANSWER as error:
        warnings.append(f"Site {name}: {error} Its jobs are shown as last known.")
        return _Site(backend)


def _ask_history(
    name: str,
    site: _Site,
    jobs: Sequence[JobRecord],
    found: Mapping[int, reports.Report],
    warnings: list[str],
) -> None:
    handles = [
        job.handle
        for job in jobs
        if job.handle is not None
        and _unexplained(site, job.handle)
        and (job.id not in found or found[job.id]["phase"] != "finished")
    ]
    if not handles or site.backend is None:
        return
    try:
        site.history = site.backend.history(handles)
    except _NO_ANSWER as error:
        site.history = None
        warnings.append(f"Site {name}: {error} Jobs that left the queue are shown as last known.")


def _unexplained(site: _Site, handle: str) -> bool:
    if site.queue is None:
        return False
    state = site.queue.get(handle, _ABSENT)
    return state.condition in _GONE and state.cause is Cause.NONE


def _report_matters(job: JobRecord, site: _Site, phases: bool) -> bool:
    """Not for every running job at every command: a report can only decide once the queue lets go."""
    if job.state != "submitted":
        return False
    if site.queue is None:
        return True
    state = _queue_state(job, site.queue)
    waits_again = state.condition is Condition.QUEUED and bool(state.restarts)
    return state.condition in _GONE or state.condition is Condition.HELD or waits_again or phases


def _queue_state(job: JobRecord, queue: Mapping[str, SchedulerState]) -> SchedulerState:
    if job.handle is not None:
        return queue.get(job.handle, _ABSENT)
    if job.graph is not None:
        return _not_begun(queue.get(job.graph, _ABSENT))
    return _ABSENT  # the scheduler has forgotten the job that it once ran


def _not_begun(graph: SchedulerState) -> SchedulerState:
    """Of a job that the engine which runs its workflow has not given to the queue."""
    if graph.condition in _GONE:
        cancelled = graph.cause is Cause.CANCELLED
        return _CANCELLED if cancelled else _NOT_RUN
    if graph.condition is Condition.HELD:
        return SchedulerState(condition=Condition.HELD, reason=graph.reason)
    return _WAITS


def _read_reports(store: Store, jobs: Sequence[JobRecord]) -> dict[int, reports.Report]:
    paths = [folder_of(store.state, job) / "report.json" for job in jobs]
    # A thread is handed many: to hand over one costs more than to read it from a local disk.
    slices = [paths[at : at + _READ_AT_ONCE] for at in range(0, len(paths), _READ_AT_ONCE)]
    if len(slices) <= 1:
        found = _read_each(paths)
    else:
        from concurrent.futures import ThreadPoolExecutor  # for those who come back after a week

        with ThreadPoolExecutor(8) as pool:
            found = [report for some in pool.map(_read_each, slices) for report in some]
    return {job.id: report for job, report in zip(jobs, found, strict=True) if report is not None}


def _read_each(paths: Sequence[Path]) -> list[reports.Report | None]:
    return [reports.read(path) for path in paths]


def _evidence(job: JobRecord, site: _Site, report: reports.Report | None, now: float) -> Evidence:
    return Evidence(
        job_id=job.id,
        now=now,
        created=job.created,
        submitted=job.state == "submitted",
        deleted=job.deleted,
        status=job.status,
        reason=job.status_reason,
        started=job.started,
        absent_since=job.absent_since,
        seen=job.seen,
        report=report,
        queue=None if site.queue is None else _queue_state(job, site.queue),
        history=None if site.history is None else site.history.get(job.handle or "", _ABSENT),
    )


def _keep(
    store: Store,
    name: str,
    site: _Site,
    jobs: Sequence[JobRecord],
    judged: Mapping[int, Verdict],
    now: float,
) -> None:
    """Store what is new. Of a silent scheduler only final verdicts are: the rest is as it was."""
    store.record_verdicts(
        [
            (job.id, judged[job.id])
            for job in jobs
            if judged[job.id].final
            or (
                site.queue is not None
                and job.state == "submitted"
                and _differs(job, judged[job.id])
            )
        ]
    )
    heard = max((job.seen for job in jobs if job.seen is not None), default=None)
    if site.queue and (heard is None or not 0 <= now - heard < _ANSWER_SECONDS):
        store.record_answer(name, now)


def _differs(job: JobRecord, verdict: Verdict) -> bool:
    return (
        verdict.status != job.status
        or verdict.reason != job.status_reason
        or verdict.started != job.started
        or verdict.ended != job.ended
        or verdict.absent_since != job.absent_since
    )


def _to_cancel(
    jobs: Sequence[JobRecord], judged: Mapping[int, Verdict], site: _Site
) -> list[JobRecord]:
    """Deleted jobs of which the scheduler was never told, and dead ones that it keeps on hold.

    A deleted job that waits in the queue has asked to be run again in the very moment in which it was
    cancelled, and was put back.
    """
    if site.queue is None:
        return []
    return [
        job
        for job in jobs
        if (job.handle is not None or job.graph is not None)
        and (
            (judged[job.id].final and _queue_state(job, site.queue).condition is Condition.HELD)
            or (
                job.deleted
                and not judged[job.id].final
                and (not job.cancelled or _waits(job, site.queue))
            )
        )
    ]


def _waits(job: JobRecord, queue: Mapping[str, SchedulerState]) -> bool:
    return _queue_state(job, queue).condition is Condition.QUEUED


def _updated(job: JobRecord, verdict: Verdict | None) -> JobRecord:
    if verdict is None or not (verdict.final or _differs(job, verdict)):
        return job
    return replace(
        job,
        status=verdict.status,
        status_reason=verdict.reason,
        final=verdict.final,
        started=verdict.started,
        ended=verdict.ended,
        absent_since=verdict.absent_since,
        task_failed=verdict.task_failed,
    )
