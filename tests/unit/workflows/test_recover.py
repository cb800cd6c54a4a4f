"""A workflow whose submission was cut short is finished or taken back, and nothing of it is doubled."""

import json
import time
from pathlib import Path

import pytest

from prominence_hpc.adapter.store.state_folder import folder_of, part_folder, workflow_folder
from prominence_hpc.adapter.submission import SETTLE_SECONDS
from prominence_hpc.adapter.workflows.create import create_workflow
from prominence_hpc.adapter.workflows.jobs import delete_workflow
from prominence_hpc.adapter.workflows.recover import recover_workflows
from prominence_hpc.adapter.workspace import Workspace
from prominence_hpc.backends.base import Cause, Condition, SchedulerState, Submission
from prominence_hpc.errors import BackendUnavailable
from tests.unit.verdict.test_verdict import COMPLETED
from tests.unit.workflows.site import DOCUMENT, FakeCluster, cluster_at, workspace_at


def interrupted(
    workspace: Workspace, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, after: int
) -> int:
    """A workflow of which the scheduler took so many batches, and said nothing to the next."""
    submit = FakeCluster.submit

    def falls_silent(self: FakeCluster, submission: Submission) -> str:
        if len(self.submissions()) >= after:
            self.mood = "silent"
        return submit(self, submission)

    with monkeypatch.context() as patch:
        patch.setattr(FakeCluster, "submit", falls_silent)
        with pytest.raises(BackendUnavailable):
            create_workflow(workspace, DOCUMENT, None)
    cluster.mood = "answers"
    (record,) = workspace.store.workflows.select()
    return record.id


def look(workspace: Workspace, *, times: int = 2, start: float | None = None) -> list[str]:
    """Later commands, far enough apart."""
    now = time.time() if start is None else start
    messages = []
    for number in range(times):
        messages += recover_workflows(workspace, now=now + number * (SETTLE_SECONDS + 1))
    return messages


@pytest.mark.parametrize("after", [0, 1, 2])
def test_what_is_open_is_submitted_once_the_scheduler_is_sure(
    workspace: Workspace, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    number = interrupted(workspace, cluster, monkeypatch, after)
    assert look(workspace, times=1) == []
    assert len(cluster.submissions()) == after  # not yet
    assert look(workspace, times=1, start=time.time() + SETTLE_SECONDS + 1) == []
    asked = {item["name"]: item["after"] for item in cluster.asked().values()}
    assert asked == {"w/prepare": [], "w/many": ["1"], "w/merge": ["2"]}
    record = workspace.store.workflows.get(number)
    assert (record.state, record.claim) == ("submitted", None)
    assert all(job.handle for job in workspace.store.workflows.jobs(number))
    assert look(workspace) == []
    assert len(cluster.submissions()) == 3


def test_a_batch_that_was_taken_without_an_answer_is_found(
    workspace: Workspace, cluster: FakeCluster
) -> None:
    cluster.mood = "takes it, silent"
    with pytest.raises(BackendUnavailable):
        create_workflow(workspace, DOCUMENT, None)
    cluster.mood = "answers"
    look(workspace)
    assert len(cluster.submissions()) == 3
    (record,) = workspace.store.workflows.select()
    assert record.state == "submitted"


def test_a_scheduler_that_stays_silent_changes_nothing(
    workspace: Workspace, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = interrupted(workspace, cluster, monkeypatch, 1)
    cluster.mood = "silent"
    (message, _) = look(workspace)
    assert message.startswith("Site here: The scheduler does not answer.")
    assert str(number) in message
    assert workspace.store.workflows.get(number).state == "intent"


def test_a_deleted_workflow_is_not_finished(
    workspace: Workspace, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = interrupted(workspace, cluster, monkeypatch, 1)
    delete_workflow(workspace, number)
    assert cluster.cancelled() == {"1"}
    look(workspace, times=3)
    assert set(cluster.submissions()) == {"1"}
    merge = workspace.store.workflows.jobs(number)[0]
    assert (merge.status, merge.final) == ("deleted", True)


def ended(workspace: Workspace, cluster: FakeCluster, number: int, cause: Cause, code: int) -> None:
    """The first part has ended, long enough ago for its report to have come."""
    prepare = workspace.store.workflows.jobs(number)[-1]
    assert prepare.handle is not None
    state = SchedulerState(
        condition=Condition.ENDED, cause=cause, exit_code=code, end_time=time.time() - 600
    )
    cluster.end(prepare.handle, state)


def test_what_waits_for_a_part_that_has_failed_meanwhile_is_not_submitted(
    workspace: Workspace, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = interrupted(workspace, cluster, monkeypatch, 1)
    ended(workspace, cluster, number, Cause.NODE_FAILURE, 1)
    look(workspace)
    assert len(cluster.submissions()) == 1
    merge, *many, prepare = workspace.store.workflows.jobs(number)
    assert (prepare.status, prepare.status_reason) == ("failed", "Compute node failed")
    assert {(job.status, job.status_reason) for job in many} == {
        ("failed", "Not run: prepare failed")
    }
    assert (merge.status, merge.status_reason) == ("failed", "Not run: many was not run")
    assert workspace.store.workflows.get(number).state == "submitted"


def test_nothing_waits_for_a_part_that_has_ended_well_meanwhile(
    workspace: Workspace, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slurm refuses to let a job wait for one that it has forgotten."""
    number = interrupted(workspace, cluster, monkeypatch, 1)
    prepare = workspace.store.workflows.jobs(number)[-1]
    report = json.dumps(COMPLETED)
    (folder_of(workspace.state, prepare) / "report.json").write_text(report, encoding="ascii")
    ended(workspace, cluster, number, Cause.EXITED, 0)
    look(workspace)
    asked = {item["name"]: item["after"] for item in cluster.asked().values()}
    assert asked == {"w/prepare": [], "w/many": [], "w/merge": ["2"]}


def test_what_waits_for_a_part_that_failed_and_was_forgotten_is_not_submitted(
    workspace: Workspace, cluster: FakeCluster
) -> None:
    """Killed before the handle was recorded, and Slurm, without accounting, forgot the job meanwhile."""
    cluster.mood = "takes it, silent"
    with pytest.raises(BackendUnavailable):
        create_workflow(workspace, DOCUMENT, None)
    cluster.mood = "answers"
    (record,) = workspace.store.workflows.select()
    (cluster.folder / "1.job").unlink()
    prepare = workspace.store.workflows.jobs(record.id)[-1]
    report_of = folder_of(workspace.state, prepare) / "report.json"
    report_of.write_text(json.dumps({**COMPLETED, "cause": "task"}), encoding="ascii")
    look(workspace)
    assert cluster.submissions() == {}
    merge, *many, prepare = workspace.store.workflows.jobs(record.id)
    assert (prepare.status, prepare.task_failed) == ("completed", True)
    assert {item.status_reason for item in many} == {"Not run: prepare failed"}
    assert merge.status_reason == "Not run: many was not run"


def test_a_folder_alone_is_no_sign_that_a_copy_has_run(
    workspace: Workspace, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = interrupted(workspace, cluster, monkeypatch, 1)
    (part_folder(workspace.state, number, 1) / "2").mkdir()
    look(workspace)
    assert len(cluster.submissions()) == 3


def lose_the_answer(workspace: Workspace) -> None:
    """As if nobody had heard that a graph was submitted."""
    with workspace.store._database.writing() as connection:
        connection.execute("UPDATE workflows SET state = 'intent', handle = NULL")
        for table in ("batches", "jobs"):
            connection.execute(f"UPDATE {table} SET state = 'intent'")


def test_a_graph_that_has_run_is_not_run_again(tmp_path: Path) -> None:
    """The answer to its submission was lost, and the scheduler's history is short."""
    cluster = cluster_at(tmp_path, runs_graphs=True)
    workspace = workspace_at(tmp_path, cluster, backend="htcondor", shared_filesystem=True)
    record = create_workflow(workspace, DOCUMENT, None)
    lose_the_answer(workspace)
    (cluster.folder / "1.job").unlink()
    handles = workflow_folder(workspace.state, record.id) / "handles"
    handles.write_text(json.dumps({"part-2-0": "7"}))
    look(workspace)
    assert cluster.submissions() == {}
    merge, *_, prepare = workspace.store.workflows.jobs(record.id)
    assert prepare.handle == "7"
    assert merge.status_reason == "Not run: the scheduler has forgotten the workflow"


def test_a_graph_is_found_by_its_own_tag(tmp_path: Path) -> None:
    cluster = cluster_at(tmp_path, runs_graphs=True)
    workspace = workspace_at(tmp_path, cluster, backend="htcondor", shared_filesystem=True)
    record = create_workflow(workspace, DOCUMENT, None)
    lose_the_answer(workspace)
    look(workspace, times=1)
    found = workspace.store.workflows.get(record.id)
    assert (found.state, found.handle) == ("submitted", record.handle)
    assert len(cluster.submissions()) == 1
