"""Presigned URLs live for seven days at most; a job may wait longer. Later commands renew them.

The plan in the job's folder is written anew with fresh URLs. The wrapper reads it when the job
starts and again before stage-out; HTCondor carries it to the node at the start, not at submission.
"""

import json
from collections.abc import Sequence

from prominence_hpc.adapter.create import find_sources, translate_job
from prominence_hpc.adapter.sources import uploaded_names
from prominence_hpc.adapter.spec.decode import decode_job
from prominence_hpc.adapter.store.records import JobRecord
from prominence_hpc.adapter.store.state_folder import JOB_FILE, PLAN_FILE, job_folder, write_private
from prominence_hpc.adapter.workspace import Workspace
from prominence_hpc.errors import ProminenceError
from prominence_hpc.wrappers import plan as plans

__all__ = ["renew_urls"]

SECONDS_PER_HOUR = 3600.0


def renew_urls(workspace: Workspace, records: Sequence[JobRecord], now: float) -> list[str]:
    """Sign the URLs of active jobs again once half of their life is over; what failed is returned.

    Jobs younger than that cost nothing here, not even a look at their folder.
    """
    settings = workspace.config.storage
    if settings.type != "s3":
        return []
    old = now - settings.url_lifetime_hours * SECONDS_PER_HOUR / 2
    waiting = [record for record in records if record.created < old and not record.final]
    failures = []
    for record in waiting:
        if record.workflow is None and plan_is_older(workspace, record, old):
            try:
                renew(workspace, record)
            except ProminenceError as error:
                failures.append(f"The URLs of job {record.id} could not be renewed: {error}")
    if any(record.workflow is not None for record in waiting):
        from prominence_hpc.adapter.workflows.renewal import renew_parts

        failures += renew_parts(workspace, waiting, old)
    return failures


def plan_is_older(workspace: Workspace, record: JobRecord, moment: float) -> bool:
    path = job_folder(workspace.state, record.id) / PLAN_FILE
    return path.exists() and path.stat().st_mtime < moment


def renew(workspace: Workspace, record: JobRecord) -> None:
    folder = job_folder(workspace.state, record.id)
    job = decode_job(json.loads((folder / JOB_FILE).read_text(encoding="utf-8")))
    settings = workspace.config.site(record.site)
    sources = find_sources(workspace, uploaded_names(job))
    plan, _ = translate_job(workspace, job, record, sources, settings)
    write_private(folder / PLAN_FILE, plans.render(plan))
