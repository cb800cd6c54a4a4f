"""``prominence config``: what is configured, and where each value came from."""

from typing import Any

import click

from prominence_hpc.cli.flags import flag_options, json_option, site_option
from prominence_hpc.cli.output import print_columns, print_json

__all__ = ["config_command"]


@click.command("config")
@site_option
@json_option
@flag_options
def config_command(*, site: str | None, as_json: bool) -> None:
    """Show the configuration: each key, its value, and where it came from."""
    import os

    from prominence_hpc.adapter.config.load import load_config, settings_of

    settings = list(settings_of(load_config(environ=os.environ, site=site)))
    if as_json:
        print_json({item.key: {"value": item.value, "origin": item.origin} for item in settings})
        return
    rows = [(item.key, shown(item.value), item.origin) for item in settings]
    print_columns(("KEY", "VALUE", "FROM"), rows)


def shown(value: Any) -> str:
    """As the configuration file would have it; nothing for what is not set."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(f'"{item}"' for item in value) + "]"
    return str(value)
