"""``prominence delete`` and ``remove``."""

import click

from prominence_hpc.cli.flags import flag_options, json_option
from prominence_hpc.cli.ids import Reference, parted
from prominence_hpc.cli.output import print_json, warn

__all__ = ["delete_command", "remove_command"]


@click.command("delete", cls=Reference)
@json_option
@flag_options
@click.argument("numbers", metavar="[job|workflow] ID...", type=int, nargs=-1, required=True)
def delete_command(*, numbers: tuple[int, ...], as_json: bool) -> None:
    """End jobs that wait or run, or all of workflows."""
    from prominence_hpc.adapter.jobs import delete
    from prominence_hpc.cli.session import workspace

    session = workspace()
    workflows, jobs = parted(session, numbers)
    warnings = delete(session, jobs) if jobs else []
    for number in workflows:
        from prominence_hpc.adapter.workflows.jobs import delete_workflow

        warnings += delete_workflow(session, number)
    for warning in warnings:
        warn(warning)
    print_json({"deleted": list(numbers)}) if as_json else click.echo("Success")


@click.command("remove", cls=Reference)
@json_option
@flag_options
@click.argument("numbers", metavar="[job|workflow] ID...", type=int, nargs=-1, required=True)
def remove_command(*, numbers: tuple[int, ...], as_json: bool) -> None:
    """Take ended jobs, or workflows, that were left in the queue off the list."""
    from prominence_hpc.adapter.jobs import remove
    from prominence_hpc.cli.session import workspace

    session = workspace()
    workflows, jobs = parted(session, numbers)
    if jobs:
        remove(session, jobs)
    for number in workflows:
        from prominence_hpc.adapter.workflows.jobs import remove_workflow

        remove_workflow(session, number)
    what = "Workflow" if workflows and not jobs else "Job"
    print_json({"removed": list(numbers)}) if as_json else click.echo(f"{what} removed from queue")
