"""Graphs on the real DAGMan: what runs after what, what does not, and what is left of a cancelled one."""

import itertools
import json
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.engine.backend_client import WAIT_SECONDS, RemoteBackend
from tests.site.handle import Site

ENDS = """\
import json, os, sys, time
folder = sys.argv[2] if len(sys.argv) > 2 else "."
{before}
with open(os.path.join(folder, "report.json"), "w") as stream:
    json.dump({{"phase": "finished", "outcome": "{outcome}", "at": time.time()}}, stream)
"""
WELL = ENDS.format(before="began = time.time()", outcome="completed")
BADLY = ENDS.format(before="pass", outcome="failed")
WAITS = "import time; time.sleep(300)"

_numbers = itertools.count(1)


@dataclass
class Workflow:
    """A graph that was submitted: its own handle, tag and folder."""

    handle: str
    tag: str
    folder: str


@pytest.fixture
def backend(site: Site, folder: str) -> Iterator[RemoteBackend]:
    backend = RemoteBackend(site, "htcondor", folder)
    yield backend
    if backend.handles:
        backend.call("cancel", backend.handles)


def node(code: str, *parents: str, **fields: Any) -> dict[str, Any]:
    number = next(_numbers)
    sizes = {"cpus": 1, "memory_mib": 100, "disk_mib": 50, "limit_seconds": 600}
    own = {"tag": secrets.token_hex(16), "job_id": number, "name": "", "labels": {}}
    return {**own, **sizes, "code": code, "parents": parents, **fields}


def submit(backend: RemoteBackend, **nodes: dict[str, Any]) -> Workflow:
    folder, tag = f"{backend.root}/a workflow's $x", secrets.token_hex(16)
    document = {
        "tag": tag,
        "workflow_id": 7,
        "name": 'it\'s "one"',
        "folder": folder,
        "nodes": nodes,
    }
    handle = backend.call("submit_graph", document)
    backend.handles.append(handle)
    return Workflow(handle, tag, folder)


def wait_for(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + WAIT_SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.3)
    return found


def ended(backend: RemoteBackend, handle: str) -> Any:
    state = backend.state(handle)
    return state if state["condition"] == "ended" else None


def handles(backend: RemoteBackend, workflow: Workflow) -> dict[str, str]:
    found: dict[str, str] = backend.call("graph_handles", workflow.folder)
    return found


def report(backend: RemoteBackend, workflow: Workflow, path: str) -> Any:
    return json.loads(backend.site.read(f"{workflow.folder}/{path}/report.json"))


def test_children_begin_when_all_copies_of_their_parents_have_ended_well(
    backend: RemoteBackend,
) -> None:
    workflow = submit(
        backend,
        sweep=node(WELL, copies={"first": 0, "count": 12}),
        single=node(WELL),
        last=node(WELL, "sweep", "single"),
    )
    assert wait_for(lambda: ended(backend, workflow.handle))["exit_code"] == 0
    found = handles(backend, workflow)
    assert found.keys() == {"sweep", "single", "last"}
    assert "." not in found["sweep"]
    assert found["last"].endswith(".0")
    for handle in (f"{found['sweep']}.11", found["single"], found["last"]):
        assert ended(backend, handle)["exit_code"] == 0
    last = report(backend, workflow, "last")["at"]
    assert all(report(backend, workflow, f"sweep/{n}")["at"] < last for n in range(12))
    assert backend.call("find", [workflow.tag]) == {workflow.tag: workflow.handle}


def test_what_waits_for_a_failure_is_never_submitted(backend: RemoteBackend) -> None:
    workflow = submit(
        backend, first=node(WELL), middle=node(BADLY, "first"), last=node(WELL, "middle")
    )
    state = wait_for(lambda: ended(backend, workflow.handle))
    assert (state["cause"], state["exit_code"]) == ("exited", 1)
    found = handles(backend, workflow)
    assert found.keys() == {"first", "middle"}
    assert ended(backend, found["middle"])["exit_code"] == 0  # its report says what it was
    listed = backend.site.run(["ls", workflow.folder]).stdout
    assert "rescue" not in listed
    assert "lock" not in listed


def test_one_that_fails_does_not_end_the_others_of_its_cluster(backend: RemoteBackend) -> None:
    code = f"import sys, time\nif sys.argv[2] != '0': time.sleep(6)\n{BADLY}"
    workflow = submit(
        backend,
        sweep=node(code, copies={"first": 0, "count": 4}),
        child=node(WELL, "sweep"),  # a keyword of DAG files
    )
    assert wait_for(lambda: ended(backend, workflow.handle))["exit_code"] == 1
    assert [report(backend, workflow, f"sweep/{n}")["outcome"] for n in range(4)] == ["failed"] * 4
    assert handles(backend, workflow).keys() == {"sweep"}


def test_another_attempt_is_waited_for(backend: RemoteBackend) -> None:
    code = (
        "import json, os, sys\n"
        "ad = open(os.environ['_CONDOR_JOB_AD']).read()\n"
        "if 'NumJobCompletions = 0' in ad: sys.exit(12)\n" + WELL
    )
    workflow = submit(backend, first=node(code, maximum_retries=1), last=node(WELL, "first"))
    assert wait_for(lambda: ended(backend, workflow.handle))["exit_code"] == 0
    assert handles(backend, workflow).keys() == {"first", "last"}


def test_a_job_that_is_held_for_good_ends_its_graph(backend: RemoteBackend) -> None:
    backend.settings["directives"] = ["allowed_execute_duration = 1"]
    workflow = submit(backend, first=node(WAITS), last=node(WELL, "first"))
    assert wait_for(lambda: ended(backend, workflow.handle))["exit_code"] == 1
    (handle,) = handles(backend, workflow).values()
    assert ended(backend, handle)["cause"] == "walltime"


def test_one_that_is_held_for_good_or_deleted_does_not_end_the_others(
    backend: RemoteBackend,
) -> None:
    limit = "ifThenElse($(ProcId) == 0, 1, 600)"
    backend.settings["directives"] = [f"allowed_execute_duration = {limit}"]
    long, short = "time.sleep(300)", "time.sleep(40)"  # until the schedd has looked at the first
    code = f"import sys, time\n{long} if sys.argv[2] in '01' else {short}\n{WELL}"
    workflow = submit(
        backend, sweep=node(code, copies={"first": 0, "count": 4}), last=node(WELL, "sweep")
    )
    cluster = wait_for(lambda: handles(backend, workflow).get("sweep"))
    wait_for(lambda: backend.state(f"{cluster}.1")["condition"] == "running")
    backend.call("cancel", [f"{cluster}.1"])
    assert wait_for(lambda: ended(backend, workflow.handle))["exit_code"] == 1
    causes = [backend.state(f"{cluster}.{number}")["cause"] for number in range(4)]
    assert causes == ["walltime", "exited", "exited", "exited"]
    for number in (2, 3):
        assert report(backend, workflow, f"sweep/{number}")["outcome"] == "completed"
    assert handles(backend, workflow).keys() == {"sweep"}


def test_a_cancelled_graph_leaves_nothing(backend: RemoteBackend) -> None:
    backend.settings["directives"] = ["max_idle = 3"]
    code = f"print('begun', flush=True); {WAITS}"
    workflow = submit(
        backend,
        sweep=node(code, copies={"first": 0, "count": 500}, cpus=5),
        single=node(code),
        last=node(WELL, "sweep"),
    )
    wait_for(lambda: handles(backend, workflow).keys() == {"sweep", "single"})
    found = handles(backend, workflow)
    wait_for(lambda: backend.state(found["single"])["condition"] == "running")
    assert backend.state(workflow.handle)["condition"] == "running"
    backend.call("cancel", [workflow.handle])
    assert wait_for(lambda: ended(backend, workflow.handle))["cause"] == "cancelled"
    everything = [*(f"{found['sweep']}.{n}" for n in range(500)), found["single"]]

    def none_left() -> bool:
        states = backend.call("poll", everything)
        return {state["condition"] for state in states.values()} == {"absent"}

    wait_for(none_left)
    assert backend.site.read(f"{workflow.folder}/single/stdout") == "begun\n"
    time.sleep(3)  # three of DAGMan's rounds: nothing comes after
    assert none_left()


@pytest.mark.parametrize("copies", [None, {"first": 0, "count": 2}])
def test_mails_of_its_jobs_are_sent(backend: RemoteBackend, copies: dict[str, int] | None) -> None:
    """DAGMan would have them off: by itself, and through condor_submit."""
    backend.settings["directives"] = ["Requirements = False"]
    told = {"mails": True, "mail_address": "me@site.test"}
    workflow = submit(backend, first=node(WELL, copies=copies, **told), last=node(WELL, "first"))
    cluster = wait_for(lambda: handles(backend, workflow).get("first"))
    asked = ["condor_q", cluster, "-af", "JobNotification", "NotifyUser"]
    said = backend.site.run(asked).stdout.split()
    assert said[:2] == ["2", "me@site.test"]  # at its end


def test_nothing_of_the_login_environment_reaches_a_node_s_job(backend: RemoteBackend) -> None:
    backend.environment |= {"SECRET_TOKEN": "x", "BEARER_TOKEN": "y"}
    code = f"import json, os; print(json.dumps(dict(os.environ)))\n{WELL}"
    workflow = submit(backend, first=node(code), last=node(WELL, "first"))
    record = backend.site.run(["condor_q", workflow.handle, "-long"]).stdout
    assert "SECRET_TOKEN" not in record
    assert "BEARER_TOKEN" not in record
    wait_for(lambda: ended(backend, workflow.handle))
    seen = json.loads(backend.site.read(f"{workflow.folder}/first/stdout"))
    assert not {"SECRET_TOKEN", "BEARER_TOKEN", "PYTHONPATH", "_CONDOR_DAGMAN_LOG"} & seen.keys()
