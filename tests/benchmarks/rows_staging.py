"""Stage-in and stage-out by the wrapper, beside curl and tar with the same URLs on the same host.

Ours is the time that the wrapper reports for the phase, without its start and the task.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from prominence_hpc.wrappers.plan import Artifact, Destination, Output
from tests.benchmarks import data
from tests.benchmarks.budgets import Budget
from tests.benchmarks.measure import Sample, shell, timed
from tests.benchmarks.plans import hand, plan, seen_by_task
from tests.benchmarks.workbench import WORK, Workbench

USER = Path.home().name
TARGET = WORK / "unpacked"
IN = Budget(kind="times", limit=1.05, resident_mib=64)
OUT = Budget(kind="times", limit=1.1)


def in_tar(bench: Workbench) -> None:
    stage_in(bench, data.archive(bench), 'curl -sSf "$1" | tar -x', "`curl | tar x`")


def in_tar_gz(bench: Workbench) -> None:
    stage_in(bench, data.compressed_archive(bench), 'curl -sSf "$1" | tar -xz', "`curl | tar xz`")


def stage_in(bench: Workbench, source: Path, pipeline: str, beside: str) -> None:
    by_hand = hand("stage-in")
    name = source.name

    def ours(_: int) -> Sample:
        artifact = Artifact(name=name, filename=name, source=bench.url("GET", key))
        sample, report = by_hand.run(plan("true", artifacts=(artifact,)))
        return Sample(report["stage_in_time"] or 0, sample.resident_mib)

    def bare(_: int) -> Sample:
        TARGET.mkdir()
        sample = timed(shell(pipeline, bench.url("GET", key)), folder=TARGET)
        shutil.rmtree(TARGET)
        return sample

    shutil.rmtree(TARGET, ignore_errors=True)
    with bench.objects_below(f"uploads/{USER}/bench-stage-in-") as prefix:
        key = prefix + name
        bench.put(source, key)
        row = f"stage-in of a .{name.partition('.')[2]}"
        bench.compare(row, IN, ours, bare, beside=beside, size_bytes=bench.size)


def out_file(bench: Workbench) -> None:
    source = data.random_file(bench)
    bare = shell('curl -sSf -T "$2" "$1" -o /dev/null')
    row = "stage-out of a file"
    stage_out(bench, source, "file", bare, row, "`curl -T`")


def out_folder(bench: Workbench) -> None:
    source = data.random_folder(bench)
    bare = shell('tar -C "${2%/*}" -c "${2##*/}" | curl -sSf -T - "$1" -o /dev/null')
    row = "stage-out of a directory, incompressible"
    stage_out(bench, source, "directory", bare, row, "`tar c | curl -T -`")


def out_text_folder(bench: Workbench) -> None:
    # gzip makes tens of MB a second: a quarter says as much
    source = data.text_folder(bench.size // 4)
    bare = shell('tar -C "${2%/*}" -cz "${2##*/}" | curl -sSf -T - "$1" -o /dev/null')
    row = "stage-out of a directory, compressible"
    stage_out(bench, source, "directory", bare, row, "`tar cz | curl -T -`")


def stage_out(
    bench: Workbench,
    source: Path,
    kind: Literal["file", "directory"],
    pipeline: Sequence[str],
    row: str,
    beside: str,
) -> None:
    by_hand = hand("stage-out")
    size = data.size_of(source)

    def ours(_: int) -> Sample:
        place = Destination(method="put", url=bench.url("PUT", f"{prefix}ours"))
        output = Output(name="result", kind=kind, object_name="ours", destination=place)
        copy = ("cp", "-r", seen_by_task(source), "result")
        sample, report = by_hand.run(plan(*copy, outputs=(output,)))
        return Sample(report["stage_out_time"] or 0, sample.resident_mib)

    def bare(_: int) -> Sample:
        return timed([*pipeline, bench.url("PUT", f"{prefix}bare"), str(source)])

    with bench.objects_below("scratch/bench-stage-out/") as prefix:
        bench.compare(row, OUT, ours, bare, beside=beside, size_bytes=size)
