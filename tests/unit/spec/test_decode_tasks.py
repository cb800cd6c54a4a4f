"""What tasks and texts may not be, each told in one sentence."""

from typing import Any

import pytest

from tests.unit.spec.documents import assert_one_problem, job, problems, with_task


@pytest.mark.parametrize(
    ("document", "problem"),
    [
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
    ],
)
def test_unknown_keys(document: dict[str, Any], problem: str | None) -> None:
    assert_one_problem(document, problem)


@pytest.mark.parametrize(
    ("document", "problem"),
    [
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
    ],
)
def test_texts(document: dict[str, Any], problem: str | None) -> None:
    assert_one_problem(document, problem)


@pytest.mark.parametrize(
    ("document", "problem"),
    [
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
    ],
)
def test_images(document: dict[str, Any], problem: str | None) -> None:
    assert_one_problem(document, problem)


@pytest.mark.parametrize(
    ("document", "problem"),
    [
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
    ],
)
def test_tasks(document: dict[str, Any], problem: str | None) -> None:
    assert_one_problem(document, problem)


def test_a_command_that_a_shell_could_not_split() -> None:
    (problem,) = problems(with_task(cmd="echo it's"))
    assert problem.startswith(
        'tasks[0].cmd: cannot be split into arguments (no closing quotation): "echo it\'s"; '
    )


@pytest.mark.parametrize(
    "workdir", ["..", "../..", "a/../../b", "./../x", "$PROMINENCE_JOB_ID/../.."]
)
def test_a_relative_workdir_stays_in_the_working_directory(workdir: str) -> None:
    assert problems(with_task(workdir=workdir)) == [
        (
            f'tasks[0].workdir: must not lead out of the job\'s working directory: "{workdir}"; '
            "give an absolute path for a folder of the image"
        )
    ]
