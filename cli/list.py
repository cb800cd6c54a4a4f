"""``prominence list``: jobs or workflows, one a line."""

import time
from typing import TYPE_CHECKING, Any

import click

from prominence_hpc.cli.flags import flag_options, json_option
from prominence_hpc.cli.ids import options_with_value
from prominence_hpc.cli.labels import constraint_option, labels_of
from prominence_hpc.cli.output import elapsed, print_columns, print_json, warn

if TYPE_CHECKING:
    from prominence_hpc.adapter.jobs import Selection
    from prominence_hpc.adapter.store.records import JobRecord
    from prominence_hpc.adapter.store.store import Which
    from prominence_hpc.adapter.workspace import Workspace

__all__ = ["list_command"]

COLUMNS = ("ID", "NAME", "CREATED", "STATUS", "ELAPSED", "IMAGE", "CMD")
COMMAND_WIDTH = 100
LAST_COMPLETED = 20  # what --completed shows unless told
WORDS = {"jobs": "jobs", "job": "jobs", "workflows": "workflows", "workflow": "workflows"}
_META = "prominence_hpc.cli.list.kind"


class Arguments(click.Command):
    """``list``, ``list jobs``, ``list workflows``, each with the number of a workflow after it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Find the word wherever it stands among the options."""
        with_value = options_with_value(self)
        before = ["", *args]
        at = [n for n, word in enumerate(args) if word in WORDS and before[n] not in with_value]
        ctx.meta[_META] = WORDS[args[at[0]]] if at else "jobs"
        rest = [word for number, word in enumerate(args) if number not in at[:1]]
        return super().parse_args(ctx, rest)


@click.command("list", cls=Arguments)
@click.argument("workflow", metavar="[jobs|workflows] [WORKFLOW_ID]", type=int, required=False)
@click.option("--completed", is_flag=True, help="What has ended (the last 20).")
@click.option("-r", "--running", is_flag=True, help="Only what runs.")
@click.option("-i", "--idle", is_flag=True, help="Only what waits.")
@click.option("-a", "--all", "everything", is_flag=True, help="All, active and ended.")
@click.option("-n", "--last", type=click.IntRange(min=1), metavar="N", help="The newest N only.")
@constraint_option
@click.option("--name", help="Of this name; * and ? match any characters.")
@click.option("--site", metavar="NAME", help="Of this site only.")
@json_option
@flag_options
def list_command(*, as_json: bool, **options: Any) -> None:
    """List active jobs, or workflows: those that wait or run, or were left in the queue.

    With the ID of a workflow all of its jobs, ended ones too.
    """
    from prominence_hpc.cli.session import workspace

    session = workspace()
    if options["workflow"] is not None:
        from prominence_hpc.adapter.workflows.listing import refuse_jobs

        refuse_jobs(session, options["workflow"])
    kind = click.get_current_context().meta[_META]
    print_list(session, kind, selection_of(**options), as_json=as_json)


def print_list(session: "Workspace", kind: str, selection: "Selection", *, as_json: bool) -> None:
    if kind == "workflows":
        from prominence_hpc.cli.list_workflows import print_workflows

        print_workflows(session, selection, as_json=as_json)
        return
    from prominence_hpc.adapter.jobs import list_jobs

    listing = list_jobs(session, selection)
    for warning in listing.warnings:
        warn(warning)
    if as_json:
        print_json([summary(record) for record in listing.records])
    else:
        now = time.time()
        print_columns(COLUMNS, [row(record, now) for record in listing.records])


def selection_of(
    *,
    workflow: int | None,
    completed: bool,
    running: bool,
    idle: bool,
    everything: bool,
    last: int | None,
    constraints: tuple[str, ...],
    name: str | None,
    site: str | None,
) -> "Selection":
    from prominence_hpc.adapter.jobs import Selection

    which: Which = "all" if everything else "completed" if completed else "listed"
    if workflow is not None and which == "listed":
        which = "all"
    statuses = (*(("running",) if running else ()), *(("idle",) if idle else ()))
    # A history can be long; the jobs of one workflow are what was asked for.
    short = which == "completed" and workflow is None
    return Selection(
        which=which,
        statuses=statuses or None,
        last=LAST_COMPLETED if short and last is None else last,
        name=name,
        labels=labels_of(constraints),
        site=site,
        workflow=workflow,
    )


def row(record: "JobRecord", now: float) -> tuple[str, ...]:
    from prominence_hpc.adapter.describe import format_time

    return (
        str(record.id),
        record.name,
        format_time(record.created),
        record.status,
        elapsed(running_seconds(record, now)),
        shown_image(record.image),
        shortened(record.command),
    )


def running_seconds(record: "JobRecord", now: float) -> float | None:
    if record.started is None:
        return None
    return (now if record.ended is None else record.ended) - record.started


def shown_image(image: str) -> str:
    """A URL's last part, without its query; any other name whole."""
    if not image.startswith(("http://", "https://")):
        return image
    return image.partition("?")[0].rstrip("/").rpartition("/")[2]


def shortened(command: str) -> str:
    return command if len(command) <= COMMAND_WIDTH else command[:COMMAND_WIDTH] + "..."


def summary(record: "JobRecord") -> dict[str, Any]:
    """One job as ``--json`` shows it; times in seconds since the epoch."""
    return {
        "id": record.id,
        "name": record.name,
        "workflow": record.workflow,
        "labels": dict(record.labels),
        "site": record.site,
        "backendId": record.handle,
        "status": record.status,
        "statusReason": record.status_reason,
        "createTime": record.created,
        "startTime": record.started,
        "endTime": record.ended,
        "image": record.image,
        "cmd": record.command,
        **({} if record.workflow is None else {"workflow": record.workflow}),
    }
