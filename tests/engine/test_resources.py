"""What a job asks for and what it gets: CPUs, memory, disk, GPUs, and sizes to choose from."""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.engine.prominence import SCHEDULERS, Prominence, backend_and_transport
from tests.site.handle import Site

# One node alone, which Slurm takes last for the jobs of other tests.
QUIET_NODE = """
[sites.slurm]
backend = "slurm"
directives = ["--nodelist=node1"]
"""
WITH_DISK = """
[sites.slurm]
backend = "slurm"
disk_option = "--tmp={mib}M"
"""
BLOCKED_CPUS = 5  # of 8
SHOW = "sh -c 'echo $PROMINENCE_CPUS $PROMINENCE_MEMORY $PROMINENCE_NODES'"


@pytest.fixture(params=SCHEDULERS)
def on_scheduler(site: Site, folder: str, request: pytest.FixtureRequest) -> Prominence:
    backend, transport = backend_and_transport(request.param)
    return Prominence(site, folder, backend=backend, transport=transport)


def configured(prominence: Prominence, text: str) -> None:
    prominence.write("site.toml", text)
    prominence.environment["PROMINENCE_CONFIG"] = f"{prominence.folder}/site.toml"


def described(
    prominence: Prominence, image: str, command: str, **resources: object
) -> dict[str, Any]:
    """A job of these ``resources``, after its end."""
    task = {"image": image, "cmd": command}
    description = {"tasks": [task], "resources": {"disk": 1, **resources}}
    prominence.write("job.json", json.dumps(description))
    found = prominence.ended(prominence.created(prominence("run", "job.json")))
    assert found["status"] == "completed", prominence.told(found["id"], found)
    return found


def given(prominence: Prominence, image: str, **resources: object) -> list[float]:
    """CPUs, memory and nodes, as the task was told."""
    found = described(prominence, image, SHOW, **resources)
    return [float(word) for word in prominence.stdout(found["id"]).split()]


def until(condition: str) -> str:
    """A shell line that waits for a condition, and fails where it does not come about."""
    return f"for i in $(seq 500); do {condition} && exit; sleep 0.2; done; exit 1"


@contextmanager
def blocked(prominence: Prominence) -> Iterator[None]:
    """Other jobs have :data:`BLOCKED_CPUS` of each node's eight CPUs meanwhile; Slurm has one node here."""
    if prominence.backend == "slurm":
        options = f"-w node1 -c {BLOCKED_CPUS} --mem=100 -t 10 -o /dev/null --wrap 'sleep 300'"
        job = prominence.shell(f"sbatch --parsable {options}").strip()
        running, end = f"[ $(squeue -h -j {job} -o %t) = R ]", f"scancel {job}"
    else:
        lines = f"executable = /bin/sleep\narguments = 300\nrequest_cpus = {BLOCKED_CPUS}\n"
        lines += "transfer_executable = false\nrequest_memory = 100\nrequest_disk = 1M\nqueue 2\n"
        prominence.write("block.sub", lines)
        cluster = prominence.shell("condor_submit -terse block.sub").split(".")[0]
        # The collector is told of a slot's begin and end by its startd, at times much later.
        free = '[ "$(condor_status -const PartitionableSlot -af Cpus | sort -u)" = {} ]'
        running = f"[ $(condor_q {cluster} -af JobStatus | grep -c 2) = 2 ]"
        running += " && " + free.format(8 - BLOCKED_CPUS)
        end = f"condor_rm {cluster}; {until(free.format(8))}"
    try:
        prominence.shell(until(running))
        yield
    finally:
        prominence.shell(end)


@pytest.mark.honours("resources.cpus", "resources.memory")
def test_cpus_and_memory(prominence: Prominence, image: str) -> None:
    """Parts of a GB too; what describe tells is the scheduler's own word."""
    found = described(prominence, image, SHOW, cpus=2, memory=0.5)
    assert prominence.stdout(found["id"]) == "2 0.5 1\n"
    execution = found["execution"]["provisionedResources"]
    assert (execution["cpus"], execution["nodes"]) == (2, 1)
    assert 0.5 <= execution["memory"] < 0.65  # HTCondor rounds up to 128 MiB


@pytest.mark.honours("resources.memoryPerCpu")
def test_memory_per_cpu(prominence: Prominence, image: str) -> None:
    found = described(prominence, image, SHOW, cpus=3, memoryPerCpu=0.3)
    assert prominence.stdout(found["id"]) == "3 0.9 1\n"
    assert 0.9 <= found["execution"]["provisionedResources"]["memory"] < 1.03


@pytest.mark.honours("resources.disk")
def test_disk(on_scheduler: Prominence, image: str) -> None:
    """Slurm knows of disks only where the site says how it is asked for them."""
    configured(on_scheduler, WITH_DISK)
    found = described(on_scheduler, image, "true", memory=1, disk=2.5)
    if on_scheduler.backend == "htcondor":
        assert math.isclose(found["execution"]["provisionedResources"]["disk"], 2.5, rel_tol=0.1)
        return
    record = on_scheduler.shell(f"scontrol show job {found['execution']['backendId']}")
    assert "MinTmpDiskNode=2500M" in record
    too_much = on_scheduler("create", "--disk", "60", image, "true", check=False)
    assert "Temporary disk" in too_much.stderr or "not available" in too_much.stderr


@pytest.mark.alone
@pytest.mark.honours("resources.cpusRange", "resources.cpusOptions")
def test_the_larger_where_it_can_start_and_else_what_there_is(
    on_scheduler: Prominence, image: str
) -> None:
    configured(on_scheduler, QUIET_NODE)
    with blocked(on_scheduler):
        cpus, memory, _ = given(on_scheduler, image, cpusRange=[1, 4], memoryPerCpu=0.2)
        assert 1 < cpus <= 8 - BLOCKED_CPUS
        assert math.isclose(memory, 0.2 * cpus)
        assert given(on_scheduler, image, cpusOptions=[4, 1], memory=0.3) == [1, 0.3, 1]
    assert given(on_scheduler, image, cpusRange=[1, 4], memoryPerCpu=0.2) == [4, 0.8, 1]
    found = described(on_scheduler, image, SHOW, cpusOptions=[1, 4], memoryPerCpu=0.2)
    assert found["execution"]["provisionedResources"]["cpus"] == 4


@pytest.mark.honours("resources.cpusRange", "resources.cpusOptions", on=["local"])
def test_this_machine_gives_what_it_has(site: Site, folder: str, image: str) -> None:
    local = Prominence(site, folder, backend="local")
    cores = int(local.shell("nproc"))
    assert given(local, image, cpusRange=[1, 100], memory=1) == [cores, 1, 1]
    assert given(local, image, cpusOptions=[1, 1000], memoryPerCpu=0.5) == [1, 0.5, 1]
    assert given(local, image, cpusOptions=[cores, 1], memory=1) == [cores, 1, 1]


@pytest.mark.alone
@pytest.mark.honours("resources.totalCpusRange")
def test_so_many_cpus_in_all(prominence: Prominence, image: str) -> None:
    """On one node where that has room, and on several where their size is fixed; here on one alone."""
    if prominence.backend == "local":
        cores = int(prominence.shell("nproc"))
        assert given(prominence, image, totalCpusRange=[1, 100], memory=0.5) == [cores, 0.5, 1]
        assert given(prominence, image, totalCpusRange=[1, 3], cpus=2, memory=0.5) == [2, 0.5, 1]
        return
    anywhere = given(prominence, image, totalCpusRange=[2, 4], memoryPerCpu=0.1)
    assert anywhere == [4, 0.4, 1]
    found = described(prominence, image, SHOW, totalCpusRange=[3, 5], cpus=2, memoryPerCpu=0.1)
    assert prominence.stdout(found["id"]) == "2 0.2 2\n"
    execution = found["execution"]["provisionedResources"]
    assert (execution["cpus"], execution["nodes"]) == (2, 2)


@pytest.mark.alone
@pytest.mark.honours("resources.totalCpusRange")
@pytest.mark.parametrize("backend", ["slurm"])
def test_fewer_cpus_in_all_where_there_are_no_more(
    site: Site, folder: str, image: str, backend: str
) -> None:
    """One node of those that the job must have is partly taken: its part of the job fits what is left."""
    slurm = Prominence(site, folder, backend=backend)
    configured(slurm, QUIET_NODE)
    wanted = {"totalCpusRange": [2, 14], "cpusRange": [1, 8], "memoryPerCpu": 0.1}
    with blocked(slurm):
        cpus, memory, nodes = given(slurm, image, **wanted)
        assert 1 <= cpus <= 8 - BLOCKED_CPUS
        assert math.isclose(memory, 0.1 * cpus)
        assert nodes == 2


SEE_GPUS = (
    "sh -c 'cd /dev; echo $(ls -d nvidia[0-9]* kfd dri/renderD* 2>/dev/null);"
    " echo ${CUDA_VISIBLE_DEVICES:--} ${ROCR_VISIBLE_DEVICES:--} $PROMINENCE_GPUS'"
)


@pytest.mark.honours("resources.gpus")
def test_gpus_are_seen_in_the_container(on_scheduler: Prominence, image: str) -> None:
    """NVIDIA's on both; the scheduler says which are the job's. Who asks for none sees none."""
    wanted = {"gpuType": "a100"} if on_scheduler.backend == "slurm" else {}
    found = described(on_scheduler, image, SEE_GPUS, memory=0.2, gpus=1, **wanted)
    devices, variables = on_scheduler.stdout(found["id"]).splitlines()
    assert devices == "nvidia0 nvidia1"
    cuda, _, gpus = variables.split()
    assert (len(cuda.split(",")), gpus) == (1, "1")
    assert found["execution"]["provisionedResources"]["gpus"] == 1
    without = described(on_scheduler, image, SEE_GPUS, memory=0.2)
    assert on_scheduler.stdout(without["id"]).splitlines()[0] == ""
    assert "gpus" not in without["execution"]["provisionedResources"]


@pytest.mark.honours("resources.gpuType")
def test_gpus_of_a_type(on_scheduler: Prominence, image: str) -> None:
    if on_scheduler.backend == "slurm":
        found = described(on_scheduler, image, SEE_GPUS, memory=0.2, gpus=2, gpuType="mi250")
        assert found["execution"]["host"] == "node2"
        seen = on_scheduler.stdout(found["id"])
        assert seen == "dri/renderD128 dri/renderD129 kfd\n- 0,1 2\n"
        return
    found = described(on_scheduler, image, SEE_GPUS, memory=0.2, gpus=2, gpuType="A100-sxm4")
    assert on_scheduler.stdout(found["id"]).split()[-1] == "2"
    job_id = on_scheduler.create("--gpus", "1", "--gpu-type", "a10", image, "true")
    on_scheduler.shell("sleep 3")  # an idle pool starts a job within two
    assert on_scheduler.describe(job_id)["status"] == "idle"
    on_scheduler("delete", str(job_id))


@pytest.mark.refuses("resources.gpus", "resources.gpuType", on=["local"])
def test_gpus_that_this_machine_has_not(site: Site, folder: str, image: str) -> None:
    local = Prominence(site, folder, backend="local")
    done = local("create", "--gpus", "1", image, "true", check=False)
    assert (done.returncode, "asks for 1 gpus, and this machine has none" in done.stderr) == (
        6,
        True,
    )
    typed = local("create", "--gpus", "1", "--gpu-type", "a100", image, "true", check=False)
    assert (typed.returncode, "leave gpuType out" in typed.stderr) == (6, True)
    assert json.loads(local("list", "--all", "--json").stdout) == []


def test_gpus_that_no_node_of_slurm_has(site: Site, folder: str, image: str) -> None:
    slurm = Prominence(site, folder, backend="slurm")
    for wanted in (["--gpus", "3"], ["--gpus", "1", "--gpu-type", "h100"]):
        done = slurm("create", *wanted, image, "true", check=False)
        assert done.returncode == 6
        assert "gpus" in done.stderr
    assert json.loads(slurm("list", "--all", "--json").stdout) == []
