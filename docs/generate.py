"""Writes docs/reference/commands.md from the commands themselves; --check fails where it is stale."""

import argparse
import sys
from pathlib import Path

import click

from prominence_hpc.cli.main import COMMANDS, cli

PAGE = Path(__file__).parent / "reference" / "commands.md"
WIDTH = 90
HEAD = """\
# Commands

Written by `make docs` from the commands' own help; `prominence COMMAND --help` shows the same.
"""


def page() -> str:
    """The whole page."""
    context = click.Context(cli, info_name="prominence", terminal_width=WIDTH)
    sections = [HEAD, section("prominence", cli, context)]
    for name in COMMANDS:
        command = cli.get_command(context, name)
        if command is None:
            msg = f"the command {name} is listed but cannot be imported"
            raise SystemExit(msg)
        child = click.Context(command, info_name=name, parent=context, terminal_width=WIDTH)
        sections.append(section(f"prominence {name}", command, child))
    return "\n".join(sections)


def section(title: str, command: click.Command, context: click.Context) -> str:
    return f"## {title}\n\n```text\n{command.get_help(context)}\n```\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail instead of writing")
    text = page()
    if not parser.parse_args().check:
        PAGE.write_text(text, encoding="utf-8")
        return 0
    if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        sys.stderr.write(f"{PAGE.name} is not what the commands say: run 'make docs'\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
