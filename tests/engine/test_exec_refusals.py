"""``exec`` and ``snapshot`` where there is no running task to reach: each its own clear sentence."""

import json

import pytest

from tests.engine.inside import until
from tests.engine.prominence import Prominence
from tests.site.handle import Site

# Takes a connection and says nothing for a while: an artifact that does not come.
SLOW_SERVER = """
import socket, sys
server = socket.socket()
server.bind(("0.0.0.0", 0))
server.listen()
print(server.getsockname()[1], flush=True)
sys.stdin.read()
"""


def refused(prominence: Prominence, *words: str, code: int) -> str:
    """The one line that a command says, which must end with ``code``."""
    done = prominence(*words, check=False)
    assert (done.returncode, done.stdout) == (code, ""), done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def both(prominence: Prominence, job_id: str, code: int) -> str:
    """exec and snapshot say the same of it."""
    said = refused(prominence, "exec", job_id, "true", code=code)
    assert refused(prominence, "snapshot", job_id, "file", code=code) == said
    assert prominence.shell("ls") == ""
    return said


def test_unknown(prominence: Prominence) -> None:
    assert both(prominence, "77", code=4) == "prominence: There is no job 77.\n"


def test_finished_and_deleted(prominence: Prominence, image: str) -> None:
    done = prominence.completed(image, "true")
    said = both(prominence, str(done["id"]), code=8)
    assert said == f"prominence: Job {done['id']} has ended: it is completed.\n"
    job_id = prominence.create(image, "sleep 600")
    prominence("delete", str(job_id))
    prominence("wait", str(job_id), check=False)
    assert "has ended: it is deleted" in both(prominence, str(job_id), code=8)


@pytest.mark.parametrize("backend", ["slurm", "htcondor"])
def test_idle(site: Site, folder: str, image: str, backend: str) -> None:
    """Held, so that it does not start; told to wait or see why."""
    hold = {"slurm": "--hold", "htcondor": "hold = true"}[backend]
    site.write(f"/home/alice/held-{backend}.toml", f'[sites.{backend}]\ndirectives = ["{hold}"]\n')
    config = {"PROMINENCE_CONFIG": f"/home/alice/held-{backend}.toml"}
    prominence = Prominence(site, folder, backend=backend, environment=config)
    job_id = prominence.create(image, "true")
    said = both(prominence, str(job_id), code=8)
    assert f"Job {job_id} is idle" in said
    assert "nothing runs in it yet" in said
    prominence("delete", str(job_id))


def test_while_it_stages_in_the_way_is_beside_the_container(
    site: Site, prominence: Prominence, image: str
) -> None:
    server = site.popen(["python3", "-c", SLOW_SERVER])
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        job_id = prominence.create("--artifact", f"http://login:{port}/data.tgz", image, "true")
        until(lambda: prominence.describe(job_id)["status"] == "running")
        until(lambda: "Fetching" in prominence.describe(job_id).get("statusReason", "Fetching"))
        said = refused(prominence, "exec", str(job_id), "true", code=8)
        assert f"Job {job_id} is fetching its image and artifacts" in said
        assert "With --host it would run beside the container" in said
        done = prominence("exec", "--host", str(job_id), "pwd")
        assert done.stdout.endswith("/work\n")
        prominence("delete", str(job_id))
    finally:
        server.communicate(b"")


def test_a_node_that_the_job_has_not(prominence: Prominence, image: str) -> None:
    job_id = prominence.create(image, "sleep 600")
    until(lambda: prominence.describe(job_id)["status"] == "running")
    for number in ("1", "-1"):
        for words in (["exec", "-n", number, str(job_id), "true"],
                      ["snapshot", "-n", number, str(job_id), "."]):  # fmt: skip
            said = refused(prominence, *words, code=2)
            assert said == f"prominence: Job {job_id} runs on 1 node: --node can only be 0.\n"
    assert refused(prominence, "stdout", "-n", "1", str(job_id), code=2)
    prominence("delete", str(job_id))


def test_any_node_of_several(site: Site, folder: str, image: str) -> None:
    """The second node of an allocation: reached by number, though the task runs on the first alone."""
    path = f"{folder}/config.toml"
    for way in ("ssh", "srun"):
        site.write(path, f'[sites.slurm]\nshell = ["{way}"]\n')
        prominence = Prominence(site, folder, environment={"PROMINENCE_CONFIG": path})
        resources = {"nodes": 2, "cpus": 1, "memory": 1, "disk": 1}
        document = {"tasks": [{"image": image, "cmd": "sleep 600"}], "resources": resources}
        prominence.write("job.json", json.dumps(document))
        job_id = str(prominence.created(prominence("run", "job.json")))
        until(lambda: prominence.describe(int(job_id))["status"] == "running")  # noqa: B023
        for number, name in (("0", "node1"), ("1", "node2")):
            done = prominence("exec", "-n", number, "--host", job_id, "hostname")
            assert done.stdout == f"{name}\n"
        said = refused(prominence, "exec", "-n", "1", job_id, "true", code=8)
        assert "runs no task on this node" in said
        assert "2 nodes: --node is 0 to 1" in refused(
            prominence, "exec", "-n", "2", job_id, "true", code=2
        )
        prominence("delete", job_id)


def test_the_command_ends_with_the_job(prominence: Prominence, image: str) -> None:
    job_id = prominence.create(image, "sleep 8")
    until(lambda: prominence.describe(job_id)["status"] == "running")
    done = prominence("exec", str(job_id), "sleep", "1301", check=False)
    assert done.returncode in (9, 128 + 1)
    assert "ended" in done.stderr or "cut" in done.stderr
    described = prominence.ended(job_id)
    assert described["status"] == "completed"
    assert [task["exitCode"] for task in described["execution"]["tasks"]] == [0]
