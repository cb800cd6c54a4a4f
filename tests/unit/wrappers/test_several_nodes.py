"""Jobs of several nodes from end to end, without a scheduler: what runs where, and what is left of it."""

import hashlib
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from prominence_hpc.wrappers import plan as plans
from tests.unit.wrappers.nodes import Nodes, by_mpi
from tests.unit.wrappers.pythons import PYTHONS
from tests.unit.wrappers.runs import ended, output, shell
from tests.unit.wrappers.test_runner_endings import running

TELL = 'echo "$PROMINENCE_NODE_NUM of $PROMINENCE_NODES" > said-$PROMINENCE_NODE_NUM'


@pytest.fixture
def nodes(tmp_path: Path) -> Nodes:
    return Nodes(tmp_path)


def test_mpi_runs_on_all_nodes_in_one_working_directory(nodes: Nodes) -> None:
    report = nodes.run(
        by_mpi(f"{TELL}; echo loud; echo wrong >&2"),
        shell("cat said-0 said-1"),
        inputs=(plans.InputFile(filename="in", content="aW4="),),
        outputs=(output("said-1"), output("in")),
    )
    assert ended(report) == ("completed", "")
    assert [entry["exit_code"] for entry in report["tasks"]] == [0, 0]
    assert nodes.stdout == "loud\nloud\n0 of 2\n1 of 2\n"
    assert nodes.stderr == "wrong\nwrong\n"
    assert nodes.result("said-1") == b"1 of 2\n"
    assert nodes.codes == [0]
    assert nodes.outputs == [("", "")]
    assert report["nodes"] == [os.uname().nodename] * 2
    assert nodes.nothing_is_left()


@pytest.mark.parametrize("python", PYTHONS)
def test_with_every_python(nodes: Nodes, python: str) -> None:
    nodes.python = python
    report = nodes.run(by_mpi(TELL), shell("cat said-0 said-1"))
    assert [entry["exit_code"] for entry in report["tasks"]] == [0, 0], nodes.stderr
    assert nodes.stdout == "0 of 2\n1 of 2\n"


def test_words_of_any_kind_reach_the_other_node(nodes: Nodes) -> None:
    """As ssh has it: words are joined by blanks, and a shell there reads them."""
    long = "x" * 9000  # more than a pipe takes at once
    report = nodes.run(by_mpi(f"printf '%s\\n' 'two  words' \"\\$HOME\" '{long}'"))
    assert ended(report) == ("completed", "")
    assert nodes.stdout == f"two  words\n$HOME\n{long}\n" * 2


def test_the_exit_code_of_the_other_node_is_the_tasks(nodes: Nodes) -> None:
    report = nodes.run(by_mpi("exit $((PROMINENCE_NODE_NUM * 7))"), shell("echo never"))
    assert ended(report) == ("completed", "")
    assert [entry["exit_code"] for entry in report["tasks"]] == [7]
    assert nodes.stdout == ""


def test_usage_of_all_nodes_is_told(nodes: Nodes) -> None:
    burn = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"
    (both,) = nodes.run(by_mpi(burn))["tasks"]
    assert both["cpu_time"] > 0.1
    assert "Node 1" in nodes.log()


def test_a_basic_task_runs_on_the_first_node_alone(nodes: Nodes) -> None:
    report = nodes.run(shell("echo $PROMINENCE_NODE_NUM"))
    assert ended(report) == ("completed", "")
    assert (nodes.stdout, nodes.outputs) == ("0\n", [("", "")])


def test_a_basic_task_runs_everywhere_by_policy(nodes: Nodes) -> None:
    report = nodes.run(
        shell("echo node $PROMINENCE_NODE_NUM; sleep $PROMINENCE_NODE_NUM", stdout="out"),
        shell("echo $PROMINENCE_NODE_NUM; exit $((PROMINENCE_NODE_NUM * 4))"),
        shell("echo never"),
        serial_tasks_on_all_nodes=True,
        outputs=(output("out"), output("out.1")),
    )
    assert ended(report) == ("completed", "")
    assert [entry["exit_code"] for entry in report["tasks"]] == [0, 4]
    assert report["tasks"][0]["wall_time"] >= 1
    assert (nodes.result("out"), nodes.result("out.1")) == (b"node 0\n", b"node 1\n")
    assert (nodes.stdout, nodes.outputs) == ("0\n", [("1\n", "")])


def test_nothing_of_a_task_is_left_on_any_node(nodes: Nodes) -> None:
    """A program that nobody waits for, in a session of its own, and one that mpirun was told to end."""
    mark = f"8{os.getpid()}"
    report = nodes.run(
        by_mpi(f"setsid sleep {mark} > /dev/null 2>&1 & sleep 0.3"),
        shell(f"pgrep -f 'sleep {mark}$'"),
    )
    assert [entry["exit_code"] for entry in report["tasks"]] == [0, 1]
    assert not running(f"sleep\0{mark}")


def test_an_agent_that_is_killed_takes_its_program_with_it(nodes: Nodes) -> None:
    """An mpirun that gives up kills what it takes for ssh; the task goes on."""
    mark = f"6{os.getpid()}"
    line = f"exec sleep {mark}"
    script = (
        "#!/bin/sh\nwhile read -r host; do name=${host%:*}; done < $CONTAINER_TMP/.prominence/hosts\n"
        f'$CONTAINER_TMP/.prominence/agent "$name" "{line}" & one=$!\n'
        f"until pgrep -f '^sleep {mark}$'; do sleep 0.05; done > /dev/null\nkill -9 $one\n"
        f"while pgrep -f '^sleep {mark}$'; do sleep 0.05; done > /dev/null; echo gone\n"
    )
    (nodes.folder / "bin/mpirun").write_text(script)
    report = nodes.run(by_mpi("x"))
    assert [entry["exit_code"] for entry in report["tasks"]] == [0]
    assert nodes.stdout == "gone\n"


@pytest.mark.parametrize("task", [by_mpi, shell])
def test_walltime_ends_all_nodes(nodes: Nodes, task: Callable[[str], plans.Task]) -> None:
    mark = f"7{os.getpid()}1"
    report = nodes.run(
        task(f"echo up; sleep {mark}"),
        walltime_seconds=3,
        limit_seconds=40,
        serial_tasks_on_all_nodes=True,
        outputs=(output("absent", kind="pattern", object_name=""),),
    )
    assert ended(report) == ("killed", "Walltime limit exceeded")
    said = nodes.stdout + "".join(out for out, _ in nodes.outputs)
    assert said == "up\nup\n"
    assert nodes.codes == [0]
    assert nodes.nothing_is_left()
    assert not running(f"sleep\0{mark}")


def test_the_schedulers_signal_to_all_nodes(nodes: Nodes) -> None:
    mark = f"5{os.getpid()}"
    with nodes.start(by_mpi(f"echo up; sleep {mark}")) as leader:
        assert leader.stdout is not None
        assert [leader.stdout.readline() for _ in range(2)] == ["up\n", "up\n"]
        for process in (*nodes.others, leader):
            process.send_signal(signal.SIGTERM)
        nodes.finish(leader)
    assert ended(nodes.report()) == ("killed", "Job was cancelled or preempted")
    assert nodes.nothing_is_left()
    assert not running(f"sleep\0{mark}")


def test_a_node_that_dies_is_named_and_ends_the_job(nodes: Nodes) -> None:
    start = time.monotonic()
    with nodes.start(by_mpi("echo up; sleep 50"), outputs=(output("x"),)) as leader:
        assert leader.stdout is not None
        assert [leader.stdout.readline() for _ in range(2)] == ["up\n", "up\n"]
        nodes.others[0].kill()
        nodes.finish(leader)
    report = nodes.report()
    assert ended(report) == ("failed", "Node of the job was lost")
    host = os.uname().nodename
    assert report["detail"].startswith(f"Node 1 ({host}): the connection to it was lost")
    assert time.monotonic() - start < 40


def test_followers_of_a_leader_that_dies_clean_up_and_go(nodes: Nodes) -> None:
    mark = f"4{os.getpid()}"
    with nodes.start(by_mpi(f"echo up; sleep {mark}")) as leader:
        assert leader.stdout is not None
        assert [leader.stdout.readline() for _ in range(2)] == ["up\n", "up\n"]
        leader.kill()  # what ran on its own node is for the scheduler to end
        assert nodes.others[0].wait(timeout=60) == 1
        assert "the leader is gone" in nodes.log_of(1)
        assert list((nodes.folder / "scratch").iterdir()) == []
        subprocess.run(["pkill", "-f", f"sleep {mark}$"], check=True)
        nodes.finish(leader)


def test_an_image_that_one_node_cannot_have(nodes: Nodes) -> None:
    nodes.lacking = (1,)
    report = nodes.run(shell("true"))
    assert ended(report) == ("failed", "Container image pull failed")
    host = os.uname().nodename
    assert report["detail"] == f"Node 1 ({host}): Image image.sif: No such file or directory."
    assert nodes.codes == [0]
    assert nodes.nothing_is_left()


def test_what_an_earlier_start_left_is_no_leader(nodes: Nodes) -> None:
    """A word of a leader that is gone, where now somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        old = make_old(nodes.folder / "shared", other.getsockname()[1])
        answering = threading.Thread(target=hang_up, args=(other,), daemon=True)
        answering.start()
        report = nodes.run(by_mpi(TELL))
    assert ended(report) == ("completed", "")
    assert not old.exists()
    assert nodes.nothing_is_left()


def make_old(shared: Path, port: int) -> Path:
    mark = hashlib.sha256(b"uid").hexdigest()[:12]
    folder = shared / f"prominence.nodes-7-{mark}-00000000"
    folder.mkdir(parents=True)
    word = {"version": 1, "addresses": ["127.0.0.1"], "port": port, "secret": "00" * 32}
    (folder / "leader.json").write_text(json.dumps(word))
    return folder


def hang_up(server: socket.socket) -> None:
    for _ in range(3):
        server.accept()[0].close()
