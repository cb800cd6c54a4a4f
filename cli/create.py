"""``prominence create``: one job from options."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from prominence_hpc.cli.flags import flag_options, json_option, site_option
from prominence_hpc.cli.output import print_json, warn

if TYPE_CHECKING:
    from prominence_hpc.adapter.directory import PackedDirectory
    from prominence_hpc.adapter.store.records import JobRecord
    from prominence_hpc.adapter.store.workflow_records import WorkflowRecord

__all__ = ["create_command", "print_created", "print_created_workflow"]


@click.command("create")
@click.option("--name", default="", help="A name for the job.")
@click.option("--cpus", type=int, default=1, show_default=True, help="CPUs per node.")
@click.option("--cpus-range", metavar="A,B", help="From A to B CPUs per node, more preferred.")
@click.option("--cpus-options", metavar="A,B", help="Either A or B CPUs per node.")
@click.option("--memory", type=float, default=1, show_default=True, help="GB of memory per node.")
@click.option("--memory-per-cpu", type=float, help="GB of memory per CPU.")
@click.option("--nodes", type=int, default=1, show_default=True, help="Number of nodes.")
@click.option("--total-cpus-range", metavar="A,B", help="From A to B CPUs over all nodes.")
@click.option("--procs-per-node", type=int, help="MPI processes per node.")
@click.option(
    "--omp-procs-per-node", type=int, help="OpenMP threads per node, beside fewer MPI processes."
)
@click.option("--disk", type=float, default=10, show_default=True, help="GB of scratch space.")
@click.option("--walltime", type=int, metavar="MINUTES", help="Time for the tasks.  [default: 720]")
@click.option("--gpus", type=int, help="GPUs per node.")
@click.option("--gpu-type", metavar="T", help="Which GPUs, such as a100; as the site calls them.")
@click.option("--openmpi", is_flag=True, help="Run the command with the image's Open MPI.")
@click.option("--mpich", is_flag=True, help="Run the command with the image's MPICH.")
@click.option("--intelmpi", is_flag=True, help="Run the command with the image's Intel MPI.")
@click.option(
    "--artifact",
    "artifacts",
    multiple=True,
    metavar="URL[:DIR:/MOUNT]",
    help="Fetch a URL or an uploaded object, unpack archives; mount DIR at /MOUNT.  [repeatable]",
)
@click.option(
    "--input", "inputs", multiple=True, metavar="FILE", help="A small file to send.  [repeatable]"
)
@click.option(
    "--output", "outputs", multiple=True, metavar="F", help="A file to keep.  [repeatable]"
)
@click.option(
    "--outputdir", "output_dirs", multiple=True, metavar="D", help="A directory to keep, as D.tgz."
)
@click.option("--workdir", help="Directory in which the command runs.")
@click.option("--env", multiple=True, metavar="K=V", help="Environment variable.  [repeatable]")
@click.option("--label", "labels", multiple=True, metavar="K=V", help="Label.  [repeatable]")
@click.option("--runtime", type=click.Choice(["singularity", "udocker"]), help="Container runtime.")
@click.option("--retries", type=int, help="Run the whole job again at most this often.")
@click.option("--task-retries", type=int, help="Run a failing task again at most this often.")
@click.option(
    "--max-time-in-queue", type=int, metavar="MINUTES", help="Fail after waiting so long."
)
@click.option("--leave-in-queue", is_flag=True, help="List the job after its end until 'remove'.")
@click.option("--priority", type=int, help="Larger starts earlier among your own jobs.")
@click.option(
    "--directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Pack and upload DIR; the job runs among its files.",
)
@click.option("--storage", metavar="FILE", help="Remote storage to mount, described in FILE.")
@click.option("--dry-run", is_flag=True, help="Print the job description and submit nothing.")
@site_option
@json_option
@flag_options
@click.argument("image")
@click.argument("command", required=False)
def create_command(
    *, directory: Path | None, dry_run: bool, site: str | None, as_json: bool, **options: Any
) -> None:
    """Create a job that runs COMMAND in the container IMAGE.

    IMAGE is an uploaded .sif, .simg, .tar or .tgz file, a path on the cluster, a URL, or a name in
    a registry. COMMAND is one argument: quote it. Without it the image's own run script runs.
    """
    from prominence_hpc.adapter.spec.description import (
        CreateOptions,
        describe_job,
        ignored_options,
        runtime_of_site,
    )

    packed = directory_name() if directory else None
    described = CreateOptions(directory_artifact=packed, **options)
    document = describe_job(described)
    for message in ignored_options(described, given_options()):
        warn(message)
    if dry_run:
        print_json(document)
        return
    from prominence_hpc.adapter.create import create_job
    from prominence_hpc.adapter.image_checks import known_runtimes
    from prominence_hpc.cli.session import settled_workspace

    session = settled_workspace(site)
    runtimes = known_runtimes(session.config.site(site))
    changed = runtime_of_site(document, described, runtimes)
    if changed:
        warn(changed)
    to_pack = packed_directory(packed, directory) if packed and directory else None
    print_created(create_job(session, document, site, to_pack), as_json=as_json)


def given_options() -> set[str]:
    """The options that are on the command line, by the names of their parameters."""
    context = click.get_current_context()
    default = click.core.ParameterSource.DEFAULT
    return {name for name in context.params if context.get_parameter_source(name) != default}


def directory_name() -> str:
    """A name for the object that carries ``--directory``."""
    import uuid  # not needed without the option

    return f"{uuid.uuid4()}.tar.gz"


def packed_directory(name: str, directory: Path) -> "PackedDirectory":
    from prominence_hpc.adapter.directory import PackedDirectory
    from prominence_hpc.cli.progress import progress_bar

    return PackedDirectory(name=name, folder=directory, show=progress_bar)


def print_created_workflow(record: "WorkflowRecord", *, as_json: bool) -> None:
    if as_json:
        print_json({"id": record.id, "site": record.site, "jobs": record.total})
    else:
        click.echo(f"Workflow created with id {record.id}")


def print_created(record: "JobRecord", *, as_json: bool) -> None:
    if as_json:
        print_json({"id": record.id, "site": record.site, "backendId": record.handle})
    else:
        click.echo(f"Job created with id {record.id}")
