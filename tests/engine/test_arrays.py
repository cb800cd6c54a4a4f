"""Sweeps and dependencies on the real Slurm, as its backend is called: arrays, and --dependency."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.engine.backend_client import WAIT_SECONDS, Job, Raised, RemoteBackend
from tests.site.handle import Site

COUNT = 20
FIRST = 1000
COPY = "import os, sys, time\nnumber = int(sys.argv[2])\n"
QUICK = f"{COPY}print('copy', number); print('err', file=sys.stderr)"
LONG = f"{COPY}print('begun', flush=True); time.sleep(300)"
FAILS = "import sys; sys.exit(3)"
QUEUED_OR_RUNNING = {"queued", "running"}
# The nodes have room for four copies of this at a time.
HALF_A_NODE = {"cpus": 4}


@pytest.fixture(params=("commands", "pyslurm"))
def slurm(site: Site, folder: str, request: pytest.FixtureRequest) -> Iterator[RemoteBackend]:
    backend = RemoteBackend(site, "slurm", folder, transport=request.param)
    yield backend
    if backend.handles:
        backend.call("cancel", backend.handles)


def sweep(slurm: RemoteBackend, code: str, count: int = COUNT, **fields: Any) -> Job:
    return slurm.submit(code, copies={"first": FIRST, "count": count}, **fields)


def polled(slurm: RemoteBackend, handles: list[str]) -> dict[str, Any]:
    answer: dict[str, Any] = slurm.call("poll", handles)
    return answer


def wait_until(
    slurm: RemoteBackend, handles: list[str], condition: str = "ended"
) -> dict[str, Any]:
    """The states of all these jobs, once each is as named, by the queue or after it by accounting."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        states = polled(slurm, handles)
        absent = [handle for handle in handles if states[handle]["condition"] == "absent"]
        states |= slurm.call("history", absent)
        if {state["condition"] for state in states.values()} == {condition}:
            return states
        assert time.monotonic() < deadline, states
        time.sleep(0.3)


def wait_for_accounting(slurm: RemoteBackend, handles: list[str], cause: str) -> dict[str, Any]:
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        states: dict[str, Any] = slurm.call("history", handles)
        if [state["cause"] for state in states.values()] == [cause] * len(handles):
            return states
        assert time.monotonic() < deadline, states
        time.sleep(0.3)


def test_each_copy_runs_once_and_fills_its_folder(slurm: RemoteBackend) -> None:
    job = sweep(slurm, QUICK, name="a sweep", labels={"app": "x"})
    handles = slurm.copies(job, COUNT)
    states = wait_until(slurm, handles)
    assert {(state["cause"], state["exit_code"]) for state in states.values()} == {("exited", 0)}
    shown = [
        slurm.call("output", [handle, f"{job.folder}/{FIRST + number}", "stdout"])
        for number, handle in enumerate(handles)
    ]
    assert shown == [f"copy {FIRST + number}\n" for number in range(COUNT)]
    names = slurm.site.run(["ls", job.folder]).stdout.split("\n")
    assert {name for name in names if name.isdecimal()} == {
        str(FIRST + number) for number in range(COUNT)
    }
    assert not {"stdout", "stderr"} & set(names)
    kept = wait_for_accounting(slurm, handles, "exited")
    assert {(state["exit_code"], *state["nodes"]) for state in kept.values()} <= {
        (0, "node1"),
        (0, "node2"),
    }
    assert slurm.call("find", [job.tag]) == {job.tag: job.handle}


def test_a_hostile_folder(slurm: RemoteBackend) -> None:
    folder = f"{slurm.root}/-a 'b' \"c\" $(touch x) `id` %j %a back\\slash é"
    job = sweep(slurm, QUICK, count=2, folder=folder)
    wait_until(slurm, slurm.copies(job, 2))
    shown = slurm.call("output", ["", f"{folder}/{FIRST + 1}", "stdout"])
    assert shown == f"copy {FIRST + 1}\n"


def test_a_copy_that_fails_is_told_from_the_others(slurm: RemoteBackend) -> None:
    job = sweep(slurm, f"{COPY}sys.exit(number == {FIRST + 2})", count=4)
    states = wait_until(slurm, slurm.copies(job, 4))
    assert [state["exit_code"] for state in states.values()] == [0, 0, 1, 0]


def test_one_copy_is_cancelled_and_then_all_of_them(slurm: RemoteBackend) -> None:
    job = sweep(slurm, LONG, count=1000, **HALF_A_NODE)
    handles = slurm.copies(job, 3) + [f"{job.handle}_{number}" for number in range(3, 1000)]
    deadline = time.monotonic() + WAIT_SECONDS
    while polled(slurm, handles)[handles[0]]["condition"] != "running":
        assert time.monotonic() < deadline
        time.sleep(0.3)
    slurm.call("cancel", [handles[0], handles[998]])  # one that runs, and one that waits
    running, waiting = wait_until(slurm, [handles[0]])[handles[0]], polled(slurm, handles)
    assert running["cause"] == "cancelled"
    # Slurm forgets it at once.
    assert waiting.pop(handles[998])["condition"] == "absent"
    assert waiting.pop(handles[0])
    assert {state["condition"] for state in waiting.values()} <= QUEUED_OR_RUNNING
    assert wait_for_accounting(slurm, [handles[998]], "cancelled")
    assert slurm.call("history", [handles[997]])[handles[997]]["condition"] == "queued"

    slurm.call("cancel", [job.handle])
    states = wait_until(slurm, handles[1:998] + handles[999:])
    assert {state["cause"] for state in states.values()} == {"cancelled"}
    assert {state["start_time"] for state in list(states.values())[10:]} == {None}
    slurm.call("cancel", [job.handle])  # once more: it is over, and no error
    slurm.call("cancel", handles)


def test_a_copy_is_run_again_alone(slurm: RemoteBackend) -> None:
    """The last copy has the array's own id in Slurm: asked for by that, all would be run again."""
    again = (
        f"{COPY}import signal, subprocess\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "start = os.environ.get('SLURM_RESTART_COUNT', '0')\n"
        "print('start', start, flush=True)\n"
        "own = os.environ['SLURM_ARRAY_JOB_ID'] + '_' + os.environ['SLURM_ARRAY_TASK_ID']\n"
        f"if number == {FIRST + 3} and start == '0':\n"
        "    subprocess.run(['scontrol', 'requeue', own], check=True)\n"
        "    subprocess.run(['scontrol', 'update', 'JobId=' + own, 'StartTime=now+6'], check=True)\n"
    )
    job = sweep(slurm, again, count=4, maximum_retries=1)
    handles = slurm.copies(job, 4)
    deadline = time.monotonic() + WAIT_SECONDS
    while (state := polled(slurm, handles)[handles[3]])["restarts"] != 1:
        assert time.monotonic() < deadline, state
        time.sleep(0.1)
    begun = time.monotonic()
    states = wait_until(slurm, handles)
    assert time.monotonic() - begun < 45
    assert [state["restarts"] for state in states.values()] == [0, 0, 0, 1]
    shown = [
        slurm.call("output", [handle, f"{job.folder}/{FIRST + number}", "stdout"])
        for number, handle in enumerate(handles)
    ]
    assert shown == ["start 0\n"] * 3 + ["start 0\nstart 1\n"]


def test_a_program_runs_beside_one_copy(slurm: RemoteBackend) -> None:
    begun = f"{COPY}print(os.environ['SLURM_JOB_ID'], flush=True); time.sleep(300)"
    job = sweep(slurm, begun, count=3)
    handles = slurm.copies(job, 3)
    (node,) = wait_until(slurm, handles, "running")[handles[1]]["nodes"]
    folder = f"{job.folder}/{FIRST + 1}"
    deadline = time.monotonic() + WAIT_SECONDS
    while not (own := slurm.call("output", [handles[1], folder, "stdout"])):
        assert time.monotonic() < deadline
    assert slurm.call("run_beside", ["srun", handles[1], node, folder]) == own


def test_a_child_waits_for_all_copies(slurm: RemoteBackend) -> None:
    parent = sweep(slurm, f"{COPY}time.sleep(3); open('done-%d' % number, 'w')", count=3)
    other = slurm.submit("import time; time.sleep(3)")
    code = "import glob, os; print(len(glob.glob(os.path.dirname(os.getcwd()) + '/*/done-*')))"
    child = slurm.submit(code, after=[parent.handle, other.handle])
    state = slurm.state(child.handle)
    assert state["condition"] == "queued"
    assert state["reason"] == "Waiting for the jobs it depends on (Dependency)"
    assert slurm.wait(child)["exit_code"] == 0
    assert slurm.output(child) == "3\n"


def test_a_child_of_a_parent_that_failed_is_never_started(slurm: RemoteBackend) -> None:
    parent = sweep(slurm, f"{COPY}time.sleep(2); sys.exit(number == {FIRST + 1})", count=3)
    child = slurm.submit("print('never')", after=[parent.handle])
    children = sweep(slurm, QUICK, count=3, after=[parent.handle])
    handles = [child.handle, *slurm.copies(children, 3)]
    for state in wait_until(slurm, handles).values():
        assert (state["cause"], state["start_time"]) == ("dependency", None)
    wait_for_accounting(slurm, handles, "dependency")
    assert slurm.site.run(["ls", children.folder]).stdout.split() == [
        "job.sh",
        "plan.json",
        "the",
        "runner.pyz",
    ]


def test_a_child_that_its_user_cancels_is_told_from_that(slurm: RemoteBackend) -> None:
    parent = slurm.submit("import time; time.sleep(300)")
    child = slurm.submit("print('never')", after=[parent.handle])
    grandchild = slurm.submit("print('never')", after=[child.handle])
    slurm.call("cancel", [child.handle])
    wait_until(slurm, [child.handle, grandchild.handle])
    states = polled(slurm, [child.handle, grandchild.handle])
    assert [state["cause"] for state in states.values()] == ["cancelled", "dependency"]
    wait_for_accounting(slurm, [child.handle], "cancelled")
    wait_for_accounting(slurm, [grandchild.handle], "dependency")
    assert slurm.call("find", [grandchild.tag]) == {grandchild.tag: grandchild.handle}


def test_a_parent_that_slurm_does_not_know(slurm: RemoteBackend) -> None:
    with pytest.raises(Raised, match="wait for is not known to Slurm any more") as raised:
        slurm.submit(QUICK, after=["66000000"])
    assert raised.value.error == "BackendError"


def test_as_many_copies_as_an_array_may_have(slurm: RemoteBackend) -> None:
    most = slurm.call("most_copies", slurm.submission(QUICK))
    assert most == 1001
    slurm.settings["directives"] = ["--hold"]
    job = sweep(slurm, QUICK, count=most)
    assert polled(slurm, [f"{job.handle}_1000"])[f"{job.handle}_1000"]["condition"] == "held"
    with pytest.raises(Raised, match="more jobs than an array may have") as raised:
        sweep(slurm, QUICK, count=most + 1)
    assert raised.value.error == "BackendError"
