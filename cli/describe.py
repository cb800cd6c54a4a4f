"""``prominence describe``: everything known of one job."""

import click

from prominence_hpc.cli.flags import flag_options
from prominence_hpc.cli.ids import JobReference
from prominence_hpc.cli.output import print_json, warn

__all__ = ["describe_command"]


@click.command("describe", cls=JobReference)
@click.option("-i", "--input", "as_submitted", is_flag=True, help="Only what was submitted.")
@click.option("--json", is_flag=True, expose_value=False, help="Accepted: the output is JSON.")
@flag_options
@click.argument("job_id", metavar="[job] ID", type=int)
def describe_command(*, job_id: int, as_submitted: bool) -> None:
    """Describe a job: a JSON list of one object."""
    from prominence_hpc.adapter.jobs import describe, submitted_document
    from prominence_hpc.cli.session import workspace

    session = workspace()
    if as_submitted:
        from prominence_hpc.adapter.describe import document_without_secrets

        print_json([document_without_secrets(submitted_document(session, job_id))])
        return
    document, warnings = describe(session, job_id)
    for warning in warnings:
        warn(warning)
    print_json([document])
