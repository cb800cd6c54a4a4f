"""``describe job 12`` and ``describe 12`` are the same."""

import click

__all__ = ["JobReference"]


class JobReference(click.Command):
    """A command whose arguments may begin with the word ``job``, as PROMINENCE's do."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        words = [index for index, word in enumerate(args) if not word.startswith("-")]
        if words and args[words[0]] == "workflow":
            msg = "Workflows are not offered by this version; name a job."
            raise click.UsageError(msg, ctx)
        if words and args[words[0]] == "job":
            args = args[: words[0]] + args[words[0] + 1 :]
        return super().parse_args(ctx, args)
