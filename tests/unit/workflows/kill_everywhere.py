"""Run as a program: kill a process at each line of ours that submits a workflow, recover, tell what is left.

As :mod:`tests.unit.submission.kill_everywhere`, of which it is the larger sister.
"""

import json
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from prominence_hpc.adapter.submission import SETTLE_SECONDS
from prominence_hpc.adapter.workflows.create import create_workflow
from prominence_hpc.adapter.workflows.jobs import delete_workflow
from prominence_hpc.adapter.workflows.recover import recover_workflows
from prominence_hpc.errors import BackendError
from tests.unit.submission.kill_everywhere import killed_at
from tests.unit.workflows.site import DOCUMENT, FakeCluster, cluster_at, workspace_at

# Where something outside the process is changed.
OURS = (
    "store/workflows.py",
    "workflows/submit.py",
    "workflows/recover.py",
    "database.py",
    "state_folder.py",
    "fake_scheduler.py",
)


def create(folder: Path, cluster: FakeCluster) -> None:
    """What ``prominence run`` does."""
    create_workflow(workspace_at(folder, cluster), DOCUMENT, None)


def refused(folder: Path, cluster: FakeCluster) -> None:
    """The same, where the scheduler refuses the last part: all of it is taken back."""
    cluster.refused = "merge"
    with suppress(BackendError):
        create(folder, cluster)


def recover_once(folder: Path, cluster: FakeCluster) -> None:
    """What the second command after a crash does: it submits."""
    recover_workflows(workspace_at(folder, cluster), now=time.time() + 2 * SETTLE_SECONDS)


def crash_in_the_middle(folder: Path, cluster: FakeCluster) -> None:
    """One part is with the scheduler, and a first look did not find the others."""
    cluster.mood = "silent"
    workspace = workspace_at(folder, cluster)
    with suppress(BackendError):
        create_workflow(workspace, DOCUMENT, None)
    cluster.mood = "answers"
    (record,) = workspace.store.workflows.select()
    batch = workspace.store.workflows.batches(record.id)[-1]
    cluster._take(batch.tag)
    recover_workflows(workspace, now=time.time())
    workspace.store.close()


def main(scenario: str, folder: Path) -> None:
    action = {"create": create, "refused": refused, "recover": recover_once}[scenario]
    entries = []
    for line in range(1, 3000):
        place = folder / str(line)
        place.mkdir(parents=True)
        cluster = cluster_at(place)
        if scenario == "recover":
            crash_in_the_middle(place, cluster)
        where = killed_at(line, action, place, cluster, OURS)
        entries.append({"killed": where, **aftermath(place, cluster)})
        if where is None:
            break
    print(json.dumps(entries))


def aftermath(folder: Path, cluster: FakeCluster) -> dict[str, Any]:
    """The next commands, far enough apart; then what user and scheduler have."""
    cluster.refused = None
    workspace = workspace_at(folder, cluster)
    now = time.time() + 2 * SETTLE_SECONDS
    for command in range(3):
        recover_workflows(workspace, now=now + command * SETTLE_SECONDS)
    store = workspace.store.workflows
    workflows = store.select()
    for record in workflows:
        if record.deleted and any(not job.final for job in store.jobs(record.id)):
            delete_workflow(workspace, record.id)
    jobs = workspace.store.select()
    return {
        "workflows": [[record.state, record.deleted] for record in workflows],
        "jobs": len(jobs),
        "handles": sorted({str(job.handle).partition("_")[0] for job in jobs}),
        "deleted": sorted({job.deleted for job in jobs}),
        "folders": len(list((folder / "state").glob("workflows/*/*"))),
        "taken": sorted(cluster.submissions()),
        "cancelled": sorted(cluster.cancelled()),
    }


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
