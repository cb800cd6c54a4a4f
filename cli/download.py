"""``prominence download``: outputs of finished jobs."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from prominence_hpc.cli.flags import flag_options, json_option
from prominence_hpc.cli.ids import JobReference
from prominence_hpc.cli.labels import constraint_option, labels_of
from prominence_hpc.cli.output import print_json
from prominence_hpc.cli.progress import progress_bar

if TYPE_CHECKING:
    from prominence_hpc.adapter.store.records import JobRecord
    from prominence_hpc.adapter.workspace import Workspace

__all__ = ["download_command"]


@click.command("download", cls=JobReference)
@click.option("-f", "--force", is_flag=True, help="Replace files that exist.")
@click.option("--dir", "folder_per_job", is_flag=True, help="Put files into a folder named ID.")
@click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    metavar="N",
    help="Files fetched at the same time.",
)
@constraint_option
@json_option
@flag_options
@click.argument("job_ids", metavar="[job] [ID]...", type=int, nargs=-1)
def download_command(
    *,
    job_ids: tuple[int, ...],
    force: bool,
    folder_per_job: bool,
    concurrency: int,
    constraints: tuple[str, ...],
    as_json: bool,
) -> None:
    """Download the output files and directories of jobs into the current folder.

    Names are the files' own; a directory D comes as D.tgz. Give job IDs, or --constraint to take
    every ended job that carries these labels.
    """
    from prominence_hpc.adapter.download import download_all, find_downloads
    from prominence_hpc.cli.session import workspace

    session = workspace()
    records = chosen(session, job_ids, constraints)
    downloads = find_downloads(session, records, Path(), folder_per_job=folder_per_job)
    with progress_bar("Downloading", sum(item.size_bytes for item in downloads)) as progress:
        download_all(session, downloads, force=force, concurrency=concurrency, progress=progress)
    files = [str(item.target) for item in downloads]
    print_json(files) if as_json else click.echo("\n".join(files))


def chosen(
    session: "Workspace", job_ids: tuple[int, ...], constraints: tuple[str, ...]
) -> "list[JobRecord]":
    from prominence_hpc.adapter.jobs import Selection, list_jobs, up_to_date

    if bool(job_ids) == bool(constraints):
        msg = "Give the IDs of jobs, or --constraint KEY=VALUE."
        raise click.UsageError(msg)
    if job_ids:
        return up_to_date(session, job_ids).records
    return list_jobs(session, Selection(which="completed", labels=labels_of(constraints))).records
