"""Runs on the login node: `python -m tests.benchmarks.inside [--quick] ROW…`.

A result is a line of JSON on stdout; what is being done is said on stderr.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import Final

from tests.benchmarks import (
    rows_create,
    rows_node,
    rows_shell,
    rows_staging,
    rows_start,
    rows_storage,
    rows_sweep,
)
from tests.benchmarks.budgets import Result, encode
from tests.benchmarks.measure import CommandFailed
from tests.benchmarks.rows import NAMES
from tests.benchmarks.workbench import HOME, MIB, WORK, Workbench

ROWS: Final[dict[str, Callable[[Workbench], None]]] = {
    "version": rows_start.version,
    "dry-run": rows_start.dry_run,
    "create-slurm": rows_create.slurm,
    "create-htcondor": rows_create.htcondor,
    "create-slurm-s3": rows_create.slurm_stored,
    "create-htcondor-s3": rows_create.htcondor_stored,
    "sweep-slurm": rows_sweep.slurm,
    "sweep-htcondor": rows_sweep.htcondor,
    "list-last": rows_sweep.last_of_many,
    "exec-srun": rows_shell.srun,
    "exec-ssh": rows_shell.ssh,
    "exec-htcondor": rows_shell.htcondor,
    "one-task": rows_node.one_task,
    "output": rows_node.output,
    "in-tar": rows_staging.in_tar,
    "in-tar-gz": rows_staging.in_tar_gz,
    "out-file": rows_staging.out_file,
    "out-folder": rows_staging.out_folder,
    "out-text": rows_staging.out_text_folder,
    "upload": rows_storage.upload,
    "download": rows_storage.download,
    "download-many": rows_storage.download_many,
}
assert tuple(ROWS) == NAMES
# What rows leave; the data and the image stay for the next run.
LEFT: Final = tuple(WORK / name for name in ("plans", "scratch", "downloaded", "unpacked"))


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("rows", nargs="+", choices=NAMES)
    arguments = parser.parse_args()
    for folder in (WORK, HOME):
        folder.mkdir(exist_ok=True)
    say_if_busy()
    try:
        return run(arguments.rows, workbench(quick=arguments.quick))
    finally:
        for folder in (HOME, *LEFT):
            shutil.rmtree(folder, ignore_errors=True)


def run(rows: Sequence[str], bench: Workbench) -> int:
    """1 where a row could not be measured; the others are, all the same."""
    failed = False
    for name in rows:
        print(name, file=sys.stderr, flush=True)
        try:
            ROWS[name](bench)
        except CommandFailed as error:
            print(f"{name}: {error}", file=sys.stderr, flush=True)
            failed = True
    return 1 if failed else 0


def say_if_busy() -> None:
    """What runs beside a measurement takes part in it."""
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load > cores / 2:
        text = f"this machine is busy (load {load:.1f} on {cores} cores): expect wrong ratios"
        print(text, file=sys.stderr, flush=True)


def workbench(*, quick: bool) -> Workbench:
    def show(result: Result) -> None:
        print(encode(result), flush=True)

    if quick:
        return Workbench(size=256 * MIB, runs=3, short_runs=5, objects=1000, results=show)
    return Workbench(size=1024 * MIB, runs=3, short_runs=15, objects=1000, results=show)


if __name__ == "__main__":
    sys.exit(main())
