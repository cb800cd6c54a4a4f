"""Jobs of recorded workflows: found by name, told why they were not run, run once more."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prominence_hpc.adapter.download import own_folder
from prominence_hpc.adapter.jobs import delete, submitted_document
from prominence_hpc.adapter.spec.decode import decode_job
from prominence_hpc.adapter.store.records import JobRecord
from prominence_hpc.adapter.store.state_folder import folder_of, workflow_folder
from prominence_hpc.adapter.store.store import Store
from prominence_hpc.adapter.workflows.create import create_workflow
from prominence_hpc.adapter.workflows.descriptions import document_alone
from prominence_hpc.adapter.workflows.jobs import (
    current_jobs,
    delete_workflow,
    find_job,
    jobs_with_results,
    remove_workflow,
)
from prominence_hpc.adapter.workflows.rerun import clone_workflow, rerun_workflow
from prominence_hpc.adapter.workspace import Workspace
from prominence_hpc.backends.base import Cause, Condition, SchedulerState, Submission
from prominence_hpc.errors import ConflictError, NotFoundError, SpecError, UsageError
from tests.unit.verdict.test_verdict import COMPLETED, report
from tests.unit.workflows.site import DOCUMENT, FakeCluster, cluster_at, job, sweep, workspace_at

LONG_AGO = time.time() - 600
TASK_FAILED = report("finished", "completed", cause="task")


def end(
    workspace: Workspace,
    cluster: FakeCluster,
    jobs: list[JobRecord],
    outcome: Callable[[JobRecord], Any] = lambda _: COMPLETED,
) -> None:
    """These jobs have left the queue, each with this report, or by this cause."""
    for record in jobs:
        assert record.handle is not None
        became = outcome(record)
        cause = became if isinstance(became, Cause) else Cause.EXITED
        if not isinstance(became, Cause):
            folder = folder_of(workspace.state, record)
            folder.mkdir(exist_ok=True)
            (folder / "report.json").write_text(json.dumps(became), encoding="ascii")
        cluster.end(
            record.handle,
            SchedulerState(condition=Condition.ENDED, cause=cause, end_time=LONG_AGO),
        )


def test_a_job_is_found_by_its_name_and_index(workspace: Workspace) -> None:
    number = create_workflow(workspace, DOCUMENT, None).id
    assert find_job(workspace, number, "merge", None) == number + 1
    assert find_job(workspace, number, "many", 3) == number + 5
    with pytest.raises(UsageError, match=r"made 5 times: say which one"):
        find_job(workspace, number, "many", None)
    with pytest.raises(NotFoundError, match=r"no index 5; there are 5, from 0 to 4"):
        find_job(workspace, number, "many", 5)
    with pytest.raises(NotFoundError, match=r"has no index 0: no factory makes it"):
        find_job(workspace, number, "merge", 0)
    with pytest.raises(NotFoundError, match=r"no job 'mary'; there are merge, many, prepare"):
        find_job(workspace, number, "mary", None)
    with pytest.raises(UsageError, match=r"say which of its jobs"):
        find_job(workspace, number, None, None)


def test_the_description_of_one_job_has_its_values(workspace: Workspace) -> None:
    number = create_workflow(workspace, DOCUMENT, None).id
    document = submitted_document(workspace, number + 4)
    assert document["name"] == "w/many/2"
    assert document["tasks"][0]["cmd"] == "echo 2"
    assert document["outputFiles"] == ["out-2.txt"]


def test_a_failed_parent_is_named_to_those_that_waited(
    workspace: Workspace, cluster: FakeCluster
) -> None:
    number = create_workflow(workspace, DOCUMENT, None).id
    merge, *many, prepare = workspace.store.workflows.jobs(number)
    end(workspace, cluster, [prepare], lambda _: TASK_FAILED)
    end(workspace, cluster, [merge, *many], lambda _: Cause.DEPENDENCY)
    jobs, warnings = current_jobs(workspace, number)
    assert warnings == []
    assert [(item.status, item.status_reason) for item in jobs] == [
        ("failed", "Not run: many was not run"),
        *[("failed", "Not run: prepare failed")] * 5,
        ("completed", ""),
    ]
    assert jobs[-1].task_failed


def test_what_an_engine_has_made_of_a_graph_is_adopted(tmp_path: Path) -> None:
    cluster = cluster_at(tmp_path, runs_graphs=True)
    workspace = workspace_at(tmp_path, cluster, backend="htcondor", shared_filesystem=True)
    number = create_workflow(workspace, DOCUMENT, None).id
    jobs, _ = current_jobs(workspace, number)
    assert {(item.status, item.status_reason) for item in jobs} == {
        ("idle", "Waiting for the jobs that it depends on")
    }
    handles = {"part-2-0": "7", "part-1-0": "8"}
    (workflow_folder(workspace.state, number) / "handles").write_text(json.dumps(handles))
    running = SchedulerState(condition=Condition.RUNNING, start_time=LONG_AGO)
    cluster.end("7", running)
    cluster.end("8_3", running)
    jobs, _ = current_jobs(workspace, number)
    assert [item.handle for item in jobs] == [None, *(f"8_{copy}" for copy in range(5)), "7"]
    assert [item.status for item in jobs] == ["idle", *["idle"] * 3, "running", "idle", "running"]


def test_what_a_graph_that_has_ended_never_began_was_not_run(tmp_path: Path) -> None:
    cluster = cluster_at(tmp_path, runs_graphs=True)
    workspace = workspace_at(tmp_path, cluster, backend="htcondor", shared_filesystem=True)
    record = create_workflow(workspace, DOCUMENT, None)
    handles = workflow_folder(workspace.state, record.id) / "handles"
    handles.write_text(json.dumps({"part-2-0": "7"}))
    current_jobs(workspace, record.id)
    prepare = workspace.store.workflows.jobs(record.id)[-1]
    end(workspace, cluster, [prepare], lambda _: TASK_FAILED)
    assert record.handle is not None
    cluster.end(record.handle, SchedulerState(condition=Condition.ENDED, cause=Cause.EXITED))
    jobs, _ = current_jobs(workspace, record.id)
    assert {item.status_reason for item in jobs[1:6]} == {"Not run: prepare failed"}
    assert all(item.final for item in jobs)


def test_one_job_of_a_graph_that_has_not_begun_cannot_be_deleted(tmp_path: Path) -> None:
    cluster = cluster_at(tmp_path, runs_graphs=True)
    workspace = workspace_at(tmp_path, cluster, backend="htcondor", shared_filesystem=True)
    number = create_workflow(workspace, DOCUMENT, None).id
    with pytest.raises(ConflictError, match=f"'prominence delete {number}' ends the whole"):
        delete(workspace, [number + 1])


def test_a_workflow_is_deleted_by_one_call(workspace: Workspace, cluster: FakeCluster) -> None:
    number = create_workflow(workspace, DOCUMENT, None).id
    assert delete_workflow(workspace, number) == []
    assert cluster.cancelled() == {"1", "2", "3"}
    assert {item.status for item in current_jobs(workspace, number)[0]} == {"deleted"}


def test_an_active_workflow_is_not_removed(workspace: Workspace, cluster: FakeCluster) -> None:
    number = create_workflow(workspace, DOCUMENT, None).id
    with pytest.raises(ConflictError, match="7 jobs that have not ended"):
        remove_workflow(workspace, number)
    end(workspace, cluster, workspace.store.workflows.jobs(number))
    remove_workflow(workspace, number)
    assert workspace.store.workflows.get(number).removed


def failed_twice(workspace: Workspace, cluster: FakeCluster) -> int:
    """A workflow of which copies 1 and 3 of the sweep have failed, and the merge was not reached."""
    number = create_workflow(workspace, DOCUMENT, None).id
    merge, *many, prepare = workspace.store.workflows.jobs(number)
    end(workspace, cluster, [prepare])
    bad = {many[1].id: TASK_FAILED, many[3].id: Cause.MEMORY}
    end(workspace, cluster, many, lambda record: bad.get(record.id, COMPLETED))
    end(workspace, cluster, [merge], lambda _: Cause.DEPENDENCY)
    return number


def test_only_what_has_not_succeeded_is_run_again(
    workspace: Workspace, cluster: FakeCluster
) -> None:
    number = failed_twice(workspace, cluster)
    before = set(cluster.asked())
    record, _ = rerun_workflow(workspace, number, None)
    jobs = workspace.store.workflows.jobs(record.id)
    assert [item.name for item in jobs] == ["w/merge", "w/many/1", "w/many/3"]
    assert [item.command for item in jobs] == ["cat out", "echo 1", "echo 3"]
    new = {h: asked for h, asked in cluster.asked().items() if h not in before}
    assert {asked["name"]: asked["after"] for asked in new.values()} == {
        "w/many": [],
        "w/merge": ["4"],
    }
    assert record.rerun_of == number
    assert find_job(workspace, record.id, "many", 3) == jobs[2].id
    assert own_folder(workspace, jobs[2]) == Path(f"{record.id}/many/3")


def test_the_results_of_a_rerun_are_those_of_both(
    workspace: Workspace, cluster: FakeCluster
) -> None:
    number = failed_twice(workspace, cluster)
    record, _ = rerun_workflow(workspace, number, None)
    end(workspace, cluster, workspace.store.workflows.jobs(record.id))
    jobs, _ = jobs_with_results(workspace, record.id)
    succeeded = ["w/many/0", "w/many/2", "w/many/4", "w/prepare"]
    assert [item.name for item in jobs] == [*succeeded, "w/merge", "w/many/1", "w/many/3"]
    assert all(item.succeeded for item in jobs)


def test_a_rerun_may_fail_and_be_rerun(workspace: Workspace, cluster: FakeCluster) -> None:
    number = failed_twice(workspace, cluster)
    first, _ = rerun_workflow(workspace, number, None)
    merge, one, three = workspace.store.workflows.jobs(first.id)
    end(workspace, cluster, [one])
    end(workspace, cluster, [three], lambda _: TASK_FAILED)
    end(workspace, cluster, [merge], lambda _: Cause.DEPENDENCY)
    second, _ = rerun_workflow(workspace, first.id, None)
    names = [item.name for item in workspace.store.workflows.jobs(second.id)]
    assert names == ["w/merge", "w/many/3"]


def test_what_runs_or_has_succeeded_is_not_run_again(
    workspace: Workspace, cluster: FakeCluster
) -> None:
    number = create_workflow(workspace, DOCUMENT, None).id
    with pytest.raises(ConflictError, match="7 jobs that have not ended"):
        rerun_workflow(workspace, number, None)
    end(workspace, cluster, workspace.store.workflows.jobs(number))
    with pytest.raises(ConflictError, match="nothing to run again"):
        rerun_workflow(workspace, number, None)


def test_reruns_are_counted(workspace: Workspace, cluster: FakeCluster) -> None:
    document = {**DOCUMENT, "policies": {"maximumReruns": 1}}
    number = create_workflow(workspace, document, None).id
    end(workspace, cluster, workspace.store.workflows.jobs(number), lambda _: TASK_FAILED)
    again = rerun_workflow(workspace, number, None)[0].id
    end(workspace, cluster, workspace.store.workflows.jobs(again), lambda _: TASK_FAILED)
    with pytest.raises(ConflictError, match="maximumReruns"):
        rerun_workflow(workspace, again, None)


def test_a_clone_has_all_jobs(workspace: Workspace) -> None:
    number = create_workflow(workspace, DOCUMENT, None).id
    again = clone_workflow(workspace, number, None).id
    first, second = (workspace.store.workflows.jobs(item) for item in (number, again))
    assert [item.name for item in first] == [item.name for item in second]
    assert {item.uid for item in first}.isdisjoint(item.uid for item in second)


@pytest.mark.parametrize("name", ["../../etc/x", "/etc/x", "a//b", "a/./b", ".."])
def test_names_do_not_lead_out_of_the_folder(workspace: Workspace, name: str) -> None:
    with pytest.raises(SpecError, match="an empty part, or one that means a folder"):
        create_workflow(workspace, {"jobs": [job(name)]}, None)


def test_a_rerun_that_runs_is_the_only_one(workspace: Workspace, cluster: FakeCluster) -> None:
    number = failed_twice(workspace, cluster)
    again, _ = rerun_workflow(workspace, number, None)
    with pytest.raises(ConflictError, match=f"being run again already, as workflow {again.id}"):
        rerun_workflow(workspace, number, None)


def test_one_job_can_be_cloned_alone(workspace: Workspace) -> None:
    document = {
        "jobs": [job("a", "echo $x", policies={"maximumRetries": 1}), job("b")],
        "factories": [sweep("a", end=2)],
        "policies": {"maximumRetries": 5, "leaveInQueue": True},
    }
    number = create_workflow(workspace, document, None).id
    alone = document_alone(workspace.state, workspace.store.get(number + 2))
    assert alone["tasks"][0]["cmd"] == "echo 1"
    assert alone["tasks"][0]["env"] == {"PROMINENCE_PARAMETER_x": "1"}
    assert alone["policies"] == {"maximumRetries": 1, "leaveInQueue": True}
    decode_job(alone)


def test_a_graph_that_was_deleted_while_nobody_answered_is_ended_later(tmp_path: Path) -> None:
    cluster = cluster_at(tmp_path, runs_graphs=True)
    workspace = workspace_at(tmp_path, cluster, backend="htcondor", shared_filesystem=True)
    record = create_workflow(workspace, DOCUMENT, None)
    cluster.mood = "silent"
    assert "will be deleted when it answers" in " ".join(delete_workflow(workspace, record.id))
    assert cluster.cancelled() == set()
    cluster.mood = "answers"
    current_jobs(workspace, record.id)
    assert cluster.cancelled() == {record.handle}


def test_what_was_deleted_while_it_was_submitted_is_ended(
    workspace: Workspace, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit = FakeCluster.submit

    def deleted_meanwhile(self: FakeCluster, submission: Submission) -> str:
        with Store(workspace.state) as other:
            other.workflows.mark_deleted(1)
        return submit(self, submission)

    monkeypatch.setattr(FakeCluster, "submit", deleted_meanwhile)
    create_workflow(workspace, DOCUMENT, None)
    assert cluster.cancelled() == {"1", "2", "3"}


def test_an_engine_that_ends_early_is_not_taken_for_a_failed_parent(tmp_path: Path) -> None:
    cluster = cluster_at(tmp_path, runs_graphs=True)
    workspace = workspace_at(tmp_path, cluster, backend="htcondor", shared_filesystem=True)
    record = create_workflow(workspace, DOCUMENT, None)
    assert record.handle is not None
    held = SchedulerState(condition=Condition.HELD, reason="no credentials")
    cluster.end(record.handle, held)
    jobs, _ = current_jobs(workspace, record.id)
    assert jobs[0].status_reason == "Held by the scheduler: no credentials"
    cluster.end(record.handle, SchedulerState(condition=Condition.ENDED, cause=Cause.EXITED))
    merge, *_, prepare = current_jobs(workspace, record.id)[0]
    assert prepare.status_reason.startswith(f"Not run: what runs workflow {record.id} ended early")
    assert merge.status_reason == "Not run: many was not run"
