"""What the wrapper adds to a task on the node."""

from tests.benchmarks.budgets import Budget
from tests.benchmarks.container import image
from tests.benchmarks.measure import Sample, timed
from tests.benchmarks.plans import hand, plan
from tests.benchmarks.workbench import MIB, WORK, Workbench

OUTPUT = WORK / "output"


def one_task(bench: Workbench) -> None:
    by_hand = hand("one-task")
    job = plan("true")

    def ours(_: int) -> Sample:
        return by_hand.run(job)[0]

    def bare(_: int) -> Sample:
        return timed(["apptainer", "exec", str(image()), "true"])

    ours(0)  # puts the image into the cache
    bench.compare(
        "job of one task, image cached",
        Budget(kind="over", limit=0.15),
        ours,
        bare,
        beside="`apptainer exec`",
        runs=bench.short_runs,
    )


def output(bench: Workbench) -> None:
    by_hand = hand("output")
    command = ["dd", "if=/dev/zero", "bs=1M", f"count={bench.size // MIB}"]
    job = plan(*command)

    def ours(_: int) -> Sample:
        return by_hand.run(job, stdout=OUTPUT)[0]

    def bare(_: int) -> Sample:
        return timed(["apptainer", "exec", str(image()), *command], stdout=OUTPUT)

    bench.compare(
        "standard output of a task",
        Budget(kind="rate", limit=400),
        ours,
        bare,
        beside="`apptainer exec … > FILE`",
        size_bytes=bench.size,
    )
    OUTPUT.unlink()
