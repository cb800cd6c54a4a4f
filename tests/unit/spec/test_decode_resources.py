"""What resources and policies may not be, each told in one sentence."""

from typing import Any

import pytest

from prominence_hpc.adapter.spec.decode import decode_job
from tests.unit.spec.documents import assert_one_problem, job, problems, with_resources, with_task


def webdav(url: str = "https://dav.example/x", mountpoint: str = "/data") -> dict[str, Any]:
    given = {"url": url, "username": "u", "password": "p"}
    return job(storage={"type": "webdav", "mountpoint": mountpoint, "webdav": given})


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (job(resources=None), "resources: must be an object, not null"),
        (with_resources(), "resources.memory: is required, unless memoryPerCpu is given"),
        (
            with_resources(memory=True),
            "resources.memory: must be a number, not true",
        ),
        (
            with_resources(memory=0),
            "resources.memory: must be more than 0, at most 1000000000, not the number 0",
        ),
        (with_resources(memory=float("inf")), None),
        (with_resources(memory=10**400), None),
        (
            with_resources(memory=1, cpus=1.5),
            "resources.cpus: must be a whole number, not the number 1.5",
        ),
        (
            with_resources(memory=1, cpus=True),
            "resources.cpus: must be a whole number, not true",
        ),
        (
            with_resources(memory=1, nodes=0),
            "resources.nodes: must be at least 1, not the number 0",
        ),
        (with_resources(memory=1, walltime=-5), None),
        (
            with_resources(memory=1, cpus=2, cpusRange=[1, 2]),
            "resources.cpus: give only one of cpus and cpusRange",
        ),
        (
            with_resources(memory=1, cpusRange=[1, 2], cpusOptions=[1, 2]),
            "resources.cpusRange: give only one of cpusRange and cpusOptions",
        ),
        (
            with_resources(memory=1, nodes=2, totalCpusRange=[1, 2]),
            "resources.nodes: give either nodes or totalCpusRange, not both",
        ),
        (
            with_resources(memory=1, cpusRange=[4, 2]),
            "resources.cpusRange: must be [minimum, maximum], not [4, 2]",
        ),
        (
            with_resources(memory=1, cpusRange=[4]),
            "resources.cpusRange: must be a list of two numbers, [minimum, maximum]",
        ),
        (
            with_resources(memory=1, gpus=0),
            "resources.gpus: must be at least 1, not the number 0",
        ),
        (
            with_resources(memory=1, gpuType="a100"),
            "resources.gpuType: needs gpus, the number of GPUs per node",
        ),
        (
            with_resources(memory=1, gpus=1, gpuType="a100 or h100"),
            (
                "resources.gpuType: must begin with a letter or digit and may hold letters A-Z a-z, "
                'digits and - _ . only, not "a100 or h100"'
            ),
        ),
        (with_resources(memory=1, gpus=1, gpuType="-x"), None),
    ],
)
def test_resources(document: dict[str, Any], problem: str | None) -> None:
    assert_one_problem(document, problem)


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (
            job(policies={"maximumRetries": 7}),
            "policies.maximumRetries: must be at most 6, not the number 7",
        ),
        (job(policies={"maximumTaskRetries": 0}), None),
        (job(policies={"maximumTimeInQueue": 44641}), None),
        (job(policies={"maximumTimeInQueue": -2}), None),
        (
            job(policies={"leaveInQueue": "true"}),
            (
                'policies.leaveInQueue: must be true or false, not the text "true"; write it '
                "without quotes"
            ),
        ),
        (
            job(policies={"autoScalingType": "big"}),
            'policies.autoScalingType: must be none, dedicated or shared, not the text "big"',
        ),
        (
            job(notifications=[{"event": "jobStarted", "type": "email"}]),
            'notifications[0].event: must be jobFinished, not the text "jobStarted"',
        ),
        (
            job(storage={"type": "b2drop", "mountpoint": "/x"}),
            "storage.b2drop: is required for storage of type b2drop",
        ),
        (
            job(storage={"type": "onedata", "onedata": {"provider": "x", "token": 12345}}),
            "storage.onedata.token: must be text; write it in quotes",
        ),
        (
            webdav(mountpoint="/home/user"),
            (
                'storage.mountpoint: must not be "/home/user": it would hide the job\'s working '
                "directory, /home/user; choose another path"
            ),
        ),
        (
            webdav(mountpoint="data"),
            'storage.mountpoint: must be an absolute path other than /, not "data"',
        ),
        (
            webdav(url="https://user:pass@dav.example/x"),
            "storage.webdav.url: must hold no name or password: they have keys of their own",
        ),
        (
            webdav(url="dav.example/x"),
            "storage.webdav.url: must be an address such as https://HOST/PATH, without a query",
        ),
        (
            webdav() | {"artifacts": [{"url": "a.tgz", "mountpoint": "a:/data"}]},
            'storage.mountpoint: /data is the mount path of "a", an artifact, already',
        ),
    ],
)
def test_policies_and_the_rest(document: dict[str, Any], problem: str | None) -> None:
    assert_one_problem(document, problem)


def test_processes_are_compared_with_the_most_cpus_of_a_range() -> None:
    document = with_task(procsPerNode=8, type="openmpi", cmd="x")
    document["resources"] = {"memory": 1, "cpusRange": [4, 8]}
    assert decode_job(document).tasks[0].procs_per_node == 8
    document["resources"] = {"memory": 1, "cpusOptions": [7, 4]}
    assert problems(document) == [
        "tasks[0].procsPerNode: must be at most the CPUs of a node, 7, not 8"
    ]
