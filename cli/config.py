"""``prominence config``: what is configured, and where each value came from."""

from typing import Any

import click

from prominence_hpc.cli.flags import flag_options, json_option, site_option
from prominence_hpc.cli.output import print_columns, print_json, printable

__all__ = ["config_command"]


@click.command("config")
@site_option
@json_option
@flag_options
def config_command(*, site: str | None, as_json: bool) -> None:
    """Show the configuration: each key, its value, and where it came from.

    And for each Slurm site whether it is spoken to through pyslurm or by Slurm's commands, and why.
    """
    import os

    from prominence_hpc.adapter.config.load import load_config, settings_of
    from prominence_hpc.adapter.config.transports import transports_in_use

    config = load_config(environ=os.environ, site=site)
    settings = list(settings_of(config))
    transports = transports_in_use(config)
    if as_json:
        document = {item.key: {"value": item.value, "origin": item.origin} for item in settings}
        for name, used in transports.items():
            document[f"sites.{name}.slurm_transport"] |= {"inUse": used.name, "why": used.reason}
        print_json(document)
        return
    rows = [(item.key, shown(item.value), item.origin) for item in settings]
    print_columns(("KEY", "VALUE", "FROM"), rows)
    for name, used in transports.items():
        click.echo(
            f"Site {printable(name)} speaks to Slurm by {used.name}: {printable(used.reason)}."
        )


def shown(value: Any) -> str:
    """As the configuration file would have it; nothing for what is not set."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(f'"{item}"' for item in value) + "]"
    return str(value)
