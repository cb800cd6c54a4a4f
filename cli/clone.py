"""``prominence clone``: a job like one that there is already."""

import click

from prominence_hpc.cli.flags import flag_options, json_option, site_option
from prominence_hpc.cli.ids import JobReference

__all__ = ["clone_command"]


@click.command("clone", cls=JobReference)
@site_option
@json_option
@flag_options
@click.argument("job_id", metavar="[job] ID", type=int)
def clone_command(*, job_id: int, site: str | None, as_json: bool) -> None:
    """Create a new job with the description of job ID, on the same site unless told otherwise.

    What the job names (image, artifacts) must be in object storage still.
    """
    from prominence_hpc.adapter.create import create_job
    from prominence_hpc.adapter.jobs import submitted_document
    from prominence_hpc.adapter.settle import settle
    from prominence_hpc.cli.create import print_created
    from prominence_hpc.cli.output import warn
    from prominence_hpc.cli.session import workspace

    session = workspace(site)
    for message in settle(session):
        warn(message)
    document = submitted_document(session, job_id)
    chosen = site or session.store.get(job_id).site
    print_created(create_job(session, document, chosen), as_json=as_json)
