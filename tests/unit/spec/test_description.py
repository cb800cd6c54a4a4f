"""``create``'s options to the description that ``--dry-run`` prints."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from prominence_hpc.adapter.spec.decode import decode_job
from prominence_hpc.adapter.spec.description import CreateOptions, describe_job, runtime_of_site
from prominence_hpc.errors import ProminenceError, SpecError, UsageError

RESOURCES = {"nodes": 1, "disk": 10, "cpus": 1, "memory": 1}
TASK = {"image": "centos:7", "runtime": "singularity"}


def described(**options: Any) -> dict[str, Any]:
    return describe_job(CreateOptions(**({"image": "centos:7"} | options)))


def expected(
    *, resources: dict[str, Any] | None = None, task: dict[str, Any] | None = None, **job: Any
) -> dict[str, Any]:
    return {
        "resources": RESOURCES if resources is None else resources,
        "name": "",
        "tasks": [TASK | (task or {})],
    } | job


def test_the_plain_description_is_printed_exactly_so() -> None:
    assert json.dumps(described(command="date")) == (
        '{"resources": {"nodes": 1, "disk": 10, "cpus": 1, "memory": 1}, "name": "", '
        '"tasks": [{"image": "centos:7", "runtime": "singularity", "cmd": "date"}]}'
    )


@pytest.mark.parametrize(
    ("options", "description"),
    [
        ({}, expected()),
        ({"command": ""}, expected()),
        ({"name": "hello"}, expected(name="hello")),
        ({"cpus": 16}, expected(resources=RESOURCES | {"cpus": 16})),
        ({"memory": 16.0}, expected(resources=RESOURCES | {"memory": 16})),
        ({"memory": 1.5}, expected(resources=RESOURCES | {"memory": 1.5})),
        ({"disk": 20}, expected(resources=RESOURCES | {"disk": 20})),
        ({"walltime": 12345}, expected(resources=RESOURCES | {"walltime": 12345})),
        (
            {"cpus_range": "16,32"},
            expected(resources={"nodes": 1, "disk": 10, "cpusRange": [16, 32], "memory": 1}),
        ),
        (
            {"cpus_options": "16, 32"},
            expected(resources={"nodes": 1, "disk": 10, "cpusOptions": [16, 32], "memory": 1}),
        ),
        (
            {"total_cpus_range": "16,32", "cpus_range": "4,8"},
            expected(
                resources={
                    "disk": 10,
                    "totalCpusRange": [16, 32],
                    "cpusRange": [4, 8],
                    "memory": 1,
                }
            ),
        ),
        (
            {"memory_per_cpu": 16, "cpus": 2, "memory": 3},
            expected(resources={"nodes": 1, "disk": 10, "cpus": 2, "memoryPerCpu": 16}),
        ),
        (
            {"nodes": 2, "openmpi": True},
            expected(resources=RESOURCES | {"nodes": 2}, task={"type": "openmpi"}),
        ),
        (
            {"nodes": 2, "intelmpi": True},
            expected(resources=RESOURCES | {"nodes": 2}, task={"type": "intelmpi"}),
        ),
        ({"mpich": True}, expected(task={"type": "mpich"})),
        (
            {"openmpi": True, "cpus": 2, "procs_per_node": 1},
            expected(
                resources=RESOURCES | {"cpus": 2}, task={"type": "openmpi", "procsPerNode": 1}
            ),
        ),
        ({"procs_per_node": 4}, expected()),
        (
            {"openmpi": True, "cpus": 4, "omp_procs_per_node": 3, "env": ["A=1"]},
            expected(
                resources=RESOURCES | {"cpus": 4},
                task={
                    "type": "openmpi",
                    "procsPerNode": 1,
                    "env": {"A": "1", "OMP_NUM_THREADS": "3"},
                },
            ),
        ),
        (
            {"gpus": 2, "gpu_type": "a100"},
            expected(resources=RESOURCES | {"gpus": 2, "gpuType": "a100"}),
        ),
        ({"gpus": 0, "gpu_type": ""}, expected()),
        ({"leave_in_queue": True}, expected(policies={"leaveInQueue": True})),
        ({"priority": 8}, expected(policies={"priority": 8})),
        ({"max_time_in_queue": 864000}, expected(policies={"maximumTimeInQueue": 864000})),
        ({"max_time_in_queue": -1}, expected(policies={"maximumTimeInQueue": -1})),
        ({"max_time_in_queue": 0, "priority": 0}, expected()),
        (
            {"retries": 4, "task_retries": 2},
            expected(policies={"maximumRetries": 4, "maximumTaskRetries": 2}),
        ),
        ({"workdir": "/data"}, expected(task={"workdir": "/data"})),
        (
            {"labels": ["app=app1", "version=1.2.3"]},
            expected(labels={"app": "app1", "version": "1.2.3"}),
        ),
        (
            {"env": ["A=1", "B=a=b", "C=", "A=2"]},
            expected(task={"env": {"A": "2", "B": "a=b", "C": ""}}),
        ),
        (
            {"outputs": ["a", "b"], "output_dirs": ["c"]},
            expected(outputFiles=["a", "b"], outputDirs=["c"]),
        ),
        (
            {"artifacts": ["x.tgz"], "directory_artifact": "dir.tar.gz"},
            expected(artifacts=[{"url": "x.tgz"}, {"url": "dir.tar.gz"}]),
        ),
    ],
)
def test_options(options: dict[str, Any], description: dict[str, Any]) -> None:
    assert described(**options) == description


@pytest.mark.parametrize(
    ("option", "artifact"),
    [
        ("data.tgz", {"url": "data.tgz"}),
        ("me/data.tgz", {"url": "me/data.tgz"}),
        ("data.tgz:dir:/data", {"url": "data.tgz", "mountpoint": "dir:/data"}),
        ("https://host/data.tgz", {"url": "https://host/data.tgz"}),
        ("https://host:8443/data.tgz", {"url": "https://host:8443/data.tgz"}),
        ("https://host/a:b", {"url": "https://host/a:b"}),
        (
            "https://user:pw@host:8443/d.tgz?a=b:c:dir:/mnt/x",
            {"url": "https://user:pw@host:8443/d.tgz?a=b:c", "mountpoint": "dir:/mnt/x"},
        ),
    ],
)
def test_artifacts(option: str, artifact: dict[str, str]) -> None:
    assert described(artifacts=[option])["artifacts"] == [artifact]


@pytest.mark.parametrize(
    ("image", "runtime"),
    [
        ("centos:7", "singularity"),
        ("image.tar", "singularity"),
        ("https://host/image.sif", "singularity"),
        ("https://host/my.target/image.sif", "singularity"),
        ("https://host/image.tar", "udocker"),
        ("http://host/image.tgz?sig=x", "udocker"),
        ("https://host/image.tar.gz", "udocker"),
    ],
)
def test_tarballs_at_urls_are_for_udocker_unless_the_user_says(image: str, runtime: str) -> None:
    assert described(image=image)["tasks"][0]["runtime"] == runtime
    for chosen in ("singularity", "udocker"):
        assert described(image=image, runtime=chosen)["tasks"][0]["runtime"] == chosen


def test_udocker_that_nobody_asked_for_is_used_where_the_site_has_it() -> None:
    options = CreateOptions(image="https://host/x.tar")

    def submitted(options: CreateOptions, *runtimes: str) -> tuple[str, str | None]:
        document = describe_job(options)
        sentence = runtime_of_site(document, options, runtimes)
        return document["tasks"][0]["runtime"], sentence

    assert submitted(options, "singularity", "udocker") == ("udocker", None)
    for runtimes in ((), ("singularity",)):
        runtime, sentence = submitted(options, *runtimes)
        assert runtime == "singularity"
        assert sentence is not None
        assert "--runtime udocker insists" in sentence
    asked = CreateOptions(image="https://host/x.tar", runtime="udocker")
    assert submitted(asked) == ("udocker", None)
    assert submitted(CreateOptions(image="x.sif")) == ("singularity", None)


def test_input_files(tmp_path: Path) -> None:
    plain = tmp_path / "test.txt"
    plain.write_text("hello\n")
    program = tmp_path / "run me.sh"
    program.write_bytes(b"\xff\x00")
    program.chmod(0o700)
    inputs = described(inputs=[str(plain), str(program)])["inputs"]
    assert inputs == [
        {"filename": "test.txt", "content": "aGVsbG8K"},
        {
            "filename": "run me.sh",
            "content": base64.b64encode(b"\xff\x00").decode(),
            "executable": True,
        },
    ]


STORAGE = {
    "type": "b2drop",
    "mountpoint": "/data",
    "b2drop": {"app-username": "u", "app-password": "p"},
}


@pytest.mark.parametrize(
    "text",
    [
        f'"storage":{json.dumps(STORAGE, indent=2)}\n',  # as PROMINENCE documents it
        json.dumps({"storage": STORAGE}),
        json.dumps(STORAGE),
        (
            "storage:\n  type: b2drop\n  mountpoint: /data\n"
            "  b2drop: {app-username: u, app-password: p}\n"
        ),
    ],
)
def test_storage_files(tmp_path: Path, text: str) -> None:
    file = tmp_path / "storage.json"
    file.write_text(text)
    document = described(storage=str(file))
    assert document["storage"] == STORAGE
    assert decode_job(document).storage is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"nodes": 2}, "--nodes 2 needs an MPI: add --openmpi, --mpich or --intelmpi"),
        (
            {"nodes": 2, "total_cpus_range": "4,8", "openmpi": True},
            "--nodes and --total-cpus-range",
        ),
        ({"cpus_range": "1,2", "cpus_options": "1,2"}, "--cpus-range and --cpus-options"),
        ({"cpus_range": "4"}, "--cpus-range takes two whole numbers"),
        ({"cpus_options": "a,b"}, "--cpus-options takes two whole numbers"),
        ({"total_cpus_range": "1,2,3"}, "--total-cpus-range takes two whole numbers"),
        ({"openmpi": True, "mpich": True}, "--openmpi and --mpich exclude each other"),
        (
            {"openmpi": True, "procs_per_node": 1, "omp_procs_per_node": 1, "cpus": 4},
            "--procs-per-node and --omp-procs-per-node exclude each other",
        ),
        ({"openmpi": True, "omp_procs_per_node": 1}, "--omp-procs-per-node 1 leaves no CPU"),
        (
            {"openmpi": True, "omp_procs_per_node": 1, "cpus_range": "2,4"},
            "--omp-procs-per-node needs a fixed number of CPUs",
        ),
        ({"gpu_type": "a100"}, "--gpu-type a100 needs --gpus, the number of GPUs per node"),
        ({"env": ["PATH"]}, "--env takes ENV=VALUE; not 'PATH'"),
        ({"labels": ["=x"]}, "--label takes LABEL=VALUE; not '=x'"),
        ({"artifacts": ["x.tgz:dir"]}, "--artifact takes NAME, URL, NAME:DIR:/MOUNT"),
        ({"memory": float("nan")}, "--memory takes a number of GB, such as --memory 4; not nan"),
        ({"memory": float("-inf"), "memory_per_cpu": 1}, "--memory takes a number of GB"),
        ({"memory_per_cpu": float("inf")}, "--memory-per-cpu takes a number of GB"),
        ({"disk": float("inf")}, "--disk takes a number of GB"),
        ({"inputs": ["/no/such"]}, "--input: /no/such cannot be read: No such file or directory"),
        ({"inputs": ["/"]}, "--input: / is not a file"),
        ({"storage": "/no/such"}, "--storage: /no/such does not exist"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        described(**options)
    assert str(caught.value).startswith(message)


def test_a_storage_file_must_hold_an_object(tmp_path: Path) -> None:
    file = tmp_path / "storage.json"
    for text in ("[1]", '{"storage": 1}', '{"storage": '):
        file.write_text(text)
        with pytest.raises(SpecError, match=str(file)) as caught:
            described(storage=str(file))
        assert isinstance(caught.value, ProminenceError)


def test_a_description_of_valid_options_decodes() -> None:
    document = described(command="run 'a b'", env=["A=1"], artifacts=["x.tgz:d:/data"])
    job = decode_job(document)
    assert job.tasks[0].cmd == "run 'a b'"
    assert job.document == document
