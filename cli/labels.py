"""``--constraint KEY=VALUE``."""

from collections.abc import Sequence

import click

__all__ = ["constraint_option", "labels_of"]

constraint_option = click.option(
    "--constraint",
    "constraints",
    multiple=True,
    metavar="K=V",
    help="Only jobs that carry this label.  [repeatable]",
)


def labels_of(constraints: Sequence[str]) -> dict[str, str]:
    """The labels that a job must carry; a usage error where one is not KEY=VALUE."""
    pairs = [constraint.partition("=") for constraint in constraints]
    for key, equals, value in pairs:
        if not (key and equals):
            msg = f"--constraint takes KEY=VALUE, not {key + equals + value!r}."
            raise click.UsageError(msg)
    return {key: value for key, _, value in pairs}
