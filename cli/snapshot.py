"""``prominence snapshot``: files of a running job."""

from pathlib import Path

import click

from prominence_hpc.cli.flags import flag_options, json_option
from prominence_hpc.cli.ids import JobReference
from prominence_hpc.cli.output import print_json, warn
from prominence_hpc.cli.progress import progress_bar

__all__ = ["snapshot_command"]

DEFAULT_FILE = Path("snapshot.tgz")


@click.command("snapshot", cls=JobReference)
@click.option(
    "-o",
    "--output",
    "target",
    type=click.Path(path_type=Path),
    default=DEFAULT_FILE,
    show_default=True,
    metavar="FILE",
    help="Where the archive is to be; a file there is replaced.",
)
@click.option("-n", "--node", type=int, default=0, metavar="N", help="From node N of the job.")
@click.option("--direct", is_flag=True, help="Over the connection to the node, without storage.")
@click.option("--keep", is_flag=True, help="Leave the archive in object storage as well.")
@json_option
@flag_options
@click.argument("job_id", metavar="[job] ID", type=int)
@click.argument("path")
def snapshot_command(
    *, job_id: int, path: str, target: Path, node: int, direct: bool, keep: bool, as_json: bool
) -> None:
    """Fetch a file or directory of a running job, as an archive.

    PATH is relative to the job's working directory, or absolute below it (/home/user) or below an
    artifact's mountpoint; a shell pattern is allowed in quotes. It is packed where the job runs.
    """
    from prominence_hpc.adapter.remote.snapshot import Snapshot, take_snapshot
    from prominence_hpc.cli.session import workspace
    from prominence_hpc.cli.terminal import ending_by_signals

    wanted = Snapshot(
        job_id=job_id, path=path, target=target, node_number=node, direct=direct, keep=keep
    )
    notes: list[str] = []

    def note(words: str) -> None:
        notes.append(words)
        warn(words)

    with ending_by_signals():
        take_snapshot(workspace(), wanted, bar=progress_bar, note=note)
    if as_json:
        size = target.stat().st_size
        print_json({"file": str(target), "size": size, "warnings": notes})
    else:
        click.echo(str(target))
