"""What a job description may say, what it may not, and that every problem is named at once."""

import base64
import copy
from typing import Any

import pytest

from prominence_hpc.adapter.spec.decode import decode_job
from prominence_hpc.adapter.spec.job import MountPoint, Placement, PullCredential
from prominence_hpc.errors import SpecError


def job(**changes: Any) -> dict[str, Any]:
    return {"tasks": [{"image": "centos:7"}], "resources": {"memory": 1}} | changes


def with_task(**changes: Any) -> dict[str, Any]:
    return job(tasks=[{"image": "centos:7"} | changes])


def with_resources(**resources: Any) -> dict[str, Any]:
    return job(resources=resources)


def problems(document: object) -> list[str]:
    with pytest.raises(SpecError) as caught:
        decode_job(document)
    return [str(problem) for problem in caught.value.problems]


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


def test_every_key_is_decoded() -> None:
    document = {
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
    given = copy.deepcopy(document)
    decoded = decode_job(document)
    (task,) = decoded.tasks
    assert task.env == {"TEXT": "a=b", "ONE": "1", "HALF": "1.5", "THREE": "3.0"}
    assert task.image_pull_credential == PullCredential(username="me", token="t0ken")
    assert task.image_sha256 == "ab" * 32
    assert (task.procs_per_node, task.app, task.workdir) == (2, "foo", "sub")
    assert task.stdout == "/data/log.txt"
    resources = decoded.resources
    assert (resources.nodes, resources.cpus, resources.memory) == (2, 4, None)
    assert isinstance(resources.cpus, int)
    assert (resources.memory_per_cpu, resources.disk, resources.walltime) == (1.5, 20.5, 60)
    assert base64.b64decode(decoded.inputs[0].content) == b"hello\n"
    assert decoded.inputs[0].executable
    assert decoded.artifacts[1].mountpoint == MountPoint(directory="b", path="/data")
    assert decoded.output_files == ("out.txt", "out/*/saved.pb", "/data/result")
    assert decoded.output_dirs == ("results",)
    policies = decoded.policies
    assert (policies.maximum_retries, policies.maximum_task_retries) == (6, 1)
    assert (policies.maximum_time_in_queue, policies.priority) == (-1, -3)
    assert policies.placement == Placement(required_sites=("a", "b"), preferred_regions=("c",))
    assert policies.auto_scaling_type is None
    assert decoded.notifications[0].event == "jobFinished"
    assert decoded.storage is not None
    assert decoded.storage.credentials == {"provider": "p", "token": "t"}
    assert decoded.document == given
    assert document == given


def test_no_secret_is_in_a_representation() -> None:
    credential = {"username": "me", "token": "s3cret"}
    storage = {"type": "b2drop", "b2drop": {"app-username": "u", "app-password": "s3cret"}}
    decoded = decode_job(
        job(tasks=[{"image": "x", "imagePullCredential": credential}], storage=storage)
    )
    assert "s3cret" not in repr(decoded)


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
    assert problems({"name": "w", "jobs": [{}], "dependencies": {}}) == [
        "jobs: workflows cannot be run by this version; run each of the jobs by itself"
    ]


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        # unknown keys, everywhere
        (job(taskz=[]), "taskz: is not a known key; did you mean tasks?"),
        (with_task(work_dir="x"), "tasks[0].work_dir: is not a known key; did you mean workdir?"),
        (with_task(cpus=2), "tasks[0].cpus: is not a key here; it belongs in resources"),
        (
            job(policies={"ignoreTaskTailures": True}),
            "policies.ignoreTaskTailures: is not a known key; did you mean ignoreTaskFailures?",
        ),
        (
            job(policies={"placement": {"requirements": {"site": ["a"]}}}),
            "policies.placement.requirements.site: is not a known key; did you mean sites?",
        ),
        (
            job(artifacts=[{"url": "x", "mountPoint": "a:/b"}]),
            "artifacts[0].mountPoint: is not a known key; did you mean mountpoint?",
        ),
        # texts
        (with_task(cmd=True), "tasks[0].cmd: must be text, not true; write it in quotes"),
        (with_task(cmd=None), "tasks[0].cmd: must be text, not null"),
        (with_task(cmd=["ls"]), "tasks[0].cmd: must be text, not a list"),
        (with_task(cmd="a\0b"), "tasks[0].cmd: must not hold a NUL character"),
        (
            with_task(cmd="a\ud800b"),
            "tasks[0].cmd: must not hold half of a surrogate pair (such as \\ud800)",
        ),
        (
            with_task(env={"A": True}),
            "tasks[0].env.A: must be text or a number, not true; write it in quotes",
        ),
        (
            with_task(env={"A": float("nan")}),
            "tasks[0].env.A: must be a finite number or text",
        ),
        (with_task(env={"A": [1]}), "tasks[0].env.A: must be text or a number, not a list"),
        (
            with_task(env={"HOME": "/root"}),
            "tasks[0].env.HOME: the name is set for every task and cannot be changed",
        ),
        (
            with_task(env={"A": "x\x80"}),
            "tasks[0].env.A: holds U+0080 or U+0081, which Apptainer cannot pass on",
        ),
        (
            with_task(env={"A=B": "x"}),
            (
                'tasks[0].env["A=B"]: the name must be letters, digits and _, and not begin with '
                "a digit"
            ),
        ),
        (
            with_task(env=["A=1"]),
            "tasks[0].env: must be an object of names and values, not a list",
        ),
        (job(name="ü"), None),
        (job(name="x" * 513), "name: must be at most 512 characters long, not 513"),
        (
            job(labels={"a-b": "x"}),
            "labels.a-b: the name may hold letters A-Z a-z and digits only",
        ),
        (
            job(labels={"a": "x y"}),
            'labels.a: may hold letters, digits and - _ . / only, and at least one, not "x y"',
        ),
        (job(labels={"a": "x\n"}), None),
        (job(labels={"a": 1.2}), "labels.a: must be text, not the number 1.2; write it in quotes"),
        (job(labels={"a": "x" * 513}), "labels.a: must be at most 512 characters long, not 513"),
        # images and artifacts
        (with_task(image=""), "tasks[0].image: must not be empty"),
        (
            with_task(image="--help"),
            'tasks[0].image: must not hold control characters or begin with -: "--help"',
        ),
        (
            with_task(image="file:///x.sif"),
            "tasks[0].image: must be written as an absolute path, without file://",
        ),
        (with_task(image="docker://"), "tasks[0].image: names no image after docker://"),
        (
            with_task(image="dokcer://x"),
            (
                "tasks[0].image: begins with dokcer://; known are docker://, shub://, oras://, "
                "library://, http://, https://"
            ),
        ),
        (with_task(image="../x.sif"), None),
        (
            job(artifacts=[{"url": "ftp://h/x"}]),
            (
                "artifacts[0].url: begins with ftp://; give an http(s) URL or the name of an "
                "uploaded file"
            ),
        ),
        (
            job(artifacts=[{"url": "/data/x"}]),
            (
                "artifacts[0].url: must be a URL or the name of an uploaded file, not a path; see "
                "prominence upload"
            ),
        ),
        (job(artifacts=[{"url": "a/../../b"}]), None),
        (job(artifacts=[{"url": "https:///x"}]), None),
        (job(artifacts=[{"url": "https://[::1/x"}]), None),
        (
            job(artifacts=[{"url": "x", "mountpoint": "a/b:/c"}]),
            (
                "artifacts[0].mountpoint: must be DIR:/ABSOLUTE/PATH, DIR one name without /, "
                'not "a/b:/c"'
            ),
        ),
        (
            job(artifacts=[{"url": "x", "mountpoint": "a:c"}]),
            'artifacts[0].mountpoint: must mount at an absolute path other than /, not "c"',
        ),
        (job(artifacts=[{"url": "x", "mountpoint": "a:/"}]), None),
        (job(artifacts=[{"url": "x", "mountpoint": "a:/b/../.."}]), None),
        (job(artifacts=[{"url": "x", "mountpoint": "a:/b:ro"}]), None),
        (job(artifacts=[{"url": "x", "mountpoint": "..:/b"}]), None),
        (
            job(
                artifacts=[
                    {"url": "x", "mountpoint": "a:/d"},
                    {"url": "y", "mountpoint": "b:/d/"},
                ]
            ),
            'artifacts[1].mountpoint: /d is the mount path of "a" already',
        ),
        # inputs
        (
            job(inputs=["file://x"]),
            "inputs[0]: file:// is read by `prominence run` from a local description only",
        ),
        (
            job(inputs=[{"filename": "/etc/x", "content": ""}]),
            'inputs[0].filename: must be a file name, relative and without . or ..: "/etc/x"',
        ),
        (job(inputs=[{"filename": "a/../../b", "content": ""}]), None),
        (job(inputs=[{"filename": "", "content": ""}]), None),
        (
            job(inputs=[{"filename": "a", "content": "aGVsbG8"}]),
            (
                "inputs[0].content: must be base64; encode the file with base64, or give "
                "file://PATH instead"
            ),
        ),
        (job(inputs=[{"filename": "a", "content": "ü"}]), None),
        (job(inputs=[{"filename": "a"}]), "inputs[0].content: is required"),
        (
            job(inputs=[{"filename": "a", "content": ""}, {"filename": "a", "content": ""}]),
            'inputs[1].filename: another input has the name "a" already',
        ),
        # outputs
        (
            job(outputFiles=["/etc/passwd"]),
            (
                "outputFiles[0]: must be relative to the job's working directory, or below an "
                'artifact\'s mountpoint, not "/etc/passwd"'
            ),
        ),
        (
            job(outputFiles=["/database"], artifacts=[{"url": "x", "mountpoint": "d:/data"}]),
            (
                "outputFiles[0]: must be relative to the job's working directory, or below an "
                'artifact\'s mountpoint, not "/database"'
            ),
        ),
        (job(outputFiles=["a/../../b"]), None),
        (job(outputFiles=["out/"]), 'outputFiles[0]: must name a file, not a directory: "out/"'),
        (job(outputDirs=["."]), None),
        (job(outputDirs=[""]), "outputDirs[0]: must not be empty"),
        (
            job(outputFiles=["x.tgz"], outputDirs=["x/"]),
            (
                'outputDirs[0]: is stored as "x.tgz", as outputFiles[0] is; leave out or rename '
                "one of them"
            ),
        ),
        (
            job(outputDirs=["a/x", "b/x"]),
            (
                'outputDirs[1]: is stored as "x.tgz", as outputDirs[0] is; leave out or rename '
                "one of them"
            ),
        ),
        (job(outputFiles=["a", "./a"]), None),
        (
            with_task(stdout="../x"),
            'tasks[0].stdout: must name something inside the job\'s working directory, not "../x"',
        ),
        # tasks
        (job(tasks=[]), "tasks: must not be empty"),
        (
            with_task(type="sidecar"),
            "tasks: must hold at least one task that is not a sidecar",
        ),
        (with_task(type="openmpi"), "tasks[0].cmd: is required for a task of type openmpi"),
        (with_task(type="mpich", cmd=" "), "tasks[0].cmd: is required for a task of type mpich"),
        (
            with_task(type="intelmpi", cmd="mpirun -n 4 x"),
            "tasks[0].cmd: must not begin with mpirun: the type intelmpi starts it by itself",
        ),
        (
            with_task(procsPerNode=2),
            "tasks[0].procsPerNode: must be at most the CPUs of a node, 1, not 2",
        ),
        (
            with_task(runtime="udocker", app="x"),
            "tasks[0].app: needs the runtime singularity; udocker has no apps",
        ),
        (
            with_task(runtime="apptainer"),
            (
                'tasks[0].runtime: must be singularity or udocker, not the text "apptainer"; '
                "singularity means whichever of Apptainer and Singularity the node has"
            ),
        ),
        (
            with_task(imagePullCredential={"username": "x"}),
            "tasks[0].imagePullCredential.token: is required",
        ),
        (
            with_task(imageSha256="abc"),
            "tasks[0].imageSha256: must be a SHA-256 checksum: 64 hexadecimal digits",
        ),
        # resources
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
        # policies and the rest
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
    ],
)
def test_one_problem(document: dict[str, Any], problem: str | None) -> None:
    (found,) = problems(document)
    if problem is not None:
        assert found == problem


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
        job(artifacts=[{"url": "x", "mountpoint": "a:/d"}, {"url": "y", "mountpoint": "a:/d"}]),
    ],
)
def test_accepted(document: dict[str, Any]) -> None:
    assert decode_job(document).document == document


def test_an_input_holds_less_than_a_million_bytes() -> None:
    def with_input(size: int) -> dict[str, Any]:
        content = base64.b64encode(bytes(size)).decode()
        return job(inputs=[{"filename": "a", "content": content}])

    decode_job(with_input(999_999))
    assert problems(with_input(1_000_000)) == [
        (
            "inputs[0].content: holds 1,000,000 bytes, and an input must be under 1,000,000; "
            "upload the file and list it under artifacts instead"
        )
    ]


def test_a_command_that_a_shell_could_not_split() -> None:
    (problem,) = problems(with_task(cmd="echo it's"))
    assert problem.startswith(
        'tasks[0].cmd: cannot be split into arguments (no closing quotation): "echo it\'s"; '
    )


def test_a_presigned_urls_query_is_in_no_message() -> None:
    (problem,) = problems(job(artifacts=[{"url": "https://h/a b?X-Amz-Signature=s3cret"}]))
    assert "s3cret" not in problem
    assert "https://h/a b" in problem


def test_processes_are_compared_with_the_most_cpus_of_a_range() -> None:
    document = with_task(procsPerNode=8, type="openmpi", cmd="x")
    document["resources"] = {"memory": 1, "cpusRange": [4, 8]}
    assert decode_job(document).tasks[0].procs_per_node == 8
    document["resources"] = {"memory": 1, "cpusOptions": [7, 4]}
    assert problems(document) == [
        "tasks[0].procsPerNode: must be at most the CPUs of a node, 7, not 8"
    ]
