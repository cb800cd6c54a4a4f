"""What a job description may say, what it may not, and that every problem is named at once."""

import base64
import copy
from typing import Any

import pytest

from prominence_hpc.adapter.spec.decode import decode_job
from prominence_hpc.adapter.spec.job import MountPoint, Placement, PullCredential
from tests.unit.spec.documents import job, problems, with_resources, with_task


def test_a_minimal_job_has_the_contracts_defaults() -> None:
    decoded = decode_job(job())
    (task,) = decoded.tasks
    assert (task.image, task.cmd, task.runtime, task.type) == (
        "centos:7",
        None,
        "singularity",
        "basic",
    )
    resources = decoded.resources
    assert (resources.nodes, resources.cpus, resources.disk, resources.walltime) == (1, 1, 10, 720)
    assert decoded.name == ""
    assert decoded.document == job()


EVERY_KEY: dict[str, Any] = {
    "name": "a job-1_x/y.z",
    "labels": {"app": "v1.2/x-y_z"},
    "tasks": [
        {
            "image": "registry.example.org/group/image:rc1",
            "cmd": "run --fast 'a b'",
            "runtime": "singularity",
            "env": {"TEXT": "a=b", "ONE": 1, "HALF": 1.5, "THREE": 3.0},
            "workdir": "sub",
            "type": "openmpi",
            "procsPerNode": 2,
            "app": "foo",
            "imagePullCredential": {"username": "me", "token": "t0ken"},
            "imageSha256": "AB" * 32,
            "stdout": "/data/log.txt",
        }
    ],
    "resources": {
        "nodes": 2,
        "cpus": 4.0,
        "memoryPerCpu": 1.5,
        "disk": 20.5,
        "walltime": 60,
    },
    "inputs": [{"filename": "d/in.txt", "content": "aGVs\nbG8K", "executable": True}],
    "artifacts": [
        {"url": "https://example.org:8443/a.tgz?sig=x", "executable": False},
        {"url": "me/b.tgz", "mountpoint": "b:/data/"},
    ],
    "outputFiles": ["out.txt", "out/*/saved.pb", "/data/result"],
    "outputDirs": ["results"],
    "policies": {
        "maximumRetries": 6,
        "maximumTaskRetries": 1,
        "maximumTimeInQueue": -1,
        "leaveInQueue": True,
        "ignoreTaskFailures": True,
        "reportJobSuccessOnTaskFailure": True,
        "runSerialTasksOnAllNodes": True,
        "priority": -3,
        "placement": {"requirements": {"sites": ["a", "b"]}, "preferences": {"regions": ["c"]}},
        "preemptible": True,
        "autoScalingType": None,
        "maximumIdleTimePerResource": 10,
    },
    "notifications": [{"event": "jobFinished", "type": "email"}],
    "storage": {
        "type": "onedata",
        "mountpoint": "/mnt",
        "onedata": {"provider": "p", "token": "t"},
    },
}


def test_every_key_of_a_task_is_decoded() -> None:
    (task,) = decode_job(EVERY_KEY).tasks
    assert task.env == {"TEXT": "a=b", "ONE": "1", "HALF": "1.5", "THREE": "3.0"}
    assert task.image_pull_credential == PullCredential(username="me", token="t0ken")
    assert task.image_sha256 == "ab" * 32
    assert (task.procs_per_node, task.app, task.workdir) == (2, "foo", "sub")
    assert task.stdout == "/data/log.txt"


def test_every_key_of_the_resources_is_decoded() -> None:
    resources = decode_job(EVERY_KEY).resources
    assert (resources.nodes, resources.cpus, resources.memory) == (2, 4, None)
    assert isinstance(resources.cpus, int)
    assert (resources.memory_per_cpu, resources.disk, resources.walltime) == (1.5, 20.5, 60)


def test_inputs_artifacts_and_outputs_are_decoded() -> None:
    decoded = decode_job(EVERY_KEY)
    assert base64.b64decode(decoded.inputs[0].content) == b"hello\n"
    assert decoded.inputs[0].executable
    assert decoded.artifacts[1].mountpoint == MountPoint(directory="b", path="/data")
    assert decoded.output_files == ("out.txt", "out/*/saved.pb", "/data/result")
    assert decoded.output_dirs == ("results",)


def test_every_policy_is_decoded() -> None:
    policies = decode_job(EVERY_KEY).policies
    assert (policies.maximum_retries, policies.maximum_task_retries) == (6, 1)
    assert (policies.maximum_time_in_queue, policies.priority) == (-1, -3)
    assert policies.placement == Placement(required_sites=("a", "b"), preferred_regions=("c",))
    assert policies.auto_scaling_type is None


def test_notifications_and_storage_are_decoded() -> None:
    decoded = decode_job(EVERY_KEY)
    assert decoded.notifications[0].event == "jobFinished"
    assert decoded.storage is not None
    assert decoded.storage.credentials == {"provider": "p", "token": "t"}


def test_the_document_is_kept_and_left_alone() -> None:
    given = copy.deepcopy(EVERY_KEY)
    assert decode_job(EVERY_KEY).document == given
    assert given == EVERY_KEY


def test_no_secret_is_in_a_representation() -> None:
    credential = {"username": "me", "token": "s3cret"}
    storage = {"type": "b2drop", "b2drop": {"app-username": "u", "app-password": "s3cret"}}
    decoded = decode_job(
        job(tasks=[{"image": "x", "imagePullCredential": credential}], storage=storage)
    )
    shown = (decoded, decoded.tasks, decoded.tasks[0].image_pull_credential, decoded.storage)
    assert "s3cret" not in repr(shown)


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({"cpusRange": [2, 4], "memoryPerCpu": 2}, (1, None, (2, 4), None, None)),
        ({"cpusOptions": [4, 2], "memory": 2}, (1, None, None, (4, 2), None)),
        ({"totalCpusRange": [16, 32], "cpus": 4, "memory": 2}, (None, 4, None, None, (16, 32))),
        ({"totalCpusRange": [16, 32], "memory": 2}, (None, None, None, None, (16, 32))),
        (
            {"nodes": 1, "totalCpusRange": [2, 4], "cpusRange": [1, 2], "memory": 2},
            (None, None, (1, 2), None, (2, 4)),
        ),
    ],
)
def test_moldable_forms(resources: dict[str, Any], expected: tuple[Any, ...]) -> None:
    found = decode_job(job(resources=resources)).resources
    assert expected == (
        found.nodes,
        found.cpus,
        found.cpus_range,
        found.cpus_options,
        found.total_cpus_range,
    )


def test_all_problems_come_at_once_each_with_its_path() -> None:
    document = {
        "name": "no\nnewlines",
        "memory": 4,
        "tasks": [{"cmd": "date"}, {"image": "x", "Cmd": "date"}, "date"],
        "resources": {"cpus": "4", "memory": 1, "memoryPerCpu": 1},
        "outputDirs": ["../up"],
    }
    assert problems(document) == [
        "memory: is not a key here; it belongs in resources",
        'name: may hold letters A-Z a-z, digits, spaces and - _ . / only, not "no\\nnewlines"',
        "tasks[0].image: is required",
        "tasks[1].Cmd: is not a known key; did you mean cmd?",
        'tasks[2]: must be an object, not the text "date"',
        'resources.cpus: must be a whole number, not the text "4"; write it without quotes',
        "resources.memory: give either memory or memoryPerCpu, not both",
        'outputDirs[0]: must name something inside the job\'s working directory, not "../up"',
    ]


@pytest.mark.parametrize("document", [None, [], "job", 3, True])
def test_a_description_is_an_object(document: object) -> None:
    (problem,) = problems(document)
    assert problem.startswith("must be an object, not ")


def test_a_workflow_is_refused_in_one_sentence() -> None:
    (problem,) = problems({"name": "w", "jobs": [{}], "dependencies": {}})
    assert problem == "jobs: is a key of workflows, and this must be one job"


@pytest.mark.parametrize(
    "document",
    [
        with_task(cmd="mpirunner x", type="openmpi"),
        with_task(cmd="mpirun -n 1 x"),
        with_task(image="/cvmfs/images/my image.sif"),
        with_task(image="me/image.sif"),
        with_task(image="localhost:5000/a/b@sha256:" + "0" * 64),
        with_task(image="https://example.org/x.sif?sig=a b".replace(" ", "%20")),
        with_task(env={"A": ""}),
        with_task(cmd="printf 'a\nb'"),
        with_task(workdir=""),
        with_task(workdir="a/../b"),
        with_task(workdir="/opt/../usr"),
        with_task(workdir="..a/$PROMINENCE_JOB_ID"),
        with_resources(memory=0.25, disk=0.5),
        with_resources(memory=1, cpusRange=[2, 2]),
        job(inputs=[{"filename": "empty", "content": ""}]),
        job(outputFiles=["a/x.tgz"], outputDirs=["x"]),
        job(outputFiles=["*.tgz", "x?", "[ab]"], outputDirs=["x"]),
        job(outputFiles=["..a", "a b", "-x", "ü\n"]),
        job(outputDirs=["a/../b"]),
        job(policies={"maximumTimeInQueue": 44640, "placement": {}}),
        job(labels={"a": "x" * 100}),
        job(tasks=[{"image": "x", "type": "sidecar"}, {"image": "x", "type": "basic"}]),
        job(artifacts=[{"url": "x", "mountpoint": "a:/home/user/data"}]),
        job(artifacts=[{"url": "x", "mountpoint": "a:/home/users"}]),
        job(artifacts=[{"url": "x", "mountpoint": "a:/tmp/data"}]),
        job(artifacts=[{"url": "x", "mountpoint": "a:/device"}]),
        job(artifacts=[{"url": "x", "mountpoint": "a:/d"}, {"url": "y", "mountpoint": "a:/d"}]),
    ],
)
def test_accepted(document: dict[str, Any]) -> None:
    assert decode_job(document).document == document
