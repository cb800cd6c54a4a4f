"""``prominence stdout`` and ``stderr``: what a job has written."""

import sys
from typing import TYPE_CHECKING

import click

from prominence_hpc.cli.flags import flag_options
from prominence_hpc.cli.ids import JobReference
from prominence_hpc.cli.output import warn

if TYPE_CHECKING:
    from prominence_hpc.backends.base import Stream

__all__ = ["stderr_command", "stdout_command"]


@click.command("stdout", cls=JobReference)
@flag_options
@click.argument("job_id", metavar="[job] ID", type=int)
def stdout_command(*, job_id: int) -> None:
    """Print what a job's tasks have written to standard output, while it runs or after."""
    print_stream(job_id, "stdout")


@click.command("stderr", cls=JobReference)
@flag_options
@click.argument("job_id", metavar="[job] ID", type=int)
def stderr_command(*, job_id: int) -> None:
    """Print what a job's tasks have written to standard error, while it runs or after."""
    print_stream(job_id, "stderr")


def print_stream(job_id: int, stream: "Stream") -> None:
    """Bytes as they are: a job's output need not be text."""
    from prominence_hpc.adapter.jobs import read_stream
    from prominence_hpc.cli.session import workspace

    record, blocks = read_stream(workspace(), job_id, stream)
    written = 0
    for block in blocks:
        sys.stdout.buffer.write(block)
        written += len(block)
    sys.stdout.buffer.flush()
    if not written and record.status == "failed":
        warn(f"Job {job_id} failed and wrote nothing: {record.status_reason}")
