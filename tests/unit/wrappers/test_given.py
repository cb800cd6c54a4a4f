"""What a job was given, by the words of each scheduler, and its GPUs in the container."""

from pathlib import Path
from typing import Any

import pytest

from prominence_hpc.wrappers import plan as plans
from prominence_hpc.wrappers.runtime import container, given, gpus
from prominence_hpc.wrappers.runtime.errors import JobFailed
from tests.unit.wrappers.conftest import MakePlan
from tests.unit.wrappers.test_container import SCRATCH

SLURM = {"SLURM_CPUS_ON_NODE": "6", "SLURM_JOB_NUM_NODES": "1"}


def document(make_plan: MakePlan, **fields: Any) -> dict[str, Any]:
    fields = {"cpus": 2, "memory_gb": 1, "tasks": (plans.Task(image=0, command=("x",)),)} | fields
    found = make_plan(**fields).document
    assert isinstance(found, dict)
    return found


def test_without_a_scheduler_it_is_what_was_asked_for(make_plan: MakePlan) -> None:
    plan = document(make_plan, memory_gb=0.5)
    assert given.provisioned(plan, {}) == {"cpus": 2, "memory": 0.5, "disk": 10, "nodes": 1}
    told = given.told(plan, {})
    assert told == {
        "PROMINENCE_CPUS": "2",
        "PROMINENCE_MEMORY": "0.5",
        "PROMINENCE_NODES": "1",
    }


def test_a_size_that_the_local_backend_chose(make_plan: MakePlan) -> None:
    plan = document(make_plan, memory_gb=1, memory_gb_per_cpu=0.5)
    told = given.told(plan, {"PROMINENCE_CPUS": "4"})
    assert (told["PROMINENCE_CPUS"], told["PROMINENCE_MEMORY"]) == ("4", "2")


@pytest.mark.parametrize(
    ("variables", "memory"),
    [({"SLURM_MEM_PER_NODE": "3000"}, 3), ({"SLURM_MEM_PER_CPU": "250"}, 1.5), ({}, 3)],
)
def test_slurm(make_plan: MakePlan, variables: dict[str, str], memory: float) -> None:
    plan = document(make_plan, memory_gb=1, memory_gb_per_cpu=0.5, gpus=2)
    environ = {**SLURM, **variables, "SLURM_GPUS_ON_NODE": "2"}
    found = given.provisioned(plan, environ)
    assert found == {"cpus": 6, "memory": memory, "disk": 10, "nodes": 1, "gpus": 2}
    assert given.told(plan, environ)["PROMINENCE_GPUS"] == "2"


def test_htcondor(make_plan: MakePlan, tmp_path: Path) -> None:
    """Memory that was only rounded up is told as it was asked for."""
    machine = tmp_path / "machine"
    environ = {"_CONDOR_MACHINE_AD": str(machine)}
    machine.write_text("Cpus = 4\nMemory = 2048\nDisk = 1024000\nGPUs = 1\n")
    plan = document(make_plan, memory_gb=1, memory_gb_per_cpu=0.5, gpus=1)
    found = given.provisioned(plan, environ)
    assert found == {"cpus": 4, "memory": 2.048, "disk": 1, "nodes": 1, "gpus": 1}
    assert given.told(plan, environ)["PROMINENCE_MEMORY"] == "2"
    assert given.provisioned(plan, {**environ, "_CONDOR_NPROCS": "3"})["nodes"] == 3
    machine.write_text("Cpus = 64\nMemory = 256000\n")
    whole_node = document(make_plan, memory_gb=1)
    told = given.told(whole_node, environ)
    assert (told["PROMINENCE_CPUS"], told["PROMINENCE_MEMORY"]) == ("64", "256")


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("NVIDIA", "AMD", "OTHER"):
        monkeypatch.setattr(gpus, name, bytes(tmp_path / name))
    return tmp_path


@pytest.mark.parametrize(
    ("present", "options"),
    [
        (["NVIDIA"], [b"--nv"]),
        (["AMD", "OTHER"], [b"--rocm"]),
        (["NVIDIA", "AMD"], [b"--nv", b"--rocm"]),
    ],
)
def test_options_by_the_drivers_of_the_node(
    devices: Path, make_plan: MakePlan, present: list[str], options: list[bytes]
) -> None:
    for name in present:
        (devices / name).touch()
    plan = document(make_plan, gpus=1)
    gpus.check(plan)
    assert gpus.options(plan) == options
    words = container.argv(b"/bin/apptainer", plan, 0, b"/i.sif", SCRATCH)
    assert set(options) <= set(words)
    without = document(make_plan)
    assert gpus.options(without) == []


def test_other_drivers_are_bound(devices: Path, make_plan: MakePlan) -> None:
    (devices / "OTHER").touch()
    assert gpus.options(document(make_plan, gpus=1)) == [b"--bind", bytes(devices / "OTHER")]


def test_a_node_without_any_driver(devices: Path, make_plan: MakePlan) -> None:
    assert devices.is_dir()
    gpus.check(document(make_plan))
    with pytest.raises(JobFailed, match="has no GPU driver") as caught:
        gpus.check(document(make_plan, gpus=1))
    assert caught.value.reason == "GPUs not found on the node"
