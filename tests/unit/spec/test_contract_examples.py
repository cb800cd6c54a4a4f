"""Descriptions and command lines in the forms that PROMINENCE's users have, from file to job."""

import base64
import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from prominence_hpc.adapter.spec.decode import decode_job
from prominence_hpc.adapter.spec.description import CreateOptions, describe_job
from prominence_hpc.adapter.spec.honoured import refuse_unsupported
from prominence_hpc.adapter.spec.job import Job, Placement, Resources
from prominence_hpc.adapter.spec.job_file import read_description

RESOURCES = {"nodes": 1, "cpus": 1, "memory": 1, "disk": 10}


def run(folder: Path, text: str, name: str = "job.json") -> Job:
    """What ``prominence run`` makes of a file."""
    file = folder / name
    file.write_text(text)
    job = decode_job(read_description(str(file)))
    json.dumps(job.document, allow_nan=False)
    return job


def create(**options: Any) -> Job:
    """What ``prominence create`` makes of its options."""
    return decode_job(describe_job(CreateOptions(**options)))


def commands(job: Job) -> list[list[str] | None]:
    return [None if task.cmd is None else shlex.split(task.cmd) for task in job.tasks]


def test_two_tasks_in_one_job(tmp_path: Path) -> None:
    text = """{
      "name": "two-tasks",
      "resources": {"nodes": 1, "cpus": 1, "memory": 1, "disk": 10},
      "tasks": [
        {"image": "centos:7", "cmd": "cat /etc/redhat-release", "runtime": "singularity"},
        {"image": "ubuntu:16.04", "cmd": "cat /etc/debian_version", "runtime": "singularity"}
      ]
    }"""
    job = run(tmp_path, text)
    assert [task.image for task in job.tasks] == ["centos:7", "ubuntu:16.04"]
    assert commands(job) == [["cat", "/etc/redhat-release"], ["cat", "/etc/debian_version"]]
    assert job.document == json.loads(text)
    refuse_unsupported(job, backend="slurm")


YAML_HEAD = """
name: yaml-1
resources:
  nodes: 1
  cpus: 4
  memory: 8
  disk: 20
tasks:
  - image: busybox
    runtime: singularity
"""


def test_yaml_needs_no_escapes_in_a_command(tmp_path: Path) -> None:
    job = run(tmp_path, YAML_HEAD + '    cmd: /bin/bash -c "echo Hello; date"\n', "job.yaml")
    assert job.resources == Resources(nodes=1, cpus=4, memory=8, disk=20)
    assert commands(job) == [["/bin/bash", "-c", "echo Hello; date"]]


def test_lines_of_a_command_are_tasks(tmp_path: Path) -> None:
    job = run(tmp_path, YAML_HEAD + "    cmd: |\n      echo Hello\n      date\n", "job.yaml")
    assert commands(job) == [["echo", "Hello"], ["date"]]
    assert {task.image for task in job.tasks} == {"busybox"}


def test_a_script_in_a_command_is_an_input(tmp_path: Path) -> None:
    lines = ["#!/bin/bash", "echo Hello", "date"]
    block = "".join(f"      {line}\n" for line in lines)
    job = run(tmp_path, YAML_HEAD + "    cmd: |\n" + block, "job.yaml")
    (script,) = job.inputs
    assert commands(job) == [[f"./{script.filename}"]]
    assert script.executable
    assert base64.b64decode(script.content).decode().splitlines() == lines


def test_inputs_named_by_file_urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "input.txt").write_text("0 1 2 A\n")
    text = json.dumps(
        {
            "resources": RESOURCES,
            "inputs": ["file://input.txt"],
            "tasks": [{"image": "busybox", "runtime": "singularity"}],
            "name": "with-input",
        }
    )
    job = run(tmp_path, text)
    assert [item.filename for item in job.inputs] == ["input.txt"]
    assert base64.b64decode(job.inputs[0].content) == b"0 1 2 A\n"


@pytest.mark.parametrize(
    ("resources", "decoded"),
    [
        (
            {"nodes": 2, "disk": 18, "cpus": 16, "memory": 32},
            Resources(nodes=2, disk=18, cpus=16, memory=32),
        ),
        (
            {"nodes": 2, "disk": 18, "cpus": 16, "memoryPerCpu": 2},
            Resources(nodes=2, disk=18, cpus=16, memory_per_cpu=2),
        ),
        (
            {"nodes": 1, "disk": 4, "cpusRange": [16, 32], "memoryPerCpu": 2},
            Resources(disk=4, cpus=None, cpus_range=(16, 32), memory_per_cpu=2),
        ),
        (
            {"nodes": 1, "disk": 2, "cpusOptions": [14, 28], "memoryPerCpu": 2},
            Resources(disk=2, cpus=None, cpus_options=(14, 28), memory_per_cpu=2),
        ),
        (
            {"disk": 10, "cpusRange": [4, 8], "totalCpusRange": [16, 32], "memoryPerCpu": 2},
            Resources(
                nodes=None,
                cpus=None,
                cpus_range=(4, 8),
                total_cpus_range=(16, 32),
                memory_per_cpu=2,
            ),
        ),
    ],
)
def test_resources(tmp_path: Path, resources: dict[str, Any], decoded: Resources) -> None:
    text = json.dumps({"resources": resources, "tasks": [{"image": "centos:7"}]})
    assert run(tmp_path, text).resources == decoded


def test_an_unquoted_command_in_json_is_taken_as_yaml(tmp_path: Path) -> None:
    """The page on policies has had such an example for years."""
    text = """{
      "tasks": [{"image": "centos:7", "runtime": "singularity", "cmd": date}],
      "name": "test",
      "resources": {"nodes": 1, "disk": 10, "cpus": 1, "memory": 1},
      "policies": {"maximumTimeInQueue": 600}
    }"""
    job = run(tmp_path, text)
    assert commands(job) == [["date"]]
    assert job.policies.maximum_time_in_queue == 600


def test_placement_and_notifications(tmp_path: Path) -> None:
    sites = ["OpenStack-Alpha", "OpenStack-Beta"]
    document = {
        "resources": RESOURCES,
        "tasks": [{"image": "centos:7"}],
        "policies": {
            "placement": {"requirements": {"sites": sites}, "preferences": {"sites": sites}}
        },
        "notifications": [{"event": "jobFinished", "type": "email"}],
    }
    job = run(tmp_path, json.dumps(document))
    assert job.policies.placement == Placement(
        required_sites=tuple(sites), preferred_sites=tuple(sites)
    )
    assert len(job.notifications) == 1


def test_a_private_registry_a_sidecar_and_mounted_storage(tmp_path: Path) -> None:
    document = {
        "name": "private",
        "resources": {"memoryPerCpu": 2, "cpus": 2, "disk": 10},
        "tasks": [
            {
                "image": "registry.example.org/group/project/image:rc1",
                "imagePullCredential": {"username": "me", "token": "t0ken"},
                "cmd": '/bin/bash -c "echo Hello1 ; sleep 5 ; echo Hello2"',
                "type": "sidecar",
            },
            {"image": "centos:7", "cmd": "/usr/bin/sleep 30", "type": "basic"},
        ],
        "storage": {
            "type": "onedata",
            "mountpoint": "/data",
            "onedata": {"provider": "***", "token": "***"},
        },
    }
    job = run(tmp_path, json.dumps(document))
    assert [task.type for task in job.tasks] == ["sidecar", "basic"]
    assert job.storage is not None
    assert job.storage.mountpoint == "/data"


def test_the_tutorials_commands() -> None:
    job = create(
        name="test",
        artifacts=["cadmesh-jet-v1.1.tgz"],
        outputs=["output1.nc", "output2.nc"],
        image="centos7.sif",
        command='/bin/bash -c "touch output1.nc ; touch output2.nc"',
    )
    assert commands(job) == [["/bin/bash", "-c", "touch output1.nc ; touch output2.nc"]]
    assert job.output_files == ("output1.nc", "output2.nc")
    assert [item.url for item in job.artifacts] == ["cadmesh-jet-v1.1.tgz"]
    refuse_unsupported(job, backend="slurm")


def test_a_rendering_job() -> None:
    job = create(
        cpus=8,
        memory=8,
        artifacts=["https://example.org/demo/classroom.zip"],
        outputs=["frame_001.png"],
        image="ikester/blender:latest",
        command="/usr/local/blender/blender -b classroom/classroom.blend -o frame_### -f 1",
    )
    assert commands(job)[0] == [
        "/usr/local/blender/blender",
        *("-b", "classroom/classroom.blend", "-o", "frame_###", "-f", "1"),
    ]
    refuse_unsupported(job, backend="slurm")


def test_an_output_pattern_and_a_path_in_the_environment() -> None:
    job = create(
        env=["PYTHONPATH=$PYTHONPATH:models-1.11"],
        outputs=["saved/*/model.pb"],
        image="tensorflow/tensorflow:1.11.0",
    )
    assert job.tasks[0].env == {"PYTHONPATH": "$PYTHONPATH:models-1.11"}
    assert job.output_files == ("saved/*/model.pb",)


def test_an_mpi_job_of_several_nodes() -> None:
    job = create(
        openmpi=True,
        nodes=2,
        cpus=4,
        procs_per_node=2,
        env=["OMP_NUM_THREADS=2"],
        image="alahiff/lammps-openmpi-omp",
        command="lmp_mpi -sf omp -in in.lj",
    )
    assert (job.tasks[0].type, job.tasks[0].procs_per_node) == ("openmpi", 2)
    assert (job.resources.nodes, job.resources.cpus) == (2, 4)
