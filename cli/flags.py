"""Options that every command takes, and those that many do."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

__all__ = ["Command", "Flags", "flag_options", "json_option", "site_option"]

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass
class Flags:
    """What the command line said about this run as a whole."""

    verbose: bool = False
    debug: bool = False


def set_verbose(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.find_object(Flags).verbose:  # type: ignore[union-attr]  # main() gives one
        ctx.find_object(Flags).verbose = True  # type: ignore[union-attr]
        log_to_standard_error()


def set_debug(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        ctx.find_object(Flags).debug = True  # type: ignore[union-attr]


def log_to_standard_error() -> None:
    """Show what the modules below log: scheduler commands, requests, decisions."""
    import logging  # not needed unless asked for

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logger = logging.getLogger("prominence_hpc")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)


def flag_options(function: Command) -> Command:
    """``-v`` and ``--debug``, before or after the subcommand's name."""
    verbose = click.option(
        "-v",
        "--verbose",
        is_flag=True,
        expose_value=False,
        callback=set_verbose,
        help="Say on standard error what is being done.",
    )
    debug = click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        callback=set_debug,
        help="Show a traceback when something fails.",
    )
    return verbose(debug(function))


site_option = click.option(
    "--site", metavar="NAME", help="Use this site of the configuration instead of the default one."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
