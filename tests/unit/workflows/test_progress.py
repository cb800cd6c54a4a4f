"""What the states of its jobs make of a workflow."""

import pytest

from prominence_hpc.adapter.store.workflow_records import Tally, WorkflowRecord
from prominence_hpc.adapter.workflows.progress import (
    Progress,
    WorkflowStatus,
    add_up,
    progress_of,
    words_of,
)


def tally(
    status: str,
    count: int = 1,
    *,
    final: bool | None = None,
    task_failed: bool = False,
    times: tuple[float | None, float | None] = (None, None),
    workflow: int = 1,
    part: int = 0,
) -> Tally:
    ended = status not in ("idle", "running") if final is None else final
    return Tally(workflow, part, status, task_failed, ended, count, *times)


def workflow(number: int = 1, *, deleted: bool = False) -> WorkflowRecord:
    return WorkflowRecord(
        id=number,
        tag="t" * 32,
        site="here",
        backend="slurm",
        name="w",
        labels={},
        created=1000.0,
        total=0,
        rerun_of=None,
        leave_in_queue=False,
        state="submitted",
        handle=None,
        absent_since=None,
        deleted=deleted,
        removed=False,
        claim=None,
    )


@pytest.mark.parametrize(
    ("tallies", "deleted", "status"),
    [
        ([tally("idle", 3)], False, "idle"),
        ([tally("idle", 2), tally("running")], False, "running"),
        ([tally("idle", 2), tally("completed")], False, "running"),
        ([tally("failed", 2), tally("running")], False, "running"),
        ([tally("completed", 3)], False, "completed"),
        ([tally("completed", 2), tally("failed")], False, "failed"),
        ([tally("completed", 2), tally("killed")], False, "failed"),
        ([tally("completed", 2), tally("deleted")], False, "failed"),
        ([tally("completed", 2), tally("completed", task_failed=True)], False, "failed"),
        ([tally("deleted", 2, final=False)], True, "deleted"),
        ([tally("completed", 2), tally("deleted")], True, "deleted"),
        ([tally("completed", 2)], True, "completed"),
    ],
)
def test_status(tallies: list[Tally], deleted: bool, status: WorkflowStatus) -> None:
    assert Progress(record=workflow(deleted=deleted), counts=add_up(tallies)).status == status


def test_counts() -> None:
    counts = add_up(
        [
            tally("completed", 4),
            tally("completed", 3, task_failed=True),
            tally("failed", 2),
            tally("killed"),
            tally("deleted"),
            tally("deleted", 5, final=False),
            tally("idle", 6),
        ]
    )
    assert (counts.success, counts.failed, counts.active, counts.total) == (4, 7, 11, 22)
    assert counts.task_failed == 3
    assert counts.states == {"completed": 7, "failed": 2, "killed": 1, "deleted": 6, "idle": 6}


def test_it_begins_with_its_first_job_and_ends_with_its_last() -> None:
    ended = tally("completed", times=(20.0, 30.0))
    others = tally("failed", 3, times=(10.0, 90.0))
    assert (add_up([ended, others]).started, add_up([ended, others]).ended) == (10.0, 90.0)
    waits = tally("idle")
    assert (add_up([ended, waits]).started, add_up([ended, waits]).ended) == (20.0, None)
    assert (add_up([waits]).started, add_up([tally("failed")]).ended) == (None, None)


def test_each_workflow_has_its_own_jobs_alone() -> None:
    found = progress_of(
        [workflow(7), workflow(2)],
        [tally("completed", 2, workflow=2), tally("idle", 3, workflow=7)],
    )
    assert [(item.id, item.status, item.counts.total) for item in found] == [
        (7, "idle", 3),
        (2, "completed", 2),
    ]


@pytest.mark.parametrize(
    ("tallies", "many", "words"),
    [
        ([tally("idle", 10)], True, "0 of 10 done"),
        ([tally("completed", 7), tally("failed"), tally("running", 2)], True,
         "7 of 10 done, 1 failed, 2 running"),
        ([tally("completed")], False, "completed"),
        ([tally("killed", times=(1.0, 2.0))], False, "killed"),
        ([tally("completed", task_failed=True, times=(1.0, 2.0))], False, "a task failed"),
        ([tally("failed", 10)], True, "not run"),
        ([tally("failed")], False, "not run"),
    ],
)  # fmt: skip
def test_words(tallies: list[Tally], many: bool, words: str) -> None:
    assert words_of(add_up(tallies), many=many) == words
