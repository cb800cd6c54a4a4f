"""``prominence register`` and ``login``: PROMINENCE's identity provider has no part here."""

import click

from prominence_hpc.cli.flags import flag_options

__all__ = ["login_command", "register_command"]

EXPLANATION = (
    "Nothing to do: you are logged in to this cluster, and jobs are submitted as you. "
    "There is no PROMINENCE server here, so there is no client to register and no token to fetch."
)


@click.command("register")
@flag_options
def register_command() -> None:
    """Explain why nothing needs to be registered here."""
    click.echo(EXPLANATION)


@click.command("login")
@flag_options
def login_command() -> None:
    """Explain why no login is needed here."""
    click.echo(EXPLANATION)
