"""What is recorded, written and asked for when a workflow is run."""

import json
from pathlib import Path
from typing import Any

import pytest

from prominence_hpc.adapter.store.state_folder import folder_of, part_folder, workflow_folder
from prominence_hpc.adapter.store.store import Store
from prominence_hpc.adapter.workflows.create import create_workflow
from prominence_hpc.adapter.workspace import Workspace
from prominence_hpc.backends.base import Submission
from prominence_hpc.errors import (
    BackendError,
    BackendUnavailable,
    ConflictError,
    NotFoundError,
    SpecError,
)
from tests.unit.workflows.site import DOCUMENT, FakeCluster, cluster_at, job, sweep, workspace_at


def asked_by_name(cluster: FakeCluster) -> dict[str, Any]:
    return {asked["name"]: {**asked, "handle": handle} for handle, asked in cluster.asked().items()}


def test_each_part_is_one_call_and_waits_for_those_before(
    workspace: Workspace, cluster: FakeCluster
) -> None:
    record = create_workflow(workspace, DOCUMENT, None)
    asked = asked_by_name(cluster)
    assert asked.keys() == {"w/prepare", "w/many", "w/merge"}
    assert asked["w/prepare"]["after"] == []
    assert asked["w/many"]["after"] == [asked["w/prepare"]["handle"]]
    assert asked["w/merge"]["after"] == [asked["w/many"]["handle"]]
    assert (asked["w/many"]["first"], asked["w/many"]["count"]) == (0, 5)
    assert (record.total, record.state, record.claim) == (7, "submitted", None)


def test_jobs_are_named_and_numbered_in_the_order_of_the_description(
    workspace: Workspace, cluster: FakeCluster
) -> None:
    record = create_workflow(workspace, DOCUMENT, None)
    jobs = workspace.store.select()
    names = ["w/merge", *(f"w/many/{index}" for index in range(5)), "w/prepare"]
    assert [job.name for job in jobs] == names
    assert [job.id for job in jobs] == list(range(record.id + 1, record.id + 8))
    many = asked_by_name(cluster)["w/many"]["handle"]
    assert [job.handle for job in jobs[1:6]] == [f"{many}_{copy}" for copy in range(5)]
    assert [job.command for job in jobs[1:6]] == [f"echo {value}" for value in range(5)]


def test_a_number_is_never_a_job_and_a_workflow(workspace: Workspace) -> None:
    first = create_workflow(workspace, {"jobs": [job("a"), job("b")]}, None)
    single = workspace.store.create_intent(site="here", backend="slurm")
    second = create_workflow(workspace, {"jobs": [job("a")]}, None)
    assert (first.id, single.id, second.id) == (1, 4, 5)


def test_a_sweep_has_one_plan_and_no_file_for_each_job(workspace: Workspace) -> None:
    document = {
        "jobs": [job("a", "echo $x", outputFiles=["$x"])],
        "factories": [sweep("a", end=999)],
    }
    record = create_workflow(workspace, document, None)
    files = [path for path in workflow_folder(workspace.state, record.id).rglob("*")]
    assert len(files) < 10
    plan = json.loads((part_folder(workspace.state, record.id, 0) / "plan.json").read_text())
    assert plan["tasks"][0]["command_line"] == "echo $x"
    assert plan["tasks"][0]["command"] is None
    assert plan["sweep"]["first_job_id"] == record.id + 1
    assert plan["sweep"]["parameters"][0]["values"][-1] == "999"
    assert plan["workflow_id"] == record.id


def test_copies_have_folders_of_their_own(workspace: Workspace) -> None:
    record = create_workflow(workspace, DOCUMENT, None)
    jobs = workspace.store.workflows.jobs(record.id)
    folders = {folder_of(workspace.state, job) for job in jobs}
    assert len(folders) == 7


def test_a_sweep_larger_than_an_array_is_several_calls(tmp_path: Path) -> None:
    cluster = cluster_at(tmp_path, most=2)
    workspace = workspace_at(tmp_path, cluster)
    create_workflow(workspace, DOCUMENT, None)
    calls = sorted(cluster.asked().values(), key=lambda item: item["job_id"])
    many = [(item["first"], item["count"]) for item in calls if item["name"] == "w/many"]
    assert many == [(0, 2), (2, 2), (4, 1)]
    (merge,) = (item for item in calls if item["name"] == "w/merge")
    assert len(merge["after"]) == 3
    handles = [job.handle for job in workspace.store.select() if "many" in job.name]
    assert [handle.rpartition("_")[2] for handle in handles if handle] == ["0", "1", "0", "1", "0"]


@pytest.mark.parametrize(
    ("children", "code"), [(["b"], "strict"), ([], "plain")], ids=["parent", "alone"]
)
def test_a_failing_task_is_told_to_the_scheduler_where_something_waits(
    workspace: Workspace, children: list[str], code: str
) -> None:
    document = {"jobs": [job("a"), job("b")], "dependencies": {"a": children} if children else {}}
    record = create_workflow(workspace, document, None)
    plan = json.loads((part_folder(workspace.state, record.id, 0) / "plan.json").read_text())
    assert plan["exit_code"] == code


def test_an_engine_that_runs_graphs_gets_the_whole_at_once(tmp_path: Path) -> None:
    cluster = cluster_at(tmp_path, runs_graphs=True)
    workspace = workspace_at(tmp_path, cluster, backend="htcondor", shared_filesystem=True)
    record = create_workflow(workspace, DOCUMENT, None)
    nodes = json.loads((cluster.folder / "graph").read_text())
    assert nodes == {"part-2-0": [], "part-1-0": ["part-2-0"], "part-0-0": ["part-1-0"]}
    assert cluster.asked() == {}
    assert record.handle == "1"
    plan = json.loads((part_folder(workspace.state, record.id, 1) / "plan.json").read_text())
    assert plan["exit_code"] == "silent"


def test_every_part_of_a_graph_ends_silently(tmp_path: Path) -> None:
    """DAGMan would end a sweep at the first of its jobs that does not, whoever waits for it."""
    cluster = cluster_at(tmp_path, runs_graphs=True)
    workspace = workspace_at(tmp_path, cluster, backend="htcondor", shared_filesystem=True)
    document = {"jobs": [job("a"), job("b"), job("alone")], "dependencies": {"a": ["b"]}}
    record = create_workflow(workspace, document, None)
    for number in range(3):
        folder = part_folder(workspace.state, record.id, number)
        assert json.loads((folder / "plan.json").read_text())["exit_code"] == "silent"


def test_an_engine_that_runs_graphs_needs_none_where_nothing_waits(tmp_path: Path) -> None:
    cluster = cluster_at(tmp_path, runs_graphs=True)
    workspace = workspace_at(tmp_path, cluster)
    record = create_workflow(workspace, {"jobs": [job("a"), job("b")]}, None)
    assert len(cluster.asked()) == 2
    assert record.handle is None


def nothing_is_left(workspace: Workspace) -> bool:
    workflows = workspace.store.workflows.select()
    folders = list((workspace.state / "workflows").glob("*/*"))
    return not (workflows or folders or workspace.store.select())


def test_a_refusal_in_the_middle_takes_all_of_it_back(
    workspace: Workspace, cluster: FakeCluster
) -> None:
    cluster.refused = "merge"
    with pytest.raises(BackendError, match="Invalid partition"):
        create_workflow(workspace, DOCUMENT, None)
    assert nothing_is_left(workspace)
    assert cluster.cancelled() == set(cluster.submissions())
    assert len(cluster.submissions()) == 2


def test_a_folder_that_is_another_workflows_stays(workspace: Workspace) -> None:
    folder = workflow_folder(workspace.state, 1)
    folder.mkdir(parents=True)
    (folder / "workflow.json").write_text("{}")
    with pytest.raises(ConflictError, match="exists already"):
        create_workflow(workspace, DOCUMENT, None)
    assert (folder / "workflow.json").read_text() == "{}"
    assert workspace.store.workflows.select() == []


def test_a_submission_that_takes_long_holds_on_to_its_claim(
    workspace: Workspace, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another command has taken it over: this one stops, and cancels what both have submitted."""
    monkeypatch.setattr("prominence_hpc.adapter.workflows.submit.LEASE_SECONDS", -1)
    submit = FakeCluster.submit

    def taken_over(self: FakeCluster, submission: Submission) -> str:
        handle = submit(self, submission)
        with Store(workspace.state) as other, other._database.writing() as connection:
            connection.execute("UPDATE workflows SET claim_host = 'elsewhere'")
            connection.execute("UPDATE batches SET handle = '99' WHERE tag = ?", (submission.tag,))
        return handle

    monkeypatch.setattr(FakeCluster, "submit", taken_over)
    with pytest.raises(BackendUnavailable, match="taken its submission over"):
        create_workflow(workspace, DOCUMENT, None)
    assert set(cluster.submissions()) == {"1"}
    assert cluster.cancelled() == {"1"}


def test_silence_leaves_the_intent_and_says_what_to_do(
    workspace: Workspace, cluster: FakeCluster
) -> None:
    cluster.mood = "silent"
    with pytest.raises(BackendUnavailable, match=r"Workflow 1 is recorded.*Do not run it again"):
        create_workflow(workspace, DOCUMENT, None)
    (record,) = workspace.store.workflows.select()
    assert (record.state, record.claim) == ("intent", None)


def test_a_missing_object_is_told_before_anything_is_recorded(
    workspace: Workspace, cluster: FakeCluster
) -> None:
    document = {
        "jobs": [job("a", artifacts=[{"url": "in-$x.txt"}])],
        "factories": [sweep("a", end=1)],
    }
    with pytest.raises(NotFoundError, match=r"'in-0.txt', 'in-1.txt'"):
        create_workflow(workspace, document, None)
    assert nothing_is_left(workspace)
    assert cluster.submissions() == {}


def test_objects_with_parameters_in_their_names_are_found_for_each_job(
    workspace: Workspace, tmp_path: Path
) -> None:
    for value in range(3):
        source = tmp_path / f"in-{value}"
        source.write_text(f"content {value}")
        workspace.storage.upload(source, f"uploads/alice/in-{value}.txt")
    document = {
        "jobs": [job("a", artifacts=[{"url": "in-$x.txt"}])],
        "factories": [sweep("a", end=2)],
    }
    record = create_workflow(workspace, document, None)
    plan = json.loads((part_folder(workspace.state, record.id, 0) / "plan.json").read_text())
    objects = plan["sweep"]["objects"]
    assert objects.keys() == {"in-0.txt", "in-1.txt", "in-2.txt"}
    assert [Path(item["source"]).read_text() for item in objects.values()] == [
        "content 0",
        "content 1",
        "content 2",
    ]


def problems(workspace: Workspace, document: dict[str, Any]) -> list[str]:
    with pytest.raises(SpecError) as caught:
        create_workflow(workspace, document, None)
    assert nothing_is_left(workspace)
    return [str(problem) for problem in caught.value.problems]


def test_more_jobs_than_the_site_takes(tmp_path: Path) -> None:
    workspace = workspace_at(tmp_path, cluster_at(tmp_path), largest_workflow=4)
    (problem,) = problems(workspace, DOCUMENT)
    assert problem.startswith("factories[0]: makes 5 jobs; the site here takes 4")


def test_jobs_that_want_different_sites(workspace: Workspace) -> None:
    here = {"placement": {"requirements": {"sites": ["here"]}}}
    there = {"placement": {"requirements": {"sites": ["local"]}}}
    document = {"jobs": [job("a", policies=here), job("b", policies=there)]}
    (problem,) = problems(workspace, document)
    assert problem.startswith("jobs[1].policies.placement.requirements: excludes the site here")


def test_what_a_site_cannot_do_is_named_with_its_job(workspace: Workspace) -> None:
    document = {
        "jobs": [job("a"), job("b", notifications=[{"event": "jobFinished", "type": "email"}])]
    }
    (problem,) = problems(workspace, document)
    assert problem.startswith("jobs[1].notifications: ")


def test_policies_of_the_workflow_hold_for_jobs_that_say_nothing(workspace: Workspace) -> None:
    document = {
        "jobs": [job("a"), job("b", policies={"maximumRetries": 1})],
        "policies": {"maximumRetries": 4},
    }
    record = create_workflow(workspace, document, None)
    plans = [
        json.loads((part_folder(workspace.state, record.id, number) / "plan.json").read_text())
        for number in (0, 1)
    ]
    assert [plan["maximum_retries"] for plan in plans] == [4, 1]


def test_the_time_in_the_queue_of_a_job_that_waits_begins_later(workspace: Workspace) -> None:
    patient = job("b", policies={"maximumTimeInQueue": 7, "maximumRetries": 1})
    document = {"jobs": [job("a"), patient], "dependencies": {"a": ["b"]}}
    record = create_workflow(workspace, document, None)
    plan = json.loads((part_folder(workspace.state, record.id, 1) / "plan.json").read_text())
    assert (plan["queue_seconds"], plan["start_before"]) == (420, None)
