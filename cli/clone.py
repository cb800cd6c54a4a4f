"""``prominence clone`` and ``rerun``: a job or workflow once more."""

import click

from prominence_hpc.cli.flags import flag_options, json_option, site_option
from prominence_hpc.cli.ids import Reference, is_workflow
from prominence_hpc.cli.output import warn

__all__ = ["clone_command", "rerun_command"]


@click.command("clone", cls=Reference)
@site_option
@json_option
@flag_options
@click.argument("number", metavar="[job|workflow] ID", type=int)
def clone_command(*, number: int, site: str | None, as_json: bool) -> None:
    """Create a job or workflow like ID, on the same site unless told otherwise.

    What it names (images, artifacts) must be in object storage still.
    """
    from prominence_hpc.adapter.create import create_job
    from prominence_hpc.adapter.jobs import submitted_document
    from prominence_hpc.cli.create import print_created, print_created_workflow
    from prominence_hpc.cli.session import settled_workspace

    session = settled_workspace(site)
    if is_workflow(session, number):
        from prominence_hpc.adapter.workflows.rerun import clone_workflow

        print_created_workflow(clone_workflow(session, number, site), as_json=as_json)
        return
    record = session.store.get(number)
    if record.workflow is not None:
        from prominence_hpc.adapter.workflows.descriptions import document_alone

        document = document_alone(session.state, record)
    else:
        document = submitted_document(session, number)
    chosen = site or record.site
    print_created(create_job(session, document, chosen), as_json=as_json)


@click.command("rerun", cls=Reference)
@site_option
@json_option
@flag_options
@click.argument("number", metavar="[workflow] ID", type=int)
def rerun_command(*, number: int, site: str | None, as_json: bool) -> None:
    """Run what of workflow ID failed or was not reached, as a new workflow.

    What has succeeded is kept and not run again; 'prominence download' of the new workflow brings it too.
    """
    from prominence_hpc.adapter.workflows.rerun import rerun_workflow
    from prominence_hpc.cli.create import print_created_workflow
    from prominence_hpc.cli.session import settled_workspace

    session = settled_workspace(site)
    if not is_workflow(session, number):
        if not session.store.get_many([number]):
            session.store.workflows.get(number)  # says that there is none
        msg = f"{number} is a job: 'prominence clone {number}' runs it once more."
        raise click.UsageError(msg)
    record, warnings = rerun_workflow(session, number, site)
    for message in warnings:
        warn(message)
    print_created_workflow(record, as_json=as_json)
