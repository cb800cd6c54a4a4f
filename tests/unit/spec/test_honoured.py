"""What this version cannot do is refused, all of it at once; what changes nothing passes."""

from typing import Any

import pytest

from prominence_hpc.adapter.spec.decode import decode_job
from prominence_hpc.adapter.spec.honoured import refuse_unsupported
from prominence_hpc.errors import SpecError


def job(**changes: Any) -> dict[str, Any]:
    return {"tasks": [{"image": "centos:7"}], "resources": {"memory": 1}} | changes


def refused(document: dict[str, Any], backend: str = "slurm") -> list[str]:
    with pytest.raises(SpecError) as caught:
        refuse_unsupported(decode_job(document), backend=backend)
    return [problem.path for problem in caught.value.problems]


CREDENTIAL = {"username": "u", "token": "t"}


@pytest.mark.parametrize(
    ("document", "paths"),
    [
        (job(tasks=[{"image": "x.sif", "runtime": "udocker"}]), ["tasks[0].runtime"]),
        (job(tasks=[{"image": "oras://h/x", "runtime": "udocker"}]), ["tasks[0].runtime"]),
        (
            job(tasks=[{"image": "x", "runtime": "udocker"}], resources={"memory": 1, "gpus": 1}),
            ["tasks[0].runtime"],
        ),
        (
            job(tasks=[{"image": "shub://x/y", "imagePullCredential": CREDENTIAL}]),
            ["tasks[0].imagePullCredential"],
        ),
        (job(notifications=[{"event": "jobFinished", "type": "email"}]), ["notifications"]),
        (
            job(storage={"type": "onedata", "onedata": {"provider": "p", "token": "t"}}),
            ["storage.type"],
        ),
        (
            job(
                tasks=[{"image": "x.sif", "runtime": "udocker"}],
                notifications=[{"event": "jobFinished", "type": "email"}],
            ),
            ["tasks[0].runtime", "notifications"],
        ),
    ],
)
def test_refused(document: dict[str, Any], paths: list[str]) -> None:
    assert refused(document) == paths


@pytest.mark.parametrize(
    "document",
    [
        job(),
        job(resources={"memoryPerCpu": 1.5, "nodes": 1, "cpus": 4, "disk": 2, "walltime": 5}),
        job(
            tasks=[
                {"image": "a", "cmd": "x", "env": {"A": 1}, "workdir": "w", "stdout": "o"},
                {"image": "b", "app": "c", "imageSha256": "0" * 64, "procsPerNode": 1},
            ]
        ),
        job(
            inputs=[{"filename": "a", "content": "", "executable": True}],
            artifacts=[{"url": "x", "mountpoint": "d:/d", "executable": True}],
            outputFiles=["a", "/d/b"],
            outputDirs=["c"],
            labels={"a": "b"},
            name="n",
        ),
        job(
            policies={
                "priority": 5,
                "maximumTaskRetries": 3,
                "ignoreTaskFailures": True,
                "leaveInQueue": True,
                "maximumTimeInQueue": -1,
                "reportJobSuccessOnTaskFailure": True,
                "runSerialTasksOnAllNodes": True,
                "preemptible": True,
                "autoScalingType": "dedicated",
                "maximumIdleTimePerResource": 5,
                "placement": {"requirements": {"sites": []}},
            }
        ),
        job(policies={"maximumTimeInQueue": 0}, notifications=[]),
        job(resources={"memory": 1, "cpusRange": [1, 2], "gpus": 2, "gpuType": "a100"}),
        job(resources={"memoryPerCpu": 1, "cpusOptions": [4, 2]}),
        job(tasks=[{"image": "host/x", "imagePullCredential": CREDENTIAL}]),
        job(tasks=[{"image": "host/x", "runtime": "udocker"}]),
    ],
)
def test_honoured(document: dict[str, Any]) -> None:
    refuse_unsupported(decode_job(document), backend="slurm")


def test_a_runtime_that_the_site_does_not_have() -> None:
    document = decode_job(job(tasks=[{"image": "https://host/x.tar", "runtime": "udocker"}]))
    refuse_unsupported(document, backend="slurm", runtimes=())
    refuse_unsupported(document, backend="slurm", runtimes=("singularity", "udocker"))
    sentence = r"this site have no udocker, but singularity; write that \(create: --runtime singul"
    with pytest.raises(SpecError, match=sentence):
        refuse_unsupported(document, backend="slurm", runtimes=("singularity",))
    document = decode_job(job(tasks=[{"image": "busybox"}]))
    with pytest.raises(SpecError, match="have no singularity, but udocker"):
        refuse_unsupported(document, backend="slurm", runtimes=("udocker",))


@pytest.mark.parametrize(
    ("backend", "sentence"),
    [
        ("slurm", r'configuration does not say .*webdav = "rclone"'),
        ("local", "this machine does not"),
    ],
)
def test_remote_storage_needs_nodes_that_can_mount_it(backend: str, sentence: str) -> None:
    webdav = {"url": "https://dav.example/x", "username": "u", "password": "p"}
    document = decode_job(job(storage={"type": "webdav", "webdav": webdav}))
    refuse_unsupported(document, backend=backend, webdav=True)
    with pytest.raises(SpecError, match=sentence):
        refuse_unsupported(document, backend=backend)
    outputs = decode_job(job(storage={"type": "webdav", "webdav": webdav, "default": True}))
    with pytest.raises(SpecError, match=r"storage\.default: outputs are kept"):
        refuse_unsupported(outputs, backend=backend, webdav=True)


def test_several_nodes_need_a_cluster_with_a_folder_that_they_share() -> None:
    document = job(resources={"memory": 1, "nodes": 2})
    refuse_unsupported(decode_job(document), backend="htcondor", shared_scratch=True)
    for backend, sentence in (("local", "this machine"), ("htcondor", "no folder that all nodes")):
        with pytest.raises(SpecError, match=sentence):
            refuse_unsupported(decode_job(document), backend=backend, shared_scratch=False)


def test_cpus_in_all_need_several_nodes_where_one_has_not_room() -> None:
    one = decode_job(job(resources={"memory": 1, "totalCpusRange": [2, 8]}))
    several = decode_job(job(resources={"memory": 1, "cpus": 2, "totalCpusRange": [4, 8]}))
    refuse_unsupported(several, backend="slurm", shared_scratch=True)
    for backend, sentence in (("local", "this machine"), ("htcondor", "no folder that all nodes")):
        refuse_unsupported(one, backend=backend, shared_scratch=False)
        with pytest.raises(SpecError, match=f"totalCpusRange: .*{sentence}"):
            refuse_unsupported(several, backend=backend, shared_scratch=backend == "local")


@pytest.mark.parametrize("kind", ["openmpi", "mpich", "intelmpi"])
def test_one_node_needs_neither(kind: str) -> None:
    document = job(tasks=[{"image": "x", "cmd": "x", "type": kind}])
    refuse_unsupported(decode_job(document), backend="local", shared_scratch=False)


@pytest.mark.parametrize("mail", ["scheduler", "command"])
def test_notifications_where_the_site_has_mail(mail: str) -> None:
    document = job(notifications=[{"event": "jobFinished", "type": "email"}])
    refuse_unsupported(decode_job(document), backend="slurm", mail=mail)
