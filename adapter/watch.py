"""Jobs looked at again and again, no faster than their sites allow."""

import time
from collections.abc import Iterator, Sequence

from prominence_hpc.adapter.jobs import Listing, Selection, list_jobs, up_to_date
from prominence_hpc.adapter.store.records import JobRecord
from prominence_hpc.adapter.workspace import Workspace

__all__ = ["look", "pause_seconds", "watch"]

# For somebody who sits before it; a script that waits for hours uses `prominence wait`.
FIRST_PAUSE_SECONDS = 2.0
LONGEST_PAUSE_SECONDS = 15.0
PAUSE_GROWTH = 1.05


def watch(workspace: Workspace, job_ids: Sequence[int]) -> Iterator[tuple[Listing, float]]:
    """The jobs as of now, again and again, and how many seconds the next look is away.

    Without ids: the active jobs and whatever is created meanwhile; what has ended stays in view.
    Ends when all have ended. The caller's use of the answer counts towards the pause.
    """
    seen = list(dict.fromkeys(job_ids))
    pause = FIRST_PAUSE_SECONDS
    while True:
        begun = time.monotonic()
        listing = look(workspace, seen, follow_new=not job_ids)
        seen = [record.id for record in listing.records]
        if all(record.final for record in listing.records):
            yield listing, 0.0
            return
        wait = pause_seconds(workspace, listing.records, pause)
        yield listing, wait
        time.sleep(max(0.0, begun + wait - time.monotonic()))
        pause = min(pause * PAUSE_GROWTH, LONGEST_PAUSE_SECONDS)


def look(workspace: Workspace, job_ids: Sequence[int], *, follow_new: bool) -> Listing:
    """These jobs as of now, and with ``follow_new`` all that are listed; one call a site."""
    if not follow_new:
        return up_to_date(workspace, job_ids)
    listing = list_jobs(workspace, Selection())
    shown = {record.id: record for record in listing.records}
    gone = [job_id for job_id in job_ids if job_id not in shown]
    shown |= {record.id: record for record in workspace.store.get_many(gone)}
    return Listing([shown[job_id] for job_id in sorted(shown)], listing.warnings)


def pause_seconds(workspace: Workspace, records: Sequence[JobRecord], wanted: float) -> float:
    """``wanted``, or what the slowest of the sites with active jobs asks for."""
    sites = {record.site for record in records if not record.final}
    known = workspace.config.sites
    floors = [known[name].poll_seconds for name in sites if name in known]
    return max([wanted, *floors])
