"""``prominence stdout`` and ``stderr``: what a job has written."""

import sys
from typing import TYPE_CHECKING

import click

from prominence_hpc.cli.flags import flag_options
from prominence_hpc.cli.ids import JobReference

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

    for block in read_stream(workspace(), job_id, stream):
        sys.stdout.buffer.write(block)
    sys.stdout.buffer.flush()
