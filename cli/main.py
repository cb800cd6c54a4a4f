"""The command ``prominence``: finds the subcommand, prints what goes wrong, sets the exit code.

Nothing but click is imported here: each subcommand's module is imported when it is typed.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from prominence_hpc import __version__
from prominence_hpc.cli.flags import Flags, flag_options
from prominence_hpc.errors import ProminenceError, SpecError

__all__ = ["COMMANDS", "cli", "entry", "main"]

INTERRUPTED = 130  # 128 + SIGINT, as shells have it

# Subcommand -> module of prominence_hpc.cli; the function has the subcommand's name.
COMMANDS = {
    "create": "create",
    "run": "run",
    "clone": "clone",
    "rerun": "clone",
    "list": "list",
    "describe": "describe",
    "wait": "wait",
    "watch": "watch",
    "graph": "graph",
    "exec": "exec",
    "snapshot": "snapshot",
    "stdout": "streams",
    "stderr": "streams",
    "logs": "streams",
    "download": "download",
    "delete": "delete",
    "remove": "delete",
    "upload": "objects",
    "ls": "objects",
    "rm": "objects",
    "config": "config",
    "register": "account",
    "login": "account",
}


class LazyGroup(click.Group):
    """A group that imports a subcommand's module only when that subcommand is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        command: click.Command = getattr(
            import_module(f"prominence_hpc.cli.{module}"), f"{cmd_name}_command"
        )
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", prog_name="prominence")
@flag_options
def cli() -> None:
    """Run PROMINENCE jobs on this cluster's own scheduler (Slurm or HTCondor).

    Upload what a job needs, create it, follow it, download its output:

    \b
      prominence upload --name image.sif --filename image.sif
      prominence create --name test --output out.txt image.sif "sh -c 'date > out.txt'"
      prominence list
      prominence download 1

    Exit codes: 0 done; 1 failed; 2 wrong usage or job description; 3 configuration;
    4 no such job, object or file; 5 object storage; 6 the scheduler refused;
    7 the scheduler did not answer; 8 something is in the way; 9 a job's node cannot be reached.
    "prominence wait" and "exec" add their own.
    """


def entry() -> None:
    """The installed program: as :func:`main`, and gone at once.

    The interpreter would take longer to put away all its modules than some commands take.
    """
    import os

    code = 1
    try:
        main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    for stream in (sys.stdout, sys.stderr):
        if stream is None:  # it was closed before we began
            continue
        try:
            stream.flush()
        except (OSError, ValueError):  # nobody reads it any more
            code = code or 1
    os._exit(code)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code. Every error is printed here, once."""
    flags = Flags()
    sys.exit(run(sys.argv[1:] if arguments is None else list(arguments), flags))


def run(arguments: list[str], flags: Flags) -> int:
    try:
        result: Any = cli.main(
            args=arguments, prog_name="prominence", standalone_mode=False, obj=flags
        )
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("prominence: interrupted", err=True)
        return INTERRUPTED
    except ProminenceError as error:
        if flags.debug:
            raise
        report(error)
        return error.exit_code
    except BrokenPipeError:
        discard_output()
        return 1
    except Exception as error:
        if flags.debug:
            raise
        kind = type(error).__name__
        click.echo(
            f"prominence: internal error ({kind}: {error}); "
            "please report it with the output of the same command and --debug",
            err=True,
        )
        return 1
    return result if isinstance(result, int) else 0


def report(error: ProminenceError) -> None:
    """Print an error's sentence, or each problem of a description on a line of its own."""
    if isinstance(error, SpecError) and len(error.problems) > 1:
        click.echo(f"prominence: the description has {len(error.problems)} problems:", err=True)
        for problem in error.problems:
            click.echo(f"  {problem}", err=True)
        return
    click.echo(f"prominence: {error}", err=True)


def discard_output() -> None:
    """The reader of our output is gone: keep the interpreter from complaining at its end."""
    import os  # only on this path

    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())


if __name__ == "__main__":
    main()
