"""What is generated for a job: the packed runner, job.sh and plan.json."""

import ast
import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from prominence_hpc.wrappers import bundle, job_script
from prominence_hpc.wrappers import plan as plans
from tests.unit.wrappers.pythons import PYTHONS

Golden = Callable[[str, str], None]
MODULES = bundle.sources()


def imports(tree: ast.AST) -> Iterator[str]:
    """Top-level names of absolute imports; relative ones must stay in the package."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level < 2
            if node.level == 0:
                assert node.module is not None
                yield node.module.partition(".")[0]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_runtime_is_python_3_6_and_the_standard_library(path: Path) -> None:
    source = path.read_text()
    tree = ast.parse(source, feature_version=(3, 6))
    assert set(imports(tree)) <= sys.stdlib_module_names
    assert len(source.splitlines()) <= 400
    walrus = [node for node in ast.walk(tree) if isinstance(node, ast.NamedExpr)]
    assert not walrus


def evaluated(tree: ast.AST) -> Iterator[ast.expr]:
    """Annotations that an old Python would evaluate: they must be plain names or quoted."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = [*node.args.args, *node.args.kwonlyargs]
            yield from (item.annotation for item in arguments if item.annotation is not None)
            if node.returns is not None:
                yield node.returns
        elif isinstance(node, ast.AnnAssign):
            yield node.annotation


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_annotations_are_no_newer_than_3_6(path: Path) -> None:
    found = [
        ast.unparse(item)
        for item in evaluated(ast.parse(path.read_text()))
        if not isinstance(item, ast.Constant | ast.Name | ast.Attribute)
    ]
    assert found == []


def test_bundle_is_the_sources_and_reproducible() -> None:
    first = bundle.bundle()
    bundle.bundle.cache_clear()
    assert bundle.bundle() == first
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        for path in MODULES:
            assert archive.read(f"prominence_runner/{path.name}") == path.read_bytes()
        assert archive.namelist() == [
            "__main__.py",
            *(f"prominence_runner/{p.name}" for p in MODULES),
        ]


def test_install_runner_writes_once(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    first = bundle.install_runner(folder)
    written = first.stat().st_mtime_ns
    assert bundle.install_runner(folder) == first
    assert first.stat().st_mtime_ns == written
    assert first.read_bytes() == bundle.bundle()
    assert first.stat().st_mode & 0o777 == 0o600
    assert list(folder.iterdir()) == [first]


@pytest.mark.parametrize("python", PYTHONS)
def test_the_packed_file_runs(python: str, tmp_path: Path) -> None:
    runner = bundle.install_runner(tmp_path)
    done = subprocess.run([python, "-IS", str(runner)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "usage: runner.pyz PLAN [N]\n")
    (tmp_path / "plan.json").write_text("{}")
    argv = [python, "-IS", str(runner), str(tmp_path / "plan.json")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "PlanError: plan is not of version 1" in done.stderr
    assert "raise PlanError(msg)" in done.stderr  # source lines, also from within the zip file


IMPORT_TWICE = """
import sys, threading
sys.path[:0] = sys.argv[1:]
from prominence_runner.__main__ import import_one_at_a_time
import_one_at_a_time()
found = []
def use():
    from slow import name
    found.append(name)
threads = [threading.Thread(target=use) for _ in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(found)
"""


@pytest.mark.parametrize("python", PYTHONS)
def test_threads_may_import_the_same_module(python: str, tmp_path: Path) -> None:
    runner = bundle.install_runner(tmp_path)
    with zipfile.ZipFile(tmp_path / "slow.zip", "w") as archive:
        archive.writestr("slow.py", "import time\ntime.sleep(0.3)\nname = 'whole'\n")
    argv = [python, "-ISc", IMPORT_TWICE, str(runner), str(tmp_path / "slow.zip")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("['whole', 'whole']\n", "")


def script(tmp_path: Path) -> str:
    return job_script.render_job_script(
        ["#SBATCH --job-name=a", "#SBATCH --ntasks=1"],
        ["module load apptainer", 'export SCRATCH="/local/$USER"'],
        str(tmp_path / "it's a runner.pyz"),
        "/home/a b/plan.json",
    )


def test_job_script(golden: Golden) -> None:
    golden("job.sh", script(Path("/state")))
    bare = job_script.render_job_script([], [], "runner.pyz", "plan.json")
    assert 'exec "$python" -IS runner.pyz plan.json' in bare
    assert len(bare.splitlines()) <= 25


def test_job_script_becomes_the_runner(tmp_path: Path) -> None:
    (tmp_path / "it's a runner.pyz").write_text("import os, sys; print(os.getpid(), sys.argv[1])")
    text = script(tmp_path).replace("module load apptainer", "echo $$")
    done = subprocess.run(["bash"], input=text, capture_output=True, text=True, check=True)
    pid, line = done.stdout.splitlines()
    assert line == f"{pid} /home/a b/plan.json"


def copies_script(runner: str, folder: str, **fields: Any) -> str:
    return job_script.render_job_script(
        ["#SBATCH --output=/dev/null"],
        ["echo prologue"],
        runner,
        "/home/a b/plan.json",
        copy="$1 + SLURM_ARRAY_TASK_ID",
        folder=folder,
        **fields,
    )


def test_job_script_of_copies(golden: Golden) -> None:
    golden("copies-job.sh", copies_script("/state/runner.pyz", "/home/a b"))


@pytest.mark.parametrize("below", ["it's a folder", ""])
def test_a_copy_writes_into_a_folder_of_its_own(tmp_path: Path, below: str) -> None:
    (tmp_path / "it's a folder").mkdir()
    (tmp_path / "runner.pyz").write_text(
        "import os, sys; print(os.getcwd(), sys.argv[1:]); print('wrong', file=sys.stderr)"
    )
    folder = tmp_path / below if below else tmp_path
    text = copies_script(str(tmp_path / "runner.pyz"), str(folder) if below else "")
    (tmp_path / "job.sh").write_text(text)
    for _ in range(2):  # what an earlier start has written stays
        done = subprocess.run(
            ["bash", str(tmp_path / "job.sh"), "1000"],
            env={**os.environ, "SLURM_ARRAY_TASK_ID": "7"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout + done.stderr == ""
    copy = folder / "1007"
    once = f"prologue\n{tmp_path} ['/home/a b/plan.json', '1007']\n"
    assert (copy / "stdout").read_text() == once * 2
    assert (copy / "stderr").read_text() == "wrong\n" * 2
    modes = [path.stat().st_mode & 0o777 for path in (copy, copy / "stdout", copy / "stderr")]
    assert modes == [0o700, 0o600, 0o600]


@pytest.mark.parametrize(("silent", "code"), [(False, 1), (True, 0)])
def test_a_copy_without_a_folder_runs_nothing(tmp_path: Path, silent: bool, code: int) -> None:
    (tmp_path / "runner.pyz").write_text("print('never')")
    (tmp_path / "file").touch()
    text = copies_script(str(tmp_path / "runner.pyz"), str(tmp_path / "file"), silent=silent)
    done = subprocess.run(["bash"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, "")
    assert "mkdir: " in done.stderr


def test_job_script_without_a_python(tmp_path: Path) -> None:
    text = script(tmp_path).replace("/usr/", "/nowhere/").replace("module load", "true")
    silent = job_script.render_job_script([], [], "runner.pyz", "plan.json", silent=True)
    fake = tmp_path / "python3"
    fake.write_text("#!/bin/sh\nexit 1\n")
    fake.chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path}:/usr/bin:/bin"}
    for script_text, code in (
        (text, job_script.NO_PYTHON_EXIT_CODE),
        (silent.replace("/usr/", "/nowhere/"), 0),
    ):
        done = subprocess.run(
            ["bash"], input=script_text, capture_output=True, text=True, env=env, check=False
        )
        assert done.returncode == code
        assert done.stderr.startswith("prominence: no Python 3.6 or later was found on ")


def test_plan(golden: Golden) -> None:
    post = plans.Destination(
        method="post", url="https://s3.example/b", fields={"key": "scratch/uid/", "policy": "p"}
    )
    put = plans.Destination(method="put", url="https://s3.example/b/scratch/uid/d.tgz?sign=1")
    plan = plans.Plan(
        job_id=7,
        job_uid="uid",
        name="every field",
        workflow_id=3,
        cpus=4,
        memory_gb=2.5,
        disk_gb=10,
        walltime_seconds=3600,
        limit_seconds=4200,
        reserve_seconds=300,
        inputs=(plans.InputFile(filename="run.sh", content="IyEvYmluL3No", executable=True),),
        artifacts=(
            plans.Artifact(
                name="data.tgz",
                filename="data.tgz",
                source="https://s3.example/b/uploads/me/data.tgz?sign=1",
                sha256="ab" * 32,
                size_bytes=1000,
                mount=plans.Mount(directory="data", path="/data"),
            ),
        ),
        images=(plans.Image(name="user/repo:1", kind="registry", source="docker://user/repo:1"),),
        tasks=(
            plans.Task(image=0, command=("./run.sh", "ü"), environment={"A": "1"}, stdout="log"),
            plans.Task(image=0, workdir="sub"),
        ),
        outputs=(
            plans.Output(name="*.txt", kind="pattern", object_name="", destination=post),
            plans.Output(name="d", kind="directory", object_name="d.tgz", destination=put),
        ),
        task_retries=2,
        parameters={"x": "1"},
        environment={"SITE": "s"},
        binds=("/cvmfs",),
        scratch="$LOCAL",
        image_cache="~/images",
        image_cache_bytes=20,
    )
    golden("plan.json", plans.render(plan))


def test_a_registry_token_is_in_no_repr() -> None:
    image = plans.Image(name="i", kind="registry", source="i", username="me", token="geheim")
    assert "geheim" not in repr(image)
