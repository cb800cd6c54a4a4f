"""Options of ``create`` that come to nothing are told, as far as the user gave them."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from prominence_hpc.adapter.spec.description import CreateOptions, describe_job, ignored_options
from prominence_hpc.cli.create import create_command
from prominence_hpc.cli.flags import Flags
from tests.unit.test_command_line import run

NO_MPI = "it is for MPI, and none of --openmpi, --mpich and --intelmpi is given"
ZERO = "0 is the same as leaving it out"


def told(**options: Any) -> list[str]:
    return ignored_options(CreateOptions(image="x", **options), options)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"procs_per_node": 2}, f"--procs-per-node is not used: {NO_MPI}"),
        ({"omp_procs_per_node": 2}, f"--omp-procs-per-node is not used: {NO_MPI}"),
        (
            {"memory": 4, "memory_per_cpu": 2},
            "--memory is not used: --memory-per-cpu says how much memory there is",
        ),
        (
            {"cpus": 4, "cpus_range": "2,4"},
            "--cpus is not used: --cpus-range says how many CPUs a node has",
        ),
        (
            {"cpus": 1, "cpus_options": "2,4"},
            "--cpus is not used: --cpus-options says how many CPUs a node has",
        ),
        (
            {"nodes": 1, "total_cpus_range": "2,4"},
            "--nodes is not used: --total-cpus-range says how large the job is",
        ),
        ({"retries": 0}, f"--retries is not used: {ZERO}"),
        ({"gpus": 0}, f"--gpus is not used: {ZERO}"),
        ({"task_retries": 0}, f"--task-retries is not used: {ZERO}"),
        ({"memory": 2, "memory_per_cpu": 0}, f"--memory-per-cpu is not used: {ZERO}"),
        ({"openmpi": True, "procs_per_node": 0}, f"--procs-per-node is not used: {ZERO}"),
        (
            {"mpich": True, "cpus": 2, "procs_per_node": 2, "omp_procs_per_node": 0},
            f"--omp-procs-per-node is not used: {ZERO}",
        ),
        (
            {"cpus": 2, "cpus_range": ""},
            "--cpus-range is not used: an empty text is the same as leaving it out",
        ),
        (
            {"openmpi": True, "cpus": 4, "omp_procs_per_node": 2, "env": ["OMP_NUM_THREADS=4"]},
            "--env OMP_NUM_THREADS is not used: --omp-procs-per-node sets OMP_NUM_THREADS",
        ),
    ],
)
def test_one_sentence_for_an_option_that_is_not_used(
    options: dict[str, Any], sentence: str
) -> None:
    assert told(**options) == [sentence]
    without = {name: value for name, value in options.items() if name != field_of(sentence)}
    assert described(**options) == described(**without)


def field_of(sentence: str) -> str:
    return sentence.split()[0].removeprefix("--").replace("-", "_")


def described(**options: Any) -> dict[str, Any]:
    return describe_job(CreateOptions(image="x", **options))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"cpus": 2, "memory": 2, "retries": 1, "task_retries": 1},
        {"cpus": 4, "total_cpus_range": "2,4"},
        {"memory_per_cpu": 2},
        {"cpus_range": "2,4"},
        {"total_cpus_range": "2,4"},
        {"openmpi": True, "procs_per_node": 1},
        {"openmpi": True, "cpus": 2, "omp_procs_per_node": 1, "env": ["A=1"]},
        {"priority": 0, "max_time_in_queue": 0},
    ],
)
def test_nothing_is_told_of_options_that_count(options: dict[str, Any]) -> None:
    assert told(**options) == []


def test_the_command_warns_and_prints_the_same_description() -> None:
    def dry_run(*options: str) -> tuple[str, str]:
        done = CliRunner().invoke(create_command, [*options, "--dry-run", "x"], obj=Flags())
        assert done.exit_code == 0, done.output
        return done.stdout, done.stderr

    plain, silence = dry_run("--memory-per-cpu", "2")
    assert silence == ""
    # 1 is the default, too: what counts is that it was given.
    assert dry_run("--memory-per-cpu", "2", "--memory", "1", "--retries", "0") == (
        plain,
        (
            "prominence: --retries is not used: 0 is the same as leaving it out\n"
            "prominence: --memory is not used: --memory-per-cpu says how much memory there is\n"
        ),
    )
    assert json.loads(plain)["resources"]["memoryPerCpu"] == 2


def test_the_command_warns_of_jobs_that_are_submitted_too(tmp_path: Path) -> None:
    done = run("create", "--task-retries", "0", "absent.sif", home=tmp_path)
    assert done.stderr.splitlines()[0] == (
        "prominence: --task-retries is not used: 0 is the same as leaving it out"
    )
