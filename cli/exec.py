"""``prominence exec``: a command in a running job."""

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from prominence_hpc.cli.flags import flag_options
from prominence_hpc.cli.output import warn

if TYPE_CHECKING:
    from prominence_hpc.adapter.remote.execute import Command, Controls, Ended, Streams, Terminal

__all__ = ["exec_command"]

# What makes a text more than the name of a program: then a shell is to read it.
SHELL_CHARACTERS = frozenset(" \t\n|&;<>()$`\\\"'*?[]#~=%{}!")
# Options that take a value, which is no part of the command; of short ones in a row the last does.
WITH_VALUE = ("--node", "--timeout")
SHORT_WITH_VALUE = "n"


class ExecCommand(click.Command):
    """``exec [options] [job] ID [options] [--] COMMAND…``: after the ID's options all is COMMAND."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        before, command, exact = split_command(args)
        ctx.meta["exact"] = exact
        return super().parse_args(ctx, [*before, *(["--", *command] if command else [])])


def split_command(args: list[str]) -> tuple[list[str], list[str], bool]:
    """What is ours, the command's words, and whether ``--`` marked them as exact.

    >>> split_command(["-it", "3", "-n", "1", "sh", "-c", "ls"])
    (['-it', '3', '-n', '1'], ['sh', '-c', 'ls'], False)
    >>> split_command(["job", "3", "--", "my tool"])
    (['3'], ['my tool'], True)
    """
    ours: list[str] = []
    words = iter(range(len(args)))
    have_id = False
    for index in words:
        word = args[index]
        if word == "--":
            return ours, args[index + 1 :], True
        if word.startswith("-"):
            ours.append(word)
            if takes_value(word) and index + 1 < len(args):
                ours.append(args[next(words)])
        elif have_id:
            return ours, args[index:], False
        elif word != "job":
            have_id = True
            ours.append(word)
    return ours, [], False


def takes_value(option: str) -> bool:
    """Whether the next word belongs to this option.

    >>> takes_value("--node"), takes_value("-itn"), takes_value("-n1"), takes_value("--node=1")
    (True, True, False, False)
    """
    if option.startswith("--"):
        return option in WITH_VALUE
    return option.find(SHORT_WITH_VALUE) == len(option) - 1


@click.command("exec", cls=ExecCommand)
@click.option(
    "-n", "--node", type=int, default=0, metavar="N", help="On node N of the job, from 0."
)
@click.option("--host", is_flag=True, help="Beside the container, in the job's scratch directory.")
@click.option("-i", "--interactive", is_flag=True, help="Pass standard input on.")
@click.option("-t", "--tty", is_flag=True, help="Give the command a terminal; implies -i.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="End the command after so long, with exit code 124.",
)
@flag_options
@click.argument("job_id", metavar="[job] ID", type=int)
@click.argument("command", metavar="[--] COMMAND...", nargs=-1, required=True)
@click.pass_context
def exec_command(
    ctx: click.Context,
    *,
    job_id: int,
    command: tuple[str, ...],
    node: int,
    host: bool,
    interactive: bool,
    tty: bool,
    timeout: float | None,
) -> int:
    """Run COMMAND in a running job, in the container of the task that runs now.

    It has the task's files, environment and working directory; its exit code is that of this
    command. One word with blanks in it ("ls -l | wc") is read by a shell in the container. Ctrl-C
    ends the command. What it leaves running ends with it.
    """
    from prominence_hpc.adapter.remote.execute import Command, Controls
    from prominence_hpc.adapter.remote.reach import visit_job
    from prominence_hpc.cli.session import workspace

    terminal = own_terminal() if tty else None
    asked = Command(
        argv=words_of(command, exact=ctx.meta["exact"]),
        beside=host,
        terminal=terminal,
        timeout_seconds=timeout,
    )
    # Closed before we began, it is None: there is nothing to read then.
    stdin = sys.stdin.fileno() if (interactive or tty) and sys.stdin is not None else None
    with visit_job(workspace(), job_id, node) as visit:
        for warning in visit.warnings:
            warn(warning)
        ended = run(visit, asked, streams_of(stdin), Controls())
    say_end(job_id, ended)
    return ended.exit_code


def words_of(command: tuple[str, ...], *, exact: bool) -> list[str]:
    """One text, as PROMINENCE has always taken it, is a shell's to read; words are words."""
    if exact or len(command) > 1 or not SHELL_CHARACTERS & set(command[0]):
        return list(command)
    return ["/bin/sh", "-c", command[0]]


def own_terminal() -> "Terminal":
    import os

    from prominence_hpc.adapter.remote.execute import Terminal
    from prominence_hpc.cli.terminal import terminal_size

    if sys.stdin is None or not sys.stdin.isatty():
        msg = "-t needs a terminal, and standard input is none; -i alone passes it on."
        raise click.UsageError(msg)
    columns, rows = terminal_size()
    return Terminal(columns=columns, rows=rows, kind=os.environ.get("TERM", "dumb"))


def streams_of(stdin: int | None) -> "Streams":
    """Ours, without a buffer between."""
    from prominence_hpc.adapter.remote.execute import Streams

    return Streams(stdin=stdin, stdout=writer(1), stderr=writer(2))


def writer(descriptor: int) -> Any:
    import os

    def write(data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]

    return write


def run(visit: Any, command: "Command", streams: "Streams", controls: "Controls") -> "Ended":
    from prominence_hpc.adapter.remote.execute import execute
    from prominence_hpc.cli.terminal import (
        ending_by_signals,
        on_interrupt,
        on_resize,
        raw_terminal,
        terminal_size,
    )

    with ExitStack() as stack:
        stack.enter_context(ending_by_signals())
        if command.terminal is not None:
            stack.enter_context(raw_terminal())
            stack.enter_context(on_resize(controls.resize))
            controls.resize(*terminal_size())  # it may have changed on the way there
        else:
            signals = [lambda: controls.signal("INT"), lambda: controls.signal("KILL")]
            stack.enter_context(on_interrupt(signals))
        return execute(visit, command, streams, controls)


def say_end(job_id: int, ended: "Ended") -> None:
    """What ended the command, where it was not itself."""
    if ended.ended_by == "timeout":
        warn("the command was ended: its time is up")
    elif ended.ended_by == "task":
        warn(f"the command was ended with the task of job {job_id} that it ran beside")
    elif ended.ended_by == "job":
        warn(f"the command was ended with job {job_id}")
