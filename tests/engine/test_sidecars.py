"""Sidecars: servers that run beside the tasks of a job, on its node and in its working directory."""

import json
import random
from typing import Any

import pytest

from tests.engine.prominence import Prominence
from tests.site.topology import HOSTS

MACHINES = [host.name for host in HOSTS if host.image == "node"]
RESOURCES = {"cpus": 1, "memory": 0.5, "disk": 1}


def job(*tasks: dict[str, Any], **keys: Any) -> str:
    return json.dumps({"resources": RESOURCES, "tasks": tasks, **keys})


@pytest.fixture
def port() -> int:
    """Also what this job's processes are told by: several tests may share a node."""
    return random.randrange(20000, 32000)


def gone(prominence: Prominence, words: str) -> bool:
    """Whether no process with these words is left anywhere; a deleted job's may take its seconds."""
    for _ in range(30):
        lines = [
            line
            for host in MACHINES
            for line in prominence.site.run(["ps", "-eo", "args"], host=host).stdout.splitlines()
        ]
        if not any(words in line for line in lines):
            return True
        prominence.shell("sleep 0.5")
    return False


FETCH = "for i in $(seq 100); do wget -q -O - http://127.0.0.1:{}/page 2> /dev/null && exit; sleep 0.1; done; exit 1"


@pytest.mark.honours("tasks.type sidecar")
def test_a_task_talks_to_its_sidecar(prominence: Prominence, image: str, port: int) -> None:
    """A server that outlives each task, in a folder that all share; one that ends early fails nothing."""
    server = (
        "echo page of $PROMINENCE_TASK_NUM: $WORD > page; echo serving; echo moaning >&2; "
        f"exec httpd -f -p {port} -h ."
    )
    prominence.write(
        "job.json",
        job(
            {"image": image, "cmd": f"sh -c '{FETCH.format(port)}'"},
            {
                "image": image,
                "type": "sidecar",
                "cmd": f"sh -c '{server}'",
                "workdir": "site",
                "env": {"WORD": "hello"},
            },
            {
                "image": image,
                "type": "sidecar",
                "cmd": "sh -c 'echo written; echo oops >&2; exit 5'",
                "stdout": "side/out",
            },
            {"image": image, "cmd": f"sh -c 'cat side/out; {FETCH.format(port)}'"},
            outputFiles=["site/page"],
            policies={"maximumTaskRetries": 1},
        ),
    )
    described = prominence.ended(prominence.created(prominence("run", "job.json")))
    job_id = described["id"]
    assert described["status"] == "completed", prominence.told(job_id, described)
    assert prominence.stdout(job_id) == "page of 1: hello\nwritten\npage of 1: hello\n"
    assert prominence("stderr", str(job_id)).stdout == ""
    tasks = described["execution"]["tasks"]
    assert [task["taskNum"] for task in tasks] == [0, 1, 2, 3]
    assert [task.get("type", "basic") for task in tasks] == ["basic", "sidecar", "sidecar", "basic"]
    assert [task["exitCode"] for task in tasks] == [0, 143, 5, 0]
    assert [task.get("endedEarly") for task in tasks] == [None, False, True, None]
    assert (tasks[1]["outputTail"], tasks[2]["outputTail"]) == ("serving\nmoaning\n", "oops\n")
    fetched = [task for task in tasks if task["imagePullTime"] != -1]
    assert len(fetched) <= 1  # none where the node has it from another job
    assert prominence("wait", str(job_id)).returncode == 0
    assert gone(prominence, f"-p {port}")
    prominence("download", str(job_id))
    assert prominence.read("page") == "page of 1: hello\n"


@pytest.mark.honours("tasks.type sidecar")
def test_sidecars_end_with_a_job_that_fails_or_is_deleted(
    prominence: Prominence, image: str, port: int
) -> None:
    """Deaf ones too, with what they started; exec goes to the task that runs, never to a sidecar."""
    deaf = f'trap "" TERM; setsid sleep 1{port} & while :; do sleep 0.2; done; : 2{port}'
    sidecar = {"image": image, "type": "sidecar", "cmd": f"sh -c '{deaf}'"}
    prominence.write("fails.json", job(sidecar, {"image": image, "cmd": "sh -c 'sleep 1; exit 3'"}))
    prominence.write("deleted.json", job(sidecar, {"image": image, "cmd": "sleep 600"}))
    failing, deleted = (
        prominence.created(prominence("run", name)) for name in ("fails.json", "deleted.json")
    )
    for _ in range(60):
        inside = prominence("exec", str(deleted), "env", check=False)
        if inside.returncode == 0:
            break
        prominence.shell("sleep 0.5")
    assert "PROMINENCE_TASK_NUM=1" in inside.stdout.splitlines(), inside.stderr
    listed = json.loads(prominence("list", "--all", "--json").stdout)
    assert {row["cmd"] for row in listed} == {"sh -c 'sleep 1; exit 3'", "sleep 600"}
    prominence("delete", str(deleted))
    ended = [prominence.ended(job_id) for job_id in (failing, deleted)]
    assert [described["status"] for described in ended] == ["completed", "deleted"]
    assert [task["exitCode"] for task in ended[0]["execution"]["tasks"]] == [137, 3]
    assert gone(prominence, str(port))
    assert prominence("wait", str(failing), check=False).returncode == 11
