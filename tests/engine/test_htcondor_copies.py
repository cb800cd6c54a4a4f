"""Submissions with copies on the real HTCondor: one cluster, whose jobs are made as there is room."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.engine.backend_client import WAIT_SECONDS, Job, Raised, RemoteBackend
from tests.site.handle import Site

WRITES = (
    "import os, sys; here = sys.argv[2]; print('copy', here); print('err', here, file=sys.stderr);"
    "open(here + '/report.json', 'w').write(here);"
    "os.makedirs('outputs-0/' + here); open('outputs-0/' + here + '/file', 'w').write(here)"
)
WAITS = "import time; print('begun', flush=True); time.sleep(300)"
QUICK_SECONDS = (
    3  # on a machine that does much else; to make all of them takes longer on an idle one
)
NOWHERE = "Requirements = False"  # no slot will do


@pytest.fixture
def backend(site: Site, folder: str) -> Iterator[RemoteBackend]:
    backend = RemoteBackend(site, "htcondor", folder)
    yield backend
    if backend.handles:
        backend.call("cancel", backend.handles)


def copies(count: int, first: int = 0) -> dict[str, int]:
    return {"first": first, "count": count}


def in_queue(backend: RemoteBackend, job: Job) -> int:
    """How many records the queue has, by HTCondor's own tool."""
    said = backend.site.run(["condor_q", job.handle, "-af", "ProcId"]).stdout
    return len(said.split())


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.3)


def test_what_copies_leave_comes_home(backend: RemoteBackend, site: Site) -> None:
    site.run(["mkdir", f"{backend.root}/outputs"])
    job = backend.submit(
        WRITES, copies=copies(20), outputs=[["outputs-0", f"{backend.root}/outputs"]]
    )
    handles = [backend.call("copy_handle", [job.handle, number]) for number in range(20)]
    assert handles[3] == f"{job.handle}.3"
    ended: dict[str, Any] = {}

    def all_ended() -> bool:
        ended.update(backend.call("history", handles))
        return len(ended) == len(handles)

    wait_until(all_ended)
    assert {(state["cause"], state["exit_code"]) for state in ended.values()} == {("exited", 0)}
    for number in (0, 7, 19):
        assert backend.read(job, f"{number}/stdout") == f"copy {number}\n"
        assert backend.read(job, f"{number}/stderr") == f"err {number}\n"
        assert backend.read(job, f"{number}/report.json") == str(number)
        assert site.read(f"{backend.root}/outputs/{number}/file") == str(number)
    assert {s["condition"] for s in backend.call("poll", handles).values()} == {"absent"}
    assert backend.call("history", [handles[4], handles[9]]).keys() == {handles[4], handles[9]}
    assert backend.call("find", [job.tag]) == {job.tag: job.handle}
    listed = site.run(["ls", job.folder]).stdout.split("\n")
    assert len([name for name in listed if name and not name.isdigit()]) == 7, listed


def test_thousands_of_copies_are_few_in_the_queue(backend: RemoteBackend) -> None:
    backend.settings["directives"] = [NOWHERE, "max_idle = 30"]
    job = backend.submit(WRITES, copies=copies(10_000))
    assert backend.seconds < QUICK_SECONDS
    assert in_queue(backend, job) == 30
    handles = [f"{job.handle}.{number}" for number in range(10_000)]
    states = backend.call("poll", handles)
    assert backend.seconds < QUICK_SECONDS
    assert {state["condition"] for state in states.values()} == {"queued"}
    assert "as others of it start" in states[handles[-1]]["reason"]
    assert backend.call("find", [job.tag]) == {job.tag: job.handle}
    assert (
        backend.call("poll", [f"{job.handle}.10000"])[f"{job.handle}.10000"]
        == (backend.call("poll", ["987654.0"])["987654.0"])
    )
    backend.call("cancel", [job.handle])
    wait_until(lambda: in_queue(backend, job) == 0)
    assert {s["condition"] for s in backend.call("poll", handles).values()} == {"absent"}


def test_a_held_cluster_says_so_of_what_is_not_made_yet(backend: RemoteBackend) -> None:
    backend.settings["directives"] = [NOWHERE, "max_idle = 3"]
    job = backend.submit(WRITES, copies=copies(100))
    backend.site.run(["condor_hold", job.handle])
    state = backend.call("poll", [f"{job.handle}.50"])[f"{job.handle}.50"]
    assert (state["condition"], state["cause"]) == ("held", "none")
    assert "the cluster is held" in state["reason"]


def test_one_of_many_is_deleted_before_it_is_made(backend: RemoteBackend) -> None:
    backend.settings["directives"] = [NOWHERE, "max_idle = 2"]
    job = backend.submit(WRITES, copies=copies(100))
    gone = [f"{job.handle}.{number}" for number in (0, 2, 3)]
    backend.call("cancel", gone)  # of which the first is in the queue

    def all_known() -> bool:
        return len(backend.call("history", gone)) == len(gone)

    wait_until(all_known)
    assert {state["cause"] for state in backend.call("history", gone).values()} == {"cancelled"}
    kept = [f"{job.handle}.{number}" for number in (1, 4, 99)]
    assert {s["condition"] for s in backend.call("poll", kept).values()} == {"queued"}


def test_a_copy_that_is_held_for_good_makes_room(backend: RemoteBackend) -> None:
    """Held jobs count as idle ones do: without room, no more of the cluster would be made."""
    backend.settings["directives"] = ["max_idle = 1", "allowed_execute_duration = 1"]
    code = f"import sys\nif sys.argv[2] == '0':\n    {WAITS.replace('; ', chr(10) + '    ')}"
    job = backend.submit(code, copies=copies(3))
    handles = [f"{job.handle}.{number}" for number in range(3)]
    wait_until(lambda: len(backend.call("history", handles)) == len(handles))
    states = backend.call("history", handles)
    assert [states[handle]["cause"] for handle in handles] == ["walltime", "exited", "exited"]
    assert "duration" in states[handles[0]]["reason"]


def test_output_of_a_running_copy(backend: RemoteBackend) -> None:
    job = backend.submit(WAITS, copies=copies(2))
    copy = Job(job.tag, f"{job.folder}/1", f"{job.handle}.1")
    backend.wait(copy, "running")
    assert backend.wait_for_output(copy, "begun") == "begun\n"
    backend.call("cancel", [job.handle])
    assert backend.wait(copy)["cause"] == "cancelled"
    assert backend.read(copy, "stdout") == "begun\n"  # fetched before they were removed
    assert backend.read(job, "0/stdout") == "begun\n"


def test_the_way_into_a_running_copy(backend: RemoteBackend) -> None:
    code = f"import sys; open(sys.argv[2] + '/enter', 'w').write('basename $PWD; ls'); {WAITS}"
    job = backend.submit(code, copies=copies(2))
    copy = Job(job.tag, f"{job.folder}/1", f"{job.handle}.1")
    backend.wait_for_output(copy, "begun")
    assert in_job(backend, copy).split() == [
        "1",
        "enter",
        "report.json",
        "stderr",
        "stdout",
        "wrapper.log",
    ]


def in_job(backend: RemoteBackend, job: Job) -> str:
    """What its ``enter`` says, once its node can be reached: some seconds after its start."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            said: str = backend.call("enter", [job.handle, job.folder])
        except Raised as error:
            if error.error != "NotReadyError" or time.monotonic() > deadline:
                raise
        else:
            return said


def test_copies_of_several_nodes_are_submitted_one_by_one(backend: RemoteBackend) -> None:
    folder = f"{backend.root}/several"
    jobs = [
        backend.submit(WRITES, folder=folder, nodes=2, copies=copies(1, number))
        for number in range(2)
    ]
    for number, job in enumerate(jobs):
        copy = Job(job.tag, f"{folder}/{number}", f"{job.handle}.0")
        state = backend.wait(copy)
        assert (state["cause"], state["exit_code"]) == ("exited", 0)
        assert backend.read(copy, "report.json") == str(number)
        for stream in ("stdout", "node-1/stdout"):
            assert backend.read(copy, stream) == f"copy {number}\n"
        assert backend.call("find", [job.tag]) == {job.tag: job.handle}


def test_the_numbers_in_htcondor_s_own_records(backend: RemoteBackend) -> None:
    backend.settings["directives"] = [NOWHERE]
    job = backend.submit(WRITES, copies=copies(3), job_id=40, name="sweep")
    said = backend.site.run(["condor_q", job.handle, "-json"]).stdout
    records = sorted(json.loads(said), key=lambda record: record["ProcId"])
    assert [record["ProminenceId"] for record in records] == [40, 41, 42]
    assert [record["ProminenceCopy"] for record in records] == [0, 1, 2]
    assert {record["JobBatchName"] for record in records} == {"sweep"}
