"""Which size a job gets: Slurm's answers, ClassAd expressions as HTCondor evaluates them, this machine."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import classad2
import pytest

from prominence_hpc.backends.base import Moldable, Submission
from prominence_hpc.backends.htcondor import moldable as classads
from prominence_hpc.backends.htcondor.gpus import require_gpus
from prominence_hpc.backends.local import machine
from prominence_hpc.backends.run_command import Completed
from prominence_hpc.backends.settings import SiteSettings
from prominence_hpc.backends.slurm import SlurmBackend
from prominence_hpc.backends.slurm.moldable import Start, largest_that_starts, parse_start
from prominence_hpc.errors import BackendError, BackendUnavailable
from tests.unit.backends.helpers import FakePrograms, submission

LATER = 3600.0


def job(least: int, most: int, *, between: bool = True, per_cpu: int | None = None) -> Submission:
    moldable = Moldable(most_cpus=most, between=between)
    memory = {
        "memory_mib": 2048 if per_cpu is None else per_cpu * least,
        "memory_mib_per_cpu": per_cpu,
    }
    return submission(Path("/jobs/12"), cpus=least, moldable=moldable, **memory)


class Slurm:
    """A cluster with ``free`` CPUs in one node, more an hour from now, and never more than ``all``."""

    def __init__(self, free: int, size: int = 1_000_000) -> None:
        self.free, self.size = free, size
        self.asked: list[int] = []

    def __call__(self, wanted: Submission) -> Start:
        assert wanted.moldable is None
        self.asked.append(wanted.cpus)
        if wanted.cpus > self.size:
            return Start(float("inf"))
        return Start(time.time() + (0 if wanted.cpus <= self.free else LATER), wanted.cpus)


@pytest.mark.parametrize(
    ("least", "most", "free", "chosen", "asked"),
    [
        (1, 8, 8, 8, [8]),
        (1, 8, 5, 5, [8, 1, 4, 6, 5]),
        (1, 8, 7, 7, [8, 1, 4, 6, 7]),
        (2, 8, 2, 2, [8, 2, 5, 3]),
        (2, 8, 1, 8, [8, 2]),  # neither starts now: the larger, at the same time
        (1, 1000, 900, 875, [1000, 1, 500, 750, 875, 937]),
    ],
)
def test_range(least: int, most: int, free: int, chosen: int, asked: list[int]) -> None:
    slurm = Slurm(free)
    found = largest_that_starts(job(least, most, per_cpu=100), slurm)
    assert (found.cpus, found.memory_mib, found.moldable) == (chosen, 100 * chosen, None)
    assert slurm.asked == asked


def test_options_are_these_two_alone() -> None:
    slurm = Slurm(7)
    assert largest_that_starts(job(2, 8, between=False), slurm).cpus == 2
    assert slurm.asked == [8, 2]


def test_more_than_any_node_has() -> None:
    assert largest_that_starts(job(4, 512), Slurm(0, size=64)).cpus == 35
    assert largest_that_starts(job(128, 512), Slurm(0, size=64)).cpus == 128  # sbatch says why not


def test_a_job_of_one_size_asks_nothing() -> None:
    fixed, slurm = submission(Path("/jobs/12")), Slurm(0)
    assert largest_that_starts(fixed, slurm) is fixed
    assert slurm.asked == []


def test_a_controller_that_does_not_say() -> None:
    def silent(_: Submission) -> Start:
        msg = "no answer"
        raise BackendUnavailable(msg)

    found = largest_that_starts(job(2, 8), silent)
    assert (found.cpus, found.moldable) == (2, None)


SAID = "sbatch: Job 10 to start at {} a using 4 processors on nodes node1 in partition debug\n"


def test_answers_of_sbatch(programs: FakePrograms, tmp_path: Path) -> None:
    def ended(code: int, text: str) -> Completed:
        return Completed(("sbatch",), code, "", text)

    assert parse_start(ended(0, SAID.format(1795590405))) == Start(1795590405, 4)
    never = ended(1, "allocation failure: Requested node configuration is not available\n")
    assert parse_start(never).time == float("inf")
    programs.add("sbatch", stdout="4711\n", stderr=SAID.format(1))
    moldable = replace(job(2, 8), folder=tmp_path)
    assert SlurmBackend(SiteSettings(name="s", backend="slurm")).submit(moldable) == "4711"
    question, submitted = programs.calls()
    assert question["argv"][1] == "--test-only"
    assert question["environment"]["SLURM_TIME_FORMAT"] == "%s"
    assert "--test-only" not in submitted["argv"]
    assert "#SBATCH --cpus-per-task=8\n" in (tmp_path / "job.sh").read_text()


def evaluated(expression: str, slot: dict[str, Any] | None, **attributes: Any) -> Any:
    """An expression of a job's record as it is evaluated, against a machine's or alone."""
    record = classad2.ClassAd({"QDate": int(time.time()), **attributes})
    tree = classad2.ExprTree(expression)
    return tree.eval(record) if slot is None else tree.eval(record, classad2.ClassAd(slot))


SLOTS = {"Cpus": 6, "Memory": 3000}


@pytest.mark.parametrize(
    ("wanted", "slot", "age", "cpus"),
    [
        (job(2, 8), SLOTS, 0, 6),
        (job(2, 4), SLOTS, 0, 4),
        (job(7, 8), SLOTS, 0, 7),  # the least, which will not match
        (job(2, 8, per_cpu=1000), SLOTS, 0, 3),
        (job(2, 8, between=False), SLOTS, 0, 2),
        (job(2, 6, between=False), SLOTS, 0, 6),
        (job(2, 6, between=False, per_cpu=1000), SLOTS, 0, 2),
        (job(2, 8), None, 0, 2),
        (submission(Path("/jobs/12"), cpus=5), SLOTS, 0, 5),
    ],
)
def test_cpus_where_job_meets_machine(
    wanted: Submission, slot: dict[str, Any] | None, age: int, cpus: int
) -> None:
    expression = classads.request_cpus(wanted)
    assert evaluated(expression, slot, QDate=int(time.time()) - age) == cpus


@pytest.mark.parametrize("between", [True, False])
def test_nobody_gets_less_at_once_than_is_free_somewhere(between: bool) -> None:
    small = {"Cpus": 3, "Memory": 9000}
    expression = classads.request_cpus(job(2, 8, between=between), wanted=8)
    now = int(time.time())
    assert evaluated(expression, small, QDate=now) == 8  # does not fit, so it does not match
    fewer = 3 if between else 2
    assert evaluated(expression, small, QDate=now - 200) == fewer
    assert evaluated(expression, small, QDate=now, LastRejMatchTime=now) == fewer


def test_memory_goes_with_the_cpus() -> None:
    assert classads.request_memory(job(2, 8)) == "2048"
    expression = classads.request_memory(job(2, 8, per_cpu=300))
    assert evaluated(expression, None, RequestCpus=7) == 2100


def test_what_is_free() -> None:
    slots = [{"Cpus": 3, "Memory": 9000}, {"Cpus": 6, "Memory": 3000}]
    assert classads.most_free(job(2, 8), slots) == 6
    assert classads.most_free(job(2, 4), slots) == 4
    assert classads.most_free(job(2, 8, per_cpu=1000), slots) == 3
    assert classads.most_free(job(2, 8, between=False), slots) == 2
    assert classads.most_free(job(2, 8), []) is None
    constraint = classads.free_constraint(replace(job(2, 8), gpus=1))
    (free,) = [
        slot
        for slot in (
            {"PartitionableSlot": True, "Cpus": 2, "Memory": 2048, "Disk": 1 << 30, "GPUs": 1},
            {"PartitionableSlot": True, "Cpus": 2, "Memory": 2048, "Disk": 1 << 30, "GPUs": 0},
            {"State": "Claimed", "Cpus": 8, "Memory": 9000, "Disk": 1 << 30, "GPUs": 1},
        )
        if evaluated(constraint, None, **slot) is True
    ]
    assert free["GPUs"] == 1


@pytest.mark.parametrize(
    ("gpu_type", "device", "found"),
    [
        ("a100", "A100-SXM4-40GB", True),
        ("A10", "NVIDIA A100-SXM4-40GB", False),
        ("tesla-v100", "Tesla V100-PCIE-16GB", True),
        ("nvidia_a100_80gb", "NVIDIA A100 80GB PCIe", True),
        ("t4", "Tesla T4", True),
        ("4.0", "Model 4x0", False),
    ],
)
def test_a_type_of_gpu_is_words_of_its_name(gpu_type: str, device: str, found: bool) -> None:
    wanted = submission(Path("/jobs/12"), gpus=1, gpu_type=gpu_type)
    expression = require_gpus(wanted)
    assert expression is not None
    assert evaluated(expression, None, DeviceName=device) is found


def test_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(6)))
    monkeypatch.setattr("os.sysconf", {"SC_PHYS_PAGES": 3000 << 8, "SC_PAGE_SIZE": 4096}.get)
    sizes: list[tuple[Submission, int]] = [
        (job(2, 8), 6),
        (job(2, 4), 4),
        (job(7, 8), 7),
        (job(2, 8, per_cpu=1000), 3),
        (job(2, 8, between=False), 2),
        (job(2, 6, between=False), 6),
    ]
    assert [machine.fitting(wanted).cpus for wanted, _ in sizes] == [cpus for _, cpus in sizes]
    fixed = submission(Path("/jobs/12"))
    assert machine.fitting(fixed) is fixed


@pytest.fixture
def devices(tmp_path: Path) -> Callable[..., Path]:
    def make(*names: str) -> Path:
        for name in names:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).touch()
        return tmp_path

    return make


def test_gpus_of_this_machine(devices: Callable[..., Path]) -> None:
    assert machine.count_gpus(devices("dri/renderD128")) == 0  # a screen, no driver to compute with
    assert machine.count_gpus(devices("nvidiactl", "nvidia0", "nvidia1", "nvidia-uvm")) == 2
    assert machine.count_gpus(devices("kfd")) == 3


def test_gpus_that_are_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "count_gpus", lambda _: 1)
    machine.refuse_missing_gpus(submission(Path("/jobs/12"), gpus=1))
    with pytest.raises(BackendError, match="asks for 2 gpus, and this machine has 1"):
        machine.refuse_missing_gpus(submission(Path("/jobs/12"), gpus=2))
    with pytest.raises(BackendError, match="leave gpuType out"):
        machine.refuse_missing_gpus(submission(Path("/jobs/12"), gpus=1, gpu_type="a100"))
