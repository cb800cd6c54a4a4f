"""``describe job 12`` and ``describe 12`` are the same, and so are ``delete workflow 12`` and ``delete 12``.

Jobs and workflows are numbered together, so that the word before a number is never needed.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import click

if TYPE_CHECKING:
    from prominence_hpc.adapter.workspace import Workspace

__all__ = ["JobReference", "Reference", "is_workflow", "options_with_value", "parted"]

Kind = Literal["job", "workflow"]

_META = "prominence_hpc.cli.ids.kind"


def options_with_value(command: click.Command) -> set[str]:
    """Names of the options of a command after which a value follows."""
    return {
        name
        for option in command.params
        if isinstance(option, click.Option) and not option.is_flag
        for name in option.opts
    }


class JobReference(click.Command):
    """A command about jobs: its arguments may begin with the word ``job``, as PROMINENCE's do."""

    words: tuple[Kind, ...] = ("job",)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        at = self.first_argument(args)
        word = args[at] if at < len(args) else ""
        if word in self.words:
            ctx.meta[_META] = word
            args = args[:at] + args[at + 1 :]
        elif word == "workflow":
            msg = f"'prominence {self.name}' is about one job; name a job of the workflow."
            raise click.UsageError(msg, ctx)
        return super().parse_args(ctx, args)

    def first_argument(self, args: list[str]) -> int:
        """Where the first word is that is neither an option nor an option's value."""
        with_value = options_with_value(self)
        at = 0
        while at < len(args) and args[at].startswith("-"):
            at += 2 if args[at] in with_value else 1
        return at


class Reference(JobReference):
    """A command about jobs and workflows: either word may come first."""

    words = ("job", "workflow")


def is_workflow(session: "Workspace", number: int) -> bool:
    """Whether ``number`` is a workflow's; a usage error where the word before it says otherwise."""
    kind = click.get_current_context().meta.get(_META)
    found = session.store.workflows.exists(number)
    if kind == "job" and found:
        msg = f"{number} is a workflow, not a job."
        raise click.UsageError(msg)
    if kind == "workflow" and not found:
        session.store.workflows.get(number)  # says that there is none
    return found


def parted(session: "Workspace", numbers: Sequence[int]) -> tuple[list[int], list[int]]:
    """Workflows and jobs among these numbers, each once."""
    once = list(dict.fromkeys(numbers))
    workflows = [number for number in once if is_workflow(session, number)]
    return workflows, [number for number in once if number not in workflows]
