"""``prominence stdout``, ``stderr`` and ``logs``: what a job has written."""

import sys
from typing import TYPE_CHECKING, Any

import click

from prominence_hpc.cli.flags import Command, flag_options
from prominence_hpc.cli.ids import JobReference, Reference, is_workflow
from prominence_hpc.cli.output import warn
from prominence_hpc.errors import UsageError

if TYPE_CHECKING:
    from prominence_hpc.adapter.remote.follow import LogName
    from prominence_hpc.adapter.workspace import Workspace
    from prominence_hpc.backends.base import Stream

__all__ = ["logs_command", "stderr_command", "stdout_command"]


id_argument = click.argument("number", metavar="[job|workflow] ID", type=int)
job_argument = click.argument("job", metavar="[JOB", required=False)
index_argument = click.argument("index", metavar="[INDEX]]", type=int, required=False)
tail_option = click.option(
    "-t", "--tail", is_flag=True, help="Go on as the job writes, until it has ended."
)
node_option = click.option(
    "-n", "--node", type=int, default=0, metavar="N", help="Of node N of the job, from 0."
)
attempt_option = click.option(
    "--attempt",
    type=click.IntRange(min=1),
    metavar="N",
    help="Of attempt N of a job that was run again, from 1.  [default: the last]",
)


def stream_options(function: Command) -> Command:
    """What ``stdout`` and ``stderr`` take."""
    for option in (
        index_argument,
        job_argument,
        id_argument,
        flag_options,
        attempt_option,
        node_option,
        tail_option,
    ):
        function = option(function)
    return function


@click.command("stdout", cls=Reference)
@stream_options
def stdout_command(*, number: int, job: str | None, index: int | None, **options: Any) -> None:
    """Print what a job's tasks have written to standard output, while it runs or after.

    ID is a job's; or a workflow's, and JOB the name of one of its jobs, with INDEX where a factory
    makes it.
    """
    print_stream(*found_job(number, job, index), "stdout", **options)


@click.command("stderr", cls=Reference)
@stream_options
def stderr_command(*, number: int, job: str | None, index: int | None, **options: Any) -> None:
    """Print what a job's tasks have written to standard error, while it runs or after.

    ID is a job's; or a workflow's, and JOB the name of one of its jobs, with INDEX where a factory
    makes it.
    """
    print_stream(*found_job(number, job, index), "stderr", **options)


def found_job(number: int, job: str | None, index: int | None) -> "tuple[Workspace, int]":
    """The workspace, and the job that is meant."""
    from prominence_hpc.cli.session import workspace

    session = workspace()
    if is_workflow(session, number):
        from prominence_hpc.adapter.workflows.jobs import find_job

        return session, find_job(session, number, job, index)
    if job is not None:
        if not session.store.get_many([number]):
            session.store.workflows.get(number)  # says that there is none
        msg = f"{number} is a job: nothing comes after it but options."
        raise UsageError(msg)
    return session, number


def print_stream(
    session: "Workspace",
    job_id: int,
    stream: "Stream",
    *,
    tail: bool,
    node: int,
    attempt: int | None,
) -> None:
    """Bytes as they are: a job's output need not be text."""
    if tail and attempt is not None:
        msg = "--tail goes on to the last attempt of a job: give either --tail or --attempt."
        raise UsageError(msg)
    from prominence_hpc.adapter.jobs import read_stream
    from prominence_hpc.adapter.remote.follow import check_node_of_streams, follow, nodes_of, so_far
    from prominence_hpc.cli.terminal import ending_by_signals

    check_node_of_streams(session, job_id, node)
    if tail:
        with ending_by_signals():
            for _, block in follow(session, job_id, [stream], warn, node):
                write(block)
        return
    # HTCondor's condor_tail knows jobs of one node.
    if attempt is None and nodes_of(session, job_id) > 1:
        for _, block in so_far(session, job_id, [stream], node):
            write(block)
        return
    record, blocks = read_stream(session, job_id, stream, attempt)
    written = sum(map(write, blocks))
    if not written and record.status == "failed":
        warn(f"Job {job_id} failed and wrote nothing: {record.status_reason}")


def write(block: bytes) -> int:
    """At once, for those who watch."""
    sys.stdout.buffer.write(block)
    sys.stdout.buffer.flush()
    return len(block)


@click.command("logs", cls=JobReference)
@click.option("-f", "--follow", "following", is_flag=True, help="Go on until the job has ended.")
@node_option
@flag_options
@click.argument("job_id", metavar="[job] ID", type=int)
def logs_command(*, job_id: int, following: bool, node: int) -> None:
    """Print both streams of a job, and what its wrapper did when.

    Standard output comes on standard output; standard error, and the wrapper's lines after "|",
    on standard error.
    """
    from prominence_hpc.adapter.remote.follow import check_node_of_streams, follow, so_far
    from prominence_hpc.cli.session import workspace
    from prominence_hpc.cli.terminal import ending_by_signals

    session = workspace()
    check_node_of_streams(session, job_id, node)
    names: list[LogName] = ["wrapper.log", "stdout", "stderr"]
    pieces = (
        follow(session, job_id, names, warn, node)
        if following
        else so_far(session, job_id, names, node)
    )
    lines = WrapperLines()
    with ending_by_signals():
        for name, block in pieces:
            if name == "stdout":
                write(block)
            else:
                sys.stderr.buffer.write(lines.shown(block) if name == "wrapper.log" else block)
                sys.stderr.buffer.flush()


class WrapperLines:
    """``wrapper.log`` in whole lines, its time of day, and a mark before each."""

    def __init__(self) -> None:
        self._begun = b""

    def shown(self, block: bytes) -> bytes:
        """Every line that is whole with this block.

        >>> WrapperLines().shown(b"2026-11-25T03:36:24.123Z task 0: begins\\nhalf")
        b'| 03:36:24 task 0: begins\\n'
        """
        *lines, self._begun = (self._begun + block).split(b"\n")
        return b"".join(b"| " + short(line) + b"\n" for line in lines)


def short(line: bytes) -> bytes:
    stamp, _, rest = line.partition(b" ")
    return stamp[11:19] + b" " + rest
