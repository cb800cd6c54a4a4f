"""Jobs of several nodes on the real engines: MPI of the image's own, serial tasks, and what is left of them.

The hosts of the site share two cores: ranks that wait for each other give way, where their MPI can be told to.
"""

import fcntl
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine import prominence as engines
from tests.engine.prominence import Prominence
from tests.site import paths
from tests.site.handle import Site
from tests.site.mpi_image import recipe
from tests.site.tutorial_image import cache, sif

HOSTS = {"slurm": ("node1", "node2"), "htcondor": ("exec1", "exec2"), "local": ("login",)}
RING, LAMMPS = "mpi-ring.sif", "mpi-lammps.sif"
# More than half of a host of the site: the job's nodes are two of them.
HALF = 5
POLITE = {"OMPI_MCA_mpi_yield_when_idle": 1}
MELT = """\
units lj
atom_style atomic
lattice fcc 0.8442
region box block 0 6 0 6 0 6
create_box 1 box
create_atoms 1 box
mass 1 1.0
velocity all create 1.44 87287 loop geom
pair_style lj/cut 2.5
pair_coeff 1 1 1.0 1.0 2.5
neighbor 0.3 bin
neigh_modify delay 0 every 20 check no
fix 1 all nve
thermo 20
run 40
"""


def uploaded(site: Site, source: Path, name: str) -> str:
    """The name of an image in alice's storage; brought there once, by whichever process asks first."""
    with (paths.WORK / f"{paths.NAME}-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if name not in site.run(["prominence", "ls"]).stdout.split():
            sif.copy(source, site, f"/home/alice/{name}")
            site.run(["prominence", "upload", "--name", name, "--filename", f"/home/alice/{name}"])
    return name


@pytest.fixture(scope="module")
def ring(site: Site) -> str:
    """An image with MPICH, Intel MPI and a small program."""
    return uploaded(site, recipe.ensure(site), RING)


@pytest.fixture(scope="module")
def lammps(site: Site) -> str:
    """The tutorial's image, whose LAMMPS is linked with Open MPI."""
    return uploaded(site, cache.ensure(site).sif, LAMMPS)


# HTCondor's dedicated scheduler takes one job after the other, and the first waits until both hosts have
# room at once: beside other tests' jobs it may wait for minutes, and all behind it.
ALONE = pytest.param("htcondor", marks=pytest.mark.alone)


@pytest.fixture(params=["slurm", ALONE])
def cluster(site: Site, folder: str, request: pytest.FixtureRequest) -> Prominence:
    return Prominence(site, folder, backend=request.param)


@pytest.fixture(params=["slurm", "slurm-pyslurm", ALONE])
def scheduler(site: Site, folder: str, request: pytest.FixtureRequest) -> Prominence:
    """As ``cluster``, Slurm by both of its transports."""
    backend, transport = engines.backend_and_transport(request.param)
    return Prominence(site, folder, backend=backend, transport=transport)


def description(*tasks: dict[str, Any], **changes: Any) -> dict[str, Any]:
    resources = {"nodes": 2, "cpus": HALF, "memory": 1, "disk": 1, "walltime": 5}
    return {"tasks": tasks, "resources": resources} | changes


def begun(prominence: Prominence, document: dict[str, Any]) -> int:
    prominence.write("job.json", json.dumps(document))
    return prominence.created(prominence("run", "job.json"))


def finished(prominence: Prominence, document: dict[str, Any]) -> dict[str, Any]:
    return prominence.ended(begun(prominence, document))


def codes(described: dict[str, Any]) -> list[int | None]:
    return [task.get("exitCode") for task in described["execution"]["tasks"]]


def table(output: str) -> str:
    """What LAMMPS has computed, of all that it says."""
    found = re.search(r"^Step.*?(?=^Loop time)", output, re.MULTILINE | re.DOTALL)
    assert found, output
    return found[0]


@pytest.mark.honours("resources.nodes", "tasks.type openmpi")
def test_open_mpi_computes_on_two_nodes_what_it_does_on_one(
    cluster: Prominence, lammps: str
) -> None:
    cluster.write("melt.lj", MELT)
    outputs = []
    for nodes, cpus, processes in ((2, HALF, 2), (1, 4, None)):
        task: dict[str, Any] = {
            "image": lammps,
            "cmd": "lmp -in melt.lj",
            "type": "openmpi",
            "env": POLITE,
        }
        if processes:
            task["procsPerNode"] = processes
        resources = {"nodes": nodes, "cpus": cpus, "memory": 1, "disk": 1}
        document = description(
            task, inputs=["file://melt.lj"], outputFiles=["log.lammps"], resources=resources
        )
        described = finished(cluster, document)
        assert codes(described) == [0], cluster.told(described["id"], described)
        assert described["execution"]["provisionedResources"]["nodes"] == nodes
        outputs.append(cluster.stdout(described["id"]))
    assert all("1 by 2 by 2 MPI processor grid" in output for output in outputs), outputs
    assert table(outputs[0]) == table(outputs[1])
    cluster("download", str(described["id"]))
    assert table(cluster.read("log.lammps")) == table(outputs[0])


def ranks(output: str) -> list[tuple[int, str, str, str]]:
    """Rank, host, node number and threads of each."""
    found = re.findall(r"^rank (\d) of 4 on (\S+) node (\S+) threads (\S+)$", output, re.MULTILINE)
    return sorted(
        (int(rank), host.split(".")[0], node, threads) for rank, host, node, threads in found
    )


def spread(output: str, hosts: tuple[str, ...], threads: str) -> None:
    """Two ranks on each node, in the nodes' order, and the right result."""
    found = ranks(output)
    assert [(rank, node, count) for rank, _, node, count in found] == [
        (0, "0", threads),
        (1, "0", threads),
        (2, "1", threads),
        (3, "1", threads),
    ], output
    assert found[0][1] == found[1][1] != found[2][1] == found[3][1]
    assert {host for _, host, _, _ in found} == set(hosts)
    assert "pi 3.14159" in output


@pytest.mark.honours("resources.nodes", "tasks.type mpich", "tasks.procsPerNode")
def test_mpich_with_threads(cluster: Prominence, ring: str) -> None:
    described = cluster.completed(
        "--nodes", "2", "--cpus", str(HALF), "--memory", "1", "--mpich", "--omp-procs-per-node",
        "3", ring, "ring 100000",
    )  # fmt: skip
    spread(cluster.stdout(described["id"]), HOSTS[cluster.backend], "3")
    execution = described["execution"]
    assert [host.split(".")[0] in HOSTS[cluster.backend] for host in execution["nodes"]] == [
        True,
        True,
    ]
    assert execution["tasks"][0]["cpuTimeUsage"] > 0


@pytest.mark.honours("tasks.type intelmpi", "tasks.procsPerNode")
def test_intel_mpi(cluster: Prominence, ring: str) -> None:
    task = {
        "image": ring,
        "cmd": "ring 100000",
        "type": "intelmpi",
        "procsPerNode": 2,
        "env": recipe.INTEL_ENVIRONMENT,
    }
    described = finished(cluster, description(task))
    assert codes(described) == [0], cluster.told(described["id"], described)
    spread(cluster.stdout(described["id"]), HOSTS[cluster.backend], "-")


@pytest.mark.honours("tasks.type mpich", "tasks.type intelmpi", "tasks.procsPerNode")
@pytest.mark.parametrize("kind", ["mpich", "intelmpi"])
def test_on_one_node(prominence: Prominence, ring: str, kind: str) -> None:
    """Also on this machine; as many processes as CPUs unless told otherwise."""
    env = recipe.INTEL_ENVIRONMENT if kind == "intelmpi" else {}
    task = {"image": ring, "cmd": "ring 1000", "type": kind, "env": env}
    resources = {"cpus": 2, "memory": 1}
    document = description(task, {**task, "procsPerNode": 1}, resources=resources)
    described = finished(prominence, document)
    assert codes(described) == [0, 0], prominence.told(described["id"], described)
    said = re.findall(r"^rank \d of \d", prominence.stdout(described["id"]), re.MULTILINE)
    assert sorted(said) == ["rank 0 of 1", "rank 0 of 2", "rank 1 of 2"]


@pytest.mark.honours("tasks.type openmpi")
def test_open_mpi_on_one_node(prominence: Prominence, lammps: str) -> None:
    prominence.write("melt.lj", MELT)
    described = prominence.completed(
        "--cpus", "2", "--openmpi", "--input", "melt.lj", "--env", "OMPI_MCA_mpi_yield_when_idle=1",
        lammps, "lmp -in melt.lj",
    )  # fmt: skip
    assert "1 by 1 by 2 MPI processor grid" in prominence.stdout(described["id"])


@pytest.mark.honours("policies.runSerialTasksOnAllNodes", "resources.nodes")
def test_serial_tasks_on_all_nodes(scheduler: Prominence, image: str) -> None:
    say = "echo $PROMINENCE_NODE_NUM of $PROMINENCE_NODES"
    document = description(
        {"image": image, "cmd": f"sh -c '{say} > said-$PROMINENCE_NODE_NUM; echo local > /tmp/x'"},
        {"image": image, "cmd": f"sh -c '{say}; cat said-0 said-1 /tmp/x'"},
        {"image": image, "cmd": "sh -c 'exit $((PROMINENCE_NODE_NUM * 4))'"},
        policies={"runSerialTasksOnAllNodes": True},
        outputFiles=["said-*"],
    )
    described = finished(scheduler, document)
    assert codes(described) == [0, 0, 4], scheduler.told(described["id"], described)
    job = str(described["id"])
    assert scheduler.stdout(int(job)) == "0 of 2\n0 of 2\n1 of 2\nlocal\n"
    assert scheduler("stdout", job, "--node", "1").stdout == "1 of 2\n0 of 2\n1 of 2\nlocal\n"
    scheduler("download", job)
    assert scheduler.read("said-1") == "1 of 2\n"


@pytest.mark.honours("resources.nodes")
def test_serial_tasks_run_on_the_first_node_unless_told_otherwise(
    cluster: Prominence, image: str
) -> None:
    task = {"image": image, "cmd": "sh -c 'echo $PROMINENCE_NODE_NUM of $PROMINENCE_NODES'"}
    described = finished(cluster, description(task))
    assert codes(described) == [0], cluster.told(described["id"], described)
    assert cluster.stdout(described["id"]) == "0 of 2\n"
    assert cluster("stdout", str(described["id"]), "--node", "1").stdout == ""


def left(site: Site, backend: str, what: str) -> list[str]:
    """Processes and folders of this user's jobs on the hosts of a backend, by a word in them."""
    found = []
    for host in HOSTS[backend]:
        seen = site.run(["pgrep", "-u", "alice", "-af", what], host=host, check=False).stdout
        found += [f"{host}: {line}" for line in seen.splitlines() if "pgrep" not in line]
    return found


def gone(site: Site, backend: str, what: str, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while still := left(site, backend, what):
        assert time.monotonic() < end, still
        time.sleep(0.5)


@pytest.mark.honours("tasks.type mpich")
def test_a_rank_that_fails_ends_the_others(cluster: Prominence, ring: str) -> None:
    task = {"image": ring, "cmd": "ring fail 3 3", "type": "mpich", "procsPerNode": 2}
    described = finished(cluster, description(task))
    assert described["status"] == "completed"
    assert codes(described) == [3], cluster.told(described["id"], described)
    gone(cluster.site, cluster.backend, "ring fail")


def running(cluster: Prominence, job_id: int, lines: int) -> None:
    """Wait until the job's ranks have said that they run."""
    end = time.monotonic() + 60
    while cluster("stdout", str(job_id), check=False).stdout.count("rank") < lines:
        assert time.monotonic() < end, cluster.told(job_id, cluster.describe(job_id))
        time.sleep(0.5)


@pytest.fixture
def waiting(cluster: Prominence, ring: str) -> Iterator[int]:
    """A job of four ranks that wait for ever."""
    task = {"image": ring, "cmd": "ring wait", "type": "mpich", "procsPerNode": 2}
    job_id = begun(cluster, description(task))
    yield job_id
    cluster("delete", str(job_id), check=False)


@pytest.mark.honours("resources.nodes")
def test_a_job_that_is_deleted_leaves_nothing_on_any_node(
    cluster: Prominence, waiting: int
) -> None:
    running(cluster, waiting, 4)
    assert len(left(cluster.site, cluster.backend, "^ring wait")) >= 4
    assert cluster("delete", str(waiting)).stdout == "Success\n"
    assert cluster.ended(waiting)["status"] == "deleted"
    gone(cluster.site, cluster.backend, "^ring wait")


def test_the_way_into_each_node(cluster: Prominence, waiting: int) -> None:
    """exec enters the containers of MPI's processes; what the wrapper of that node logs can be read.

    HTCondor leads to the first node alone, and says so.
    """
    running(cluster, waiting, 4)
    found = []
    for node in ("0", "1") if cluster.backend == "slurm" else ("0",):
        command = ["sh", "-c", "echo $PROMINENCE_NODE_NUM; hostname; ls /usr/local/bin/ring"]
        said = cluster("exec", "--node", node, str(waiting), "--", *command).stdout.split()
        assert said[0::2] == [node, "/usr/local/bin/ring"]
        found.append(said[1].split(".")[0])
        log = cluster("logs", "--node", node, str(waiting)).stderr
        assert f"begins on {found[-1]}" in log
    assert set(found) <= set(HOSTS[cluster.backend])
    assert len(set(found)) == len(found)
    if cluster.backend == "htcondor":
        done = cluster("exec", "--node", "1", str(waiting), "--", "true", check=False)
        assert done.returncode != 0
        assert "HTCondor leads to the first node of a job alone" in done.stderr


@pytest.mark.honours("resources.walltime")
def test_walltime_ends_the_ranks_on_all_nodes(cluster: Prominence, ring: str) -> None:
    task = {"image": ring, "cmd": "ring wait", "type": "mpich", "procsPerNode": 2}
    document = description(task, resources={"nodes": 2, "cpus": 2, "memory": 1, "walltime": 1})
    described = finished(cluster, document)
    assert (described["status"], described["statusReason"]) == ("killed", "Walltime limit exceeded")
    assert len(ranks(cluster.stdout(described["id"]))) == 4
    gone(cluster.site, cluster.backend, "^ring wait", 5)


@pytest.mark.parametrize("cluster", ["slurm"], indirect=True)
def test_a_node_that_is_lost_is_named(site: Site, cluster: Prominence, waiting: int) -> None:
    """The wrapper on the second node dies, as in a crash of that node."""
    running(cluster, waiting, 4)
    pattern = f"^/usr/bin/python3 .*--follow .*/{waiting}/plan.json"
    host = next(
        host
        for host in HOSTS["slurm"]
        if site.run(["pgrep", "-f", pattern], host=host, check=False).stdout
    )
    site.run(["pkill", "-9", "-f", pattern], host=host)
    described = cluster.ended(waiting)
    assert described["status"] == "failed", cluster.told(waiting, described)
    assert described["statusReason"] == "Node of the job was lost"
    assert described["execution"]["detail"].startswith(
        f"Node 1 ({host}): the connection to it was lost"
    )
    gone(site, cluster.backend, "^ring wait")


@pytest.mark.refuses("resources.nodes")
@pytest.mark.parametrize("backend", ["local"])
def test_this_machine_is_one_node(site: Site, folder: str, ring: str, backend: str) -> None:
    prominence = Prominence(site, folder, backend=backend)
    done = prominence("create", "--nodes", "2", "--mpich", ring, "ring", check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "resources.nodes: the backend local has one node" in done.stderr


def test_a_site_that_shares_nothing_refuses_several_nodes(
    site: Site, folder: str, ring: str
) -> None:
    prominence = Prominence(site, folder, backend="bare")
    prominence.write("config.toml", '[sites.bare]\nbackend = "htcondor"\n')
    prominence.environment["PROMINENCE_CONFIG"] = f"{folder}/config.toml"
    done = prominence("create", "--nodes", "2", "--mpich", ring, "ring", check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "this site has no folder that all nodes of a job see" in done.stderr
    assert prominence("list", "--all", "--json").stdout == "[]\n"
