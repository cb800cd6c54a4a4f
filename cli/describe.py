"""``prominence describe``: everything known of one job or workflow."""

from typing import TYPE_CHECKING

import click

from prominence_hpc.cli.flags import flag_options
from prominence_hpc.cli.ids import Reference, is_workflow
from prominence_hpc.cli.output import print_json, warn

if TYPE_CHECKING:
    from prominence_hpc.adapter.workspace import Workspace

__all__ = ["describe_command"]


@click.command("describe", cls=Reference)
@click.option("-i", "--input", "as_submitted", is_flag=True, help="Only what was submitted.")
@click.option("--json", is_flag=True, expose_value=False, help="Accepted: the output is JSON.")
@flag_options
@click.argument("number", metavar="[job|workflow] ID", type=int)
def describe_command(*, number: int, as_submitted: bool) -> None:
    """Describe a job or a workflow: a JSON list of one object."""
    from prominence_hpc.cli.session import workspace

    session = workspace()
    if is_workflow(session, number):
        describe_workflow(session, number, as_submitted=as_submitted)
    else:
        describe_job(session, number, as_submitted=as_submitted)


def describe_job(session: "Workspace", number: int, *, as_submitted: bool) -> None:
    from prominence_hpc.adapter.jobs import describe, submitted_document

    if as_submitted:
        from prominence_hpc.adapter.describe import document_without_secrets

        print_json([document_without_secrets(submitted_document(session, number))])
        return
    document, warnings = describe(session, number)
    for warning in warnings:
        warn(warning)
    print_json([document])


def describe_workflow(session: "Workspace", number: int, *, as_submitted: bool) -> None:
    from prominence_hpc.adapter.workflows import describe

    if as_submitted:
        print_json([describe.submitted_workflow(session, number)])
        return
    known, warnings = describe.gather(session, number)
    for warning in warnings:
        warn(warning)
    print_json([describe.describe_workflow(known)])
