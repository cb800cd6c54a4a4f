"""Workflows as they are listed, described, drawn, waited for and watched."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from prominence_hpc.adapter import wait as waiting
from prominence_hpc.adapter.jobs import Selection, list_jobs
from prominence_hpc.adapter.looks import look_at, look_at_active
from prominence_hpc.adapter.store import store as store_module
from prominence_hpc.adapter.store.records import JobRecord, JobStatus, decode
from prominence_hpc.adapter.verdict import Verdict
from prominence_hpc.adapter.workflows.create import create_workflow
from prominence_hpc.adapter.workspace import Workspace
from prominence_hpc.backends.base import Condition, SchedulerState
from prominence_hpc.cli import session
from prominence_hpc.cli.flags import Flags
from prominence_hpc.cli.main import cli
from prominence_hpc.cli.watch import changes
from prominence_hpc.errors import BackendUnavailable, ProminenceError
from tests.unit.workflows.site import DOCUMENT, FakeCluster, cluster_at, job, workspace_at

RUNNING = SchedulerState(condition=Condition.RUNNING, start_time=2000.0)
# Of DOCUMENT, which is workflow 1.
MERGE, MANY, PREPARE = 2, range(3, 8), 8


class CountingCluster(FakeCluster):
    """Remembers how often its queue was asked for."""

    polls = 0

    def poll(self, handles: Any) -> dict[str, SchedulerState]:
        self.polls += 1
        return super().poll(handles)


@pytest.fixture
def cluster(tmp_path: Path) -> CountingCluster:
    folder = cluster_at(tmp_path).folder
    return CountingCluster(folder)


@pytest.fixture
def workspace(
    tmp_path: Path, cluster: CountingCluster, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workspace]:
    workspace = workspace_at(tmp_path, cluster)
    monkeypatch.setattr(session, "workspace", lambda site=None: workspace)  # noqa: ARG005
    monkeypatch.chdir(tmp_path)
    with workspace.store:
        yield workspace


@pytest.fixture
def three(workspace: Workspace) -> int:
    """prepare, then many (five of them), then merge."""
    return create_workflow(workspace, {**DOCUMENT, "labels": {"kind": "test"}}, None).id


def prominence(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments), obj=Flags())


def printed(*arguments: str, warnings: bool = False) -> list[dict[str, Any]]:
    done = prominence(*arguments)
    assert done.exit_code == 0, done.output
    assert bool(done.stderr) == warnings
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def end(workspace: Workspace, *numbers: int, status: JobStatus = "completed", **more: Any) -> None:
    values = {"started": 2000.0, "ended": 2060.0, **more}
    verdict = Verdict(status=status, final=True, **values)
    workspace.store.record_verdicts([(number, verdict) for number in numbers])


def run_on(cluster: FakeCluster, workspace: Workspace, *numbers: int) -> None:
    for number in numbers:
        cluster.end(workspace.store.get(number).handle or "", RUNNING)


# list


def test_a_workflow_is_a_line(workspace: Workspace, cluster: CountingCluster, three: int) -> None:
    end(workspace, PREPARE)
    end(workspace, MANY[0], status="failed")
    run_on(cluster, workspace, MANY[1])

    head, line = prominence("list", "workflows").stdout.splitlines()

    assert head.split() == [
        "ID",
        "NAME",
        "CREATED",
        "STATUS",
        "ELAPSED",
        "SUCCESS",
        "FAILED",
        "TOTAL",
    ]
    number, name, _, _, status, elapsed, *counts = line.split()
    assert (number, name, status, counts) == (str(three), "w", "running", ["1", "1", "7"])
    assert elapsed.count(":") == 2
    assert cluster.polls == 1


def test_ended_workflows_are_listed_where_asked_for(workspace: Workspace, three: int) -> None:
    left = create_workflow(
        workspace, {"name": "left", "jobs": [job("a")], "policies": {"leaveInQueue": True}}, None
    ).id
    other = create_workflow(workspace, {"name": "other", "jobs": [job("a")]}, None).id
    end(workspace, left + 1, ended=4e9)
    end(workspace, other + 1)

    def ids(*options: str) -> list[int]:
        return [item["id"] for item in printed("list", "workflows", "--json", *options)]

    assert ids() == [three, left]
    assert ids("--completed") == [left, other]
    assert ids("--completed", "-n", "1") == [other]
    assert ids("--all") == [three, left, other]
    assert ids("--all", "--last", "2") == [left, other]
    assert ids("--idle") == [three]
    assert ids("--running") == []
    assert ids("--all", "--constraint", "kind=test") == [three]
    assert ids("--all", "--name", "o*") == [other]
    assert ids("--all", "--site", "here") == [three, left, other]
    workspace.store.workflows.mark_removed(left)
    assert ids() == [three]


def test_what_was_left_in_the_queue_long_ago_is_not_listed(workspace: Workspace) -> None:
    document = {"jobs": [job("a")], "policies": {"leaveInQueue": True}}
    number = create_workflow(workspace, document, None).id
    end(workspace, number + 1)  # in 1970
    assert printed("list", "workflows", "--json") == []


def test_jobs_of_a_workflow_are_listed_with_those_that_have_ended(
    workspace: Workspace, three: int
) -> None:
    create_workflow(workspace, {"jobs": [job("a")]}, None)
    end(workspace, PREPARE)
    for words in ((), ("jobs",)):
        found = printed("list", *words, str(three), "--json")
        assert [item["id"] for item in found] == [MERGE, *MANY, PREPARE]
        assert {item["workflow"] for item in found} == {three}
    assert [item["id"] for item in printed("list", "1", "--completed", "--json")] == [PREPARE]
    assert len(printed("list", "1", "--idle", "--json")) == 6
    assert [item["id"] for item in printed("list", "-n", "2", "1", "--json")] == [7, 8]
    assert [item["id"] for item in printed("list", "workflows", "1", "--json")] == [three]
    assert len(printed("list", "--json")) == 7  # the active ones of both


def test_the_number_after_list_is_a_workflow_s(workspace: Workspace, three: int) -> None:
    for number, words in ((str(MERGE), "is a job, not a workflow"), ("99", "no workflow 99")):
        done = prominence("list", number)
        assert isinstance(done.exception, ProminenceError)
        assert words in str(done.exception)
    assert prominence("list", "--name", "jobs").exit_code == 0
    assert workspace.store.workflows.exists(three)


@pytest.mark.usefixtures("three")
def test_a_listing_reads_each_job_once(
    workspace: Workspace, cluster: CountingCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[Any] = []

    def counted(row: Any) -> JobRecord:
        rows.append(row)
        return decode(row)

    monkeypatch.setattr(store_module, "decode", counted)
    assert len(list_jobs(workspace, Selection()).records) == 7
    assert (len(rows), cluster.polls) == (7, 1)


# describe


def test_describe(workspace: Workspace, cluster: CountingCluster, three: int) -> None:
    end(workspace, PREPARE)
    end(workspace, MANY[0], status="failed", reason="Container image pull failed")
    end(workspace, MERGE, status="failed", reason="Not run: many failed", started=None)
    run_on(cluster, workspace, MANY[1])

    (found,) = printed("describe", str(three))

    assert (found["id"], found["name"], found["status"]) == (three, "w", "running")
    assert found["labels"] == {"kind": "test"}
    assert [item["name"] for item in found["jobs"]] == ["merge", "many", "prepare"]
    assert found["dependencies"] == DOCUMENT["dependencies"]
    assert found["factories"] == DOCUMENT["factories"]
    assert found["events"].keys() == {"createTime", "startTime"}
    assert found["progress"] == {
        "success": 1, "failed": 2, "active": 4, "total": 7,
        "states": {"running": 1, "idle": 3, "completed": 1, "failed": 2},
    }  # fmt: skip
    merge, many, prepare = found["parts"]
    assert (merge["id"], merge["after"], merge["status"]) == (MERGE, ["many"], "failed")
    assert (many["firstId"], many["lastId"], many["active"]) == (MANY[0], MANY[-1], 4)
    assert (prepare["id"], prepare["status"]) == (PREPARE, "completed")
    # What was not run in consequence comes after what went wrong.
    assert [(item["id"], item["statusReason"]) for item in found["failedJobs"]] == [
        (MANY[0], "Container image pull failed"),
        (MERGE, "Not run: many failed"),
    ]
    assert found["execution"] == {"site": "here", "backend": "slurm"}
    assert printed("describe", "workflow", str(three)) == [found]
    assert cluster.polls == 2


def test_of_many_failed_jobs_the_first_are_described(workspace: Workspace) -> None:
    document = {
        "jobs": [job("a")],
        "factories": [{"type": "repeat", "name": "f", "jobs": ["a"], "number": 200}],
    }
    number = create_workflow(workspace, document, None).id
    end(workspace, *range(number + 1, number + 201), task_failed=True)
    (found,) = printed("describe", str(number))
    assert [item["id"] for item in found["failedJobs"]] == list(range(number + 1, number + 21))
    assert {item["statusReason"] for item in found["failedJobs"]} == {"A task failed"}
    assert found["status"] == "failed"
    assert found["events"]["endTime"] == "1970-01-01 00:34:20"


def test_a_submission_that_is_not_confirmed_is_said(
    workspace: Workspace, cluster: CountingCluster
) -> None:
    cluster.mood = "silent"
    with pytest.raises(BackendUnavailable):
        create_workflow(workspace, DOCUMENT, None)
    (found,) = printed("describe", "1", warnings=True)
    assert found["statusReason"] == "Submission not confirmed by the scheduler yet"
    assert found["status"] == "idle"


def test_nothing_secret_is_shown(workspace: Workspace) -> None:
    secret = job("a", inputs=[{"filename": "in", "content": "eA=="}])
    secret["tasks"][0]["imagePullCredential"] = {"username": "me", "token": "s3cret"}
    secret["tasks"][0]["image"] = "user/repo:tag"
    number = create_workflow(workspace, {"jobs": [secret]}, None).id
    (described,), (submitted,) = (
        printed("describe", str(number)),
        printed("describe", "--input", str(number)),
    )
    assert "s3cret" not in repr((described, submitted))
    assert described["jobs"][0]["inputFiles"] == ["in"]
    assert submitted["jobs"][0]["inputs"] == [{"filename": "in", "content": "eA=="}]
    assert submitted.keys() == {"jobs"}


def test_a_job_says_of_which_workflow_it_is(three: int) -> None:
    (many,), (prepare,) = printed("describe", str(MANY[3])), printed("describe", str(PREPARE))
    assert many["parameters"] == {"x": "3"}
    assert many["workflow"] == prepare["workflow"] == {"id": three, "name": "w"}
    assert "parameters" not in prepare
    assert many["tasks"][0]["cmd"] == "echo 3"


def test_reruns_name_each_other(workspace: Workspace, three: int) -> None:
    again = create_workflow(
        workspace, DOCUMENT, None, chosen={"many": [1, 3], "merge": None}, rerun_of=three
    ).id
    assert printed("describe", str(three))[0]["rerunBy"] == [again]
    (found,) = printed("describe", str(again))
    assert found["rerunOf"] == three
    assert [(item["name"], item["total"]) for item in found["parts"]] == [("merge", 1), ("many", 2)]


# graph


def test_the_picture_is_printed_or_written(workspace: Workspace, three: int) -> None:
    end(workspace, PREPARE)
    done = prominence("graph", str(three))
    assert 'part1[["many<br/>0 of 5 done"]]:::idle' in done.stdout
    assert done.stdout.splitlines()[:3] == ["---", 'title: "Workflow 1: w"', "---"]
    assert "  part2 --> part1" in done.stdout.splitlines()
    assert prominence("graph", "workflow", str(three), "-o", "w.mmd").stdout == "w.mmd\n"
    assert Path("w.mmd").read_text() == done.stdout
    assert prominence("graph", str(three), "-o", "w.dot").exit_code == 0
    assert Path("w.dot").read_text().startswith("digraph ")


def test_without_graphviz_it_is_said_what_can_be_written(
    three: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    done = prominence("graph", str(three), "-o", "w.svg")
    assert isinstance(done.exception, ProminenceError)
    for word in ("package graphviz", "w.mmd", "w.dot"):
        assert word in str(done.exception)


DOT = """\
#!/bin/sh
for word; do case $word in -o*) target=${word#-o};; esac; done
case $PROMINENCE_TEST_DOT in
  fails) echo "syntax error in line 1" >&2; exit 1;;
  *) cat > "$target"; echo "$1" >> "$target";;
esac
"""


def test_graphviz_is_given_the_text(
    three: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "dot").write_text(DOT)
    (tmp_path / "dot").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert prominence("graph", str(three), "-o", "-odd name.svg").stdout == "-odd name.svg\n"
    written = Path("-odd name.svg").read_text()
    assert written.startswith("digraph ")
    assert written.endswith("}\n-Tsvg\n")
    monkeypatch.setenv("PROMINENCE_TEST_DOT", "fails")
    done = prominence("graph", str(three), "-o", "w.png")
    assert "dot says 'syntax error in line 1'" in str(done.exception)


def test_what_cannot_be_drawn(workspace: Workspace, three: int) -> None:
    assert "none of the endings .mmd, .dot" in str(
        prominence("graph", str(three), "-o", "w.jpeg").exception
    )
    assert "cannot be written" in str(
        prominence("graph", str(three), "-o", "absent/w.mmd").exception
    )
    assert "2 is a job, not a workflow" in str(prominence("graph", "2").exception)
    assert workspace.store.workflows.exists(three)


# wait


@pytest.mark.parametrize(
    ("how", "code", "line"),
    [
        ({}, 0, "Workflow 1 completed: 7 of 7 jobs succeeded\n"),
        ({"status": "killed"}, 10,
         "Workflow 1 failed: 6 of 7 jobs succeeded, 1 failed\n"),
        ({"task_failed": True}, 11,
         "Workflow 1 failed: 6 of 7 jobs succeeded, 1 failed\n"),
    ],
)  # fmt: skip
def test_wait_tells_the_end_of_the_whole(
    workspace: Workspace, three: int, how: dict[str, Any], code: int, line: str
) -> None:
    end(workspace, MERGE, *MANY)
    end(workspace, PREPARE, **how)
    done = CliRunner().invoke(cli, ["wait", str(three)], obj=Flags(), standalone_mode=False)
    assert (done.stdout, done.return_value) == (line, code)


def test_wait_asks_once_a_look_and_gives_up_in_time(
    workspace: Workspace, cluster: CountingCluster, three: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    single = create_workflow(workspace, {"jobs": [job("a")]}, None).id
    end(workspace, single + 1)
    monkeypatch.setattr(waiting, "pause_seconds", lambda *_: 10.0)
    arguments = ["wait", "--json", "--timeout", "5", str(single), str(three), str(MERGE)]
    done = CliRunner().invoke(cli, arguments, obj=Flags(), standalone_mode=False)
    assert done.return_value == 12
    assert json.loads(done.stdout) == [
        {"id": single, "status": "completed", "success": 1, "failed": 0, "total": 1},
        {"id": three, "status": "idle", "success": 0, "failed": 0, "total": 7},
        {"id": MERGE, "status": "idle", "statusReason": ""},
    ]
    assert "8 of 9 jobs have not ended" in done.stderr
    assert cluster.polls == 1


def test_that_many_jobs_are_held_is_said_once(
    workspace: Workspace, cluster: CountingCluster, three: int
) -> None:
    for number in MANY:
        held = SchedulerState(condition=Condition.HELD, reason="by an administrator")
        cluster.end(workspace.store.get(number).handle or "", held)
    look = look_at(workspace, [], [three])
    assert waiting.held(look.active) == [
        "Jobs of workflow 1 are waiting: Held by the scheduler: by an administrator"
    ]


# watch


def test_a_workflow_is_watched_by_its_counts(
    workspace: Workspace, cluster: CountingCluster, three: int
) -> None:
    def looks() -> Iterator[Any]:
        yield look_at(workspace, [], [three])
        run_on(cluster, workspace, PREPARE)
        yield look_at(workspace, [], [three])
        end(workspace, PREPARE)
        run_on(cluster, workspace, *MANY)
        yield look_at(workspace, [], [three])
        end(workspace, MANY[0], status="failed")
        yield look_at(workspace, [], [three])
        end(workspace, MANY[1], status="failed")
        yield look_at(workspace, [], [three])
        end(workspace, *MANY[2:])
        end(workspace, MERGE, status="failed", reason="Not run: many failed", started=None)
        yield look_at(workspace, [], [three])

    lines = [line.partition(" ")[2] for line in changes(looks())]
    assert lines == [
        "Workflow 1 idle: 0 of 7 done",
        "Workflow 1 running: 0 of 7 done, 1 running",
        "Workflow 1 prepare running",
        "Workflow 1 many running: 0 of 5 done, 5 running",
        "Workflow 1 prepare completed",
        "Workflow 1 many running: 0 of 5 done, 1 failed, 4 running",
        "Workflow 1 failed: 4 of 7 done, 3 failed",
        "Workflow 1 merge failed: not run",
        "Workflow 1 many failed: 3 of 5 done, 2 failed",
    ]


def test_watch_without_ids_shows_workflows_as_wholes(
    workspace: Workspace, cluster: CountingCluster, three: int
) -> None:
    end(workspace, MERGE, *MANY)
    run_on(cluster, workspace, PREPARE)
    look = look_at_active(workspace, [], [])
    assert [item.id for item in look.records] == []
    (item,) = look.workflows
    assert (item.progress.id, [found.id for found in item.jobs]) == (three, [PREPARE])
    end(workspace, PREPARE)
    assert look_at_active(workspace, [], []).workflows == []
    assert look_at_active(workspace, [], [three]).final
