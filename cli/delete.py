"""``prominence delete`` and ``remove``."""

import click

from prominence_hpc.cli.flags import flag_options, json_option
from prominence_hpc.cli.ids import JobReference
from prominence_hpc.cli.output import print_json, warn

__all__ = ["delete_command", "remove_command"]


@click.command("delete", cls=JobReference)
@json_option
@flag_options
@click.argument("job_ids", metavar="[job] ID...", type=int, nargs=-1, required=True)
def delete_command(*, job_ids: tuple[int, ...], as_json: bool) -> None:
    """End jobs that wait or run."""
    from prominence_hpc.adapter.jobs import delete
    from prominence_hpc.cli.session import workspace

    for warning in delete(workspace(), job_ids):
        warn(warning)
    print_json({"deleted": list(job_ids)}) if as_json else click.echo("Success")


@click.command("remove", cls=JobReference)
@json_option
@flag_options
@click.argument("job_ids", metavar="[job] ID...", type=int, nargs=-1, required=True)
def remove_command(*, job_ids: tuple[int, ...], as_json: bool) -> None:
    """Take ended jobs that were left in the queue off the list."""
    from prominence_hpc.adapter.jobs import remove
    from prominence_hpc.cli.session import workspace

    remove(workspace(), job_ids)
    print_json({"removed": list(job_ids)}) if as_json else click.echo("Job removed from queue")
