"""Jobs and workflows looked at again and again, no faster than their sites allow."""

import time
from collections.abc import Iterator, Sequence

from prominence_hpc.adapter.looks import Look, look_at, look_at_active
from prominence_hpc.adapter.store.records import JobRecord
from prominence_hpc.adapter.workspace import Workspace

__all__ = ["pause_seconds", "watch"]

# For somebody who sits before it; a script that waits for hours uses `prominence wait`.
FIRST_PAUSE_SECONDS = 2.0
LONGEST_PAUSE_SECONDS = 15.0
PAUSE_GROWTH = 1.05


def watch(
    workspace: Workspace, job_ids: Sequence[int], workflow_ids: Sequence[int] = ()
) -> Iterator[tuple[Look, float]]:
    """The jobs and workflows as of now, again and again, and how many seconds the next look is away.

    Without ids: what is active, and whatever is created meanwhile; what has ended stays in view.
    Ends when all have ended. The caller's use of the answer counts towards the pause.
    """
    ask = look_at if job_ids or workflow_ids else look_at_active
    jobs, workflows = list(dict.fromkeys(job_ids)), list(dict.fromkeys(workflow_ids))
    pause = FIRST_PAUSE_SECONDS
    while True:
        begun = time.monotonic()
        look = ask(workspace, jobs, workflows)
        jobs = [record.id for record in look.records]
        workflows = [item.progress.id for item in look.workflows]
        if look.final:
            yield look, 0.0
            return
        wait = pause_seconds(workspace, look.active, pause)
        yield look, wait
        time.sleep(max(0.0, begun + wait - time.monotonic()))
        pause = min(pause * PAUSE_GROWTH, LONGEST_PAUSE_SECONDS)


def pause_seconds(workspace: Workspace, records: Sequence[JobRecord], wanted: float) -> float:
    """``wanted``, or what the slowest of the sites with active jobs asks for."""
    sites = {record.site for record in records if not record.final}
    known = workspace.config.sites
    floors = [known[name].poll_seconds for name in sites if name in known]
    return max([wanted, *floors])
