"""``prominence run``: a job from a JSON or YAML file."""

from typing import Any

import click

from prominence_hpc.cli.create import print_created, print_created_workflow
from prominence_hpc.cli.flags import flag_options, json_option, site_option
from prominence_hpc.cli.output import print_json

__all__ = ["run_command"]


@click.command("run")
@click.option("--dry-run", is_flag=True, help="Print what would be created and submit nothing.")
@site_option
@json_option
@flag_options
@click.argument("file", metavar="FILE|URL")
def run_command(*, file: str, dry_run: bool, site: str | None, as_json: bool) -> None:
    """Create the job or workflow described in FILE or at URL, in JSON or YAML.

    A workflow is checked whole before anything is submitted.
    """
    from prominence_hpc.adapter.spec.job_file import read_description

    document = read_description(file)
    if dry_run:
        print_json(checked(document, site))
        return
    from prominence_hpc.adapter.create import create_job
    from prominence_hpc.cli.session import settled_workspace

    session = settled_workspace(site)
    if "jobs" in document:
        from prominence_hpc.adapter.workflows.create import create_workflow

        print_created_workflow(create_workflow(session, document, site), as_json=as_json)
        return
    print_created(create_job(session, document, site), as_json=as_json)


def checked(document: dict[str, Any], site: str | None) -> dict[str, Any]:
    """The description of a job, or of a workflow with all of its jobs, once it is known to be valid.

    Of a workflow also what the scheduler would be given.
    """
    if "jobs" not in document:
        from prominence_hpc.adapter.spec.decode import decode_job

        decode_job(document)
        return document
    from prominence_hpc.adapter.workflows.preview import preview_workflow
    from prominence_hpc.cli.session import workspace

    return preview_workflow(workspace(site), document, site)
