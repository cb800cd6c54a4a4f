"""Deleting jobs, so that the wish is not lost where the scheduler does not answer.

The wish is stored first, then the scheduler is told, then that it was told is stored. A kill between
any two of these leaves a job that the next refresh (:mod:`.refresh`) cancels, once more at worst;
one whose submission is not confirmed is cancelled, or never submitted, by :mod:`.submission`.
"""

from collections.abc import Callable, Sequence

from prominence_hpc.adapter.store.records import JobRecord
from prominence_hpc.adapter.store.store import Store
from prominence_hpc.backends.base import Backend
from prominence_hpc.errors import BackendError, BackendUnavailable

__all__ = ["delete_jobs", "resend"]


def delete_jobs(
    store: Store, backends: Callable[[str], Backend], records: Sequence[JobRecord]
) -> list[str]:
    """Mark jobs as deleted and cancel them, one call for each site; those that have ended stay as they are.

    Returns sentences about what was not done: where a scheduler does not answer, its jobs are
    deleted by the next command that reaches it. ConfigError for a site that is not configured,
    before anything is marked; BackendError where a scheduler refuses.
    """
    sites: dict[str, list[JobRecord]] = {}
    for record in records:
        if not record.final:
            sites.setdefault(record.site, []).append(record)
    engines = {name: backends(name) for name in sites}
    store.mark_deleted([record.id for jobs in sites.values() for record in jobs])
    warnings: list[str] = []
    for name, jobs in sites.items():
        handles = {job.id: job.handle for job in jobs if job.handle is not None}
        try:
            _cancel(store, engines[name], handles)
        except BackendUnavailable as error:
            warnings.append(f"Site {name}: {error} Its jobs will be deleted when it answers.")
    return warnings


def resend(store: Store, backend: Backend | None, records: Sequence[JobRecord]) -> list[str]:
    """Cancel jobs that are past saving; what the scheduler says against it is returned as a sentence.

    Of a job that the engine running its workflow has not begun, that is the whole workflow.
    """
    handles = {
        record.id: handle
        for record in records
        if (handle := record.handle or record.graph) is not None
    }
    if backend is None or not handles:
        return []
    try:
        _cancel(store, backend, handles)
    except BackendError as error:
        return [f"Site {records[0].site}: {error} Its deleted jobs are not cancelled yet."]
    return []


def _cancel(store: Store, backend: Backend, handles: dict[int, str]) -> None:
    if handles:
        backend.cancel(list(dict.fromkeys(handles.values())))
        store.mark_cancelled(handles)
