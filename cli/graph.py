"""``prominence graph``: a workflow as a picture."""

from pathlib import Path

import click

from prominence_hpc.cli.flags import flag_options
from prominence_hpc.cli.ids import Reference
from prominence_hpc.cli.output import warn

__all__ = ["graph_command"]


@click.command("graph", cls=Reference)
@click.option(
    "-o",
    "--output",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write FILE: .mmd (Mermaid), .dot, or .svg, .png, .pdf by Graphviz, which must be installed.",
)
@flag_options
@click.argument("number", metavar="[workflow] ID", type=int)
def graph_command(*, number: int, target: Path | None) -> None:
    """Draw a workflow: its jobs, what waits for what, and how each is.

    What a factory makes of a job is one box with counts. Without -o the picture is printed as
    Mermaid text, which GitHub and GitLab draw in ```mermaid blocks.
    """
    from prominence_hpc.adapter.workflows import describe, drawing, graph_file
    from prominence_hpc.adapter.workflows.listing import refuse_jobs
    from prominence_hpc.cli.session import workspace

    if target is not None:
        graph_file.check_target(target)
    session = workspace()
    refuse_jobs(session, number)
    known, warnings = describe.gather(session, number)
    for warning in warnings:
        warn(warning)
    picture = drawing.draw(known.progress.record, known.parts, known.counts)
    if target is None:
        click.echo(drawing.render_mermaid(picture), nl=False)
        return
    graph_file.save(picture, target)
    click.echo(str(target))
