"""``prominence download``: outputs of finished jobs."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from prominence_hpc.cli.flags import flag_options, json_option
from prominence_hpc.cli.ids import Reference, is_workflow
from prominence_hpc.cli.labels import constraint_option, labels_of
from prominence_hpc.cli.output import print_json, warn
from prominence_hpc.cli.progress import progress_bar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prominence_hpc.adapter.store.records import JobRecord
    from prominence_hpc.adapter.workspace import Workspace

__all__ = ["download_command"]


@click.command("download", cls=Reference)
@click.option("-f", "--force", is_flag=True, help="Replace files that exist.")
@click.option(
    "--dir",
    "folder_per_job",
    is_flag=True,
    help="Put files into a folder named ID; of a workflow's jobs ID/JOB or ID/JOB/INDEX.",
)
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
@click.argument("numbers", metavar="[job|workflow] [ID]...", type=int, nargs=-1)
def download_command(
    *,
    numbers: tuple[int, ...],
    force: bool,
    folder_per_job: bool,
    concurrency: int,
    constraints: tuple[str, ...],
    as_json: bool,
) -> None:
    """Download the output files and directories of jobs, or of all jobs of workflows, into the current folder.

    Names are the files' own; a directory D comes as D.tgz. Of a workflow whatever has ended is taken.
    Give IDs, or --constraint to take every ended job that carries these labels; with a workflow's
    ID those of its jobs that do.
    """
    from prominence_hpc.adapter.download import download_all, find_downloads
    from prominence_hpc.cli.session import workspace

    session = workspace()
    records = chosen(session, numbers, labels_of(constraints))
    downloads = find_downloads(session, records, Path(), folder_per_job=folder_per_job)
    with progress_bar("Downloading", sum(item.size_bytes for item in downloads)) as progress:
        download_all(session, downloads, force=force, concurrency=concurrency, progress=progress)
    files = [str(item.target) for item in downloads]
    print_json(files) if as_json else click.echo("\n".join(files))


def chosen(
    session: "Workspace", numbers: tuple[int, ...], labels: "Mapping[str, str]"
) -> "list[JobRecord]":
    """The jobs whose outputs are wanted; what of a workflow has not ended is told."""
    from prominence_hpc.adapter.jobs import Selection, list_jobs, up_to_date

    if not numbers and not labels:
        msg = "Give the IDs of jobs or workflows, or --constraint KEY=VALUE."
        raise click.UsageError(msg)
    if not numbers:
        return list_jobs(session, Selection(which="completed", labels=labels)).records
    workflows = [number for number in numbers if is_workflow(session, number)]
    jobs = [number for number in numbers if number not in workflows]
    if jobs and labels:
        msg = "--constraint chooses among all jobs, or among those of a workflow: name no job with it."
        raise click.UsageError(msg)
    records = up_to_date(session, jobs).records if jobs else []
    for number in workflows:
        records += ended_jobs(session, number, labels)
    return records


def ended_jobs(session: "Workspace", number: int, labels: "Mapping[str, str]") -> "list[JobRecord]":
    from prominence_hpc.adapter.workflows.jobs import jobs_with_results

    records, warnings = jobs_with_results(session, number)
    ended = [
        record for record in records if record.final and labels.items() <= record.labels.items()
    ]
    active = sum(not record.final for record in records)
    if active:
        warnings.append(f"{active} jobs of workflow {number} have not ended: theirs are left out.")
    for warning in warnings:
        warn(warning)
    return ended
