"""How the container runtime is called, without calling it."""

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from prominence_hpc.wrappers import plan as plans
from prominence_hpc.wrappers.runtime import container
from prominence_hpc.wrappers.runtime.errors import JobFailed
from tests.unit.wrappers.conftest import MakePlan

if TYPE_CHECKING:
    from prominence_hpc.wrappers.runtime.scratch import Scratch

SCRATCH = cast(
    "Scratch", SimpleNamespace(work=b"/s/work", tmp=b"/s/tmp", cache=b"/s/c", build=b"/s/b")
)
NEW, OLD = "apptainer version 1.4.5", "singularity version 3.8.7"


def words(make_plan: MakePlan, task: plans.Task, **fields: Any) -> list[bytes]:
    plan = make_plan(tasks=(task,), **fields).document
    return container.argv(b"/bin/apptainer", plan, 0, b"/i.sif", SCRATCH)


def test_the_whole_command_line(make_plan: MakePlan) -> None:
    mount = plans.Mount(directory="d", path="/data")
    found = words(
        make_plan,
        plans.Task(image=0, command=("-x", "a b", "ü"), app="app"),
        artifacts=(plans.Artifact(name="d.tgz", filename="d.tgz", source="s", mount=mount),),
        binds=("/cvmfs:/cvmfs:ro",),
    )
    assert found == [
        *(b"/bin/apptainer", b"--silent", b"exec", b"--contain", b"--cleanenv"),
        *(b"--home", b"/s/work:/home/user"),
        *(b"--bind", b"/s/tmp:/tmp", b"--bind", b"/s/tmp:/var/tmp"),
        *(b"--bind", b"/s/work/d:/data", b"--bind", b"/cvmfs:/cvmfs:ro"),
        *(b"--pwd", b"/home/user", b"--app", b"app", b"/i.sif"),
        *(b"-x", b"a b", "ü".encode()),
    ]


def test_no_command_is_the_images_run_script(make_plan: MakePlan) -> None:
    found = words(make_plan, plans.Task(image=0))
    assert found[2] == b"run"
    assert found[-1] == b"/i.sif"


@pytest.mark.parametrize(
    ("workdir", "path"),
    [
        (None, b"/home/user"),
        ("sub/dir", b"/home/user/sub/dir"),
        ("/opt/x", b"/opt/x"),
        ("r-$PROMINENCE_JOB_ID", b"/home/user/r-7"),
        ("/w/${PROMINENCE_WORKFLOW_ID}/$PROMINENCE_JOB_ID", b"/w/3/7"),
    ],
)
def test_workdir(workdir: str | None, path: bytes, make_plan: MakePlan) -> None:
    task = plans.Task(image=0, workdir=workdir)
    found = words(make_plan, task, workflow_id=3)
    assert found[found.index(b"--pwd") + 1] == path


def environment(
    make_plan: MakePlan, variables: dict[str, str], version: str = NEW
) -> dict[bytes, bytes]:
    plan = make_plan(tasks=(plans.Task(image=0, environment=variables),)).document
    found = container.environment(plan, 0, {"HOME": "/root", "SECRET": "s"})
    host = {b"PATH": b"/bin", b"APPTAINERENV_LEAK": b"1", b"SINGULARITYENV_LEAK": b"1"}
    return container.runtime_environment(host, SCRATCH, found, version)


def test_values_travel_literally(make_plan: MakePlan) -> None:
    value = "a,b \"c\" 'd' $(e) `f` \\ \n ü"
    found = environment(make_plan, {"X": value, "EMPTY": ""})
    assert found[b"APPTAINERENV_X"] == value.encode()
    assert found[b"APPTAINERENV_EMPTY"] == b""
    assert found[b"APPTAINER_NO_EVAL"] == b"1"
    assert found[b"PATH"] == b"/bin"
    assert found[b"APPTAINER_CACHEDIR"] == b"/s/c"
    assert b"APPTAINERENV_LEAK" not in found
    assert b"SINGULARITYENV_LEAK" not in found
    assert b"APPTAINERENV_HOME" not in found


def test_old_runtimes_evaluate_and_are_told_not_to(make_plan: MakePlan) -> None:
    found = environment(make_plan, {"X": "$(a) `b` \\c"}, OLD)
    assert found[b"SINGULARITYENV_X"] == b"\\$(a) \\`b\\` \\\\c"


@pytest.mark.parametrize("name", ["A-B", "1A", "", "A B", "A\n", "É"])
def test_names_that_no_shell_takes(name: str, make_plan: MakePlan) -> None:
    with pytest.raises(JobFailed, match="a name is letters, digits and _"):
        environment(make_plan, {name: "x"})


@pytest.mark.parametrize("value", ["a\x80", "\x81"])
def test_values_that_the_runtime_would_change(value: str, make_plan: MakePlan) -> None:
    with pytest.raises(JobFailed, match="variable X: containers cannot be given"):
        environment(make_plan, {"X": value})
