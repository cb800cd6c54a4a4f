"""What docs/how-to/workflows.md shows can be typed, and comes to what it says."""

import re
import shlex
from pathlib import Path

import click
import pytest

from prominence_hpc.adapter.spec.decode_workflow import decode_workflow
from prominence_hpc.adapter.spec.job_file import read_description
from prominence_hpc.adapter.workflows.drawing import draw, render_mermaid
from prominence_hpc.adapter.workflows.parts import parts_of
from prominence_hpc.adapter.workflows.progress import add_up
from prominence_hpc.cli.flags import Flags
from prominence_hpc.cli.main import cli
from tests.unit.workflows.test_drawing import part
from tests.unit.workflows.test_progress import tally, workflow

PAGE = (Path(__file__).resolve().parents[3] / "docs/how-to/workflows.md").read_text("utf-8")
COMMANDS = sorted(
    {
        *re.findall(r"^(?:\$ )?(prominence .+)$", PAGE, re.MULTILINE),
        *re.findall(r"`(prominence [^`]+ [^`]+)`", PAGE),
    }
)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_are_understood(line: str) -> None:
    name, *arguments = shlex.split(line)[1:]
    parent = click.Context(cli, info_name="prominence", obj=Flags())
    command = cli.get_command(parent, name)
    assert command is not None
    command.make_context(name, arguments, parent=parent)


def test_enough_commands_are_found() -> None:
    assert len(COMMANDS) > 15


def test_the_example_makes_as_many_jobs_as_its_list_says(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(blocks("yaml")[0])
    parts = parts_of(decode_workflow(read_description(str(file))))
    total = sum(part.size for part in parts)
    listed = next(line for line in PAGE.splitlines() if line.startswith("7    study"))
    assert listed.split()[-1] == str(total)
    # Of workflow 7 the first job is 8; one of them is named in both ways.
    (named,) = re.findall(r"`prominence stdout 7 simulate (\d+)`", PAGE)
    (numbered,) = re.findall(r"`prominence stdout (\d+)` by its id", PAGE)
    assert int(numbered) == 8 + parts[0].size + int(named)


def test_the_other_factories_are_valid(tmp_path: Path) -> None:
    resources = "resources: {cpus: 1, memory: 1}, tasks: [{image: a.sif, cmd: echo}]"
    jobs = "".join(f"  - {{name: {name}, {resources}}}\n" for name in ("convert", "sample"))
    file = tmp_path / "other.yaml"
    file.write_text(f"jobs:\n{jobs}{blocks('yaml')[1]}")
    found = decode_workflow(read_description(str(file)))
    assert [part.size for part in parts_of(found)] == [2, 100]


def test_the_picture_is_what_is_drawn() -> None:
    parts = [
        part(0, "prepare"),
        part(1, "simulate", 100, parents=(0,)),
        part(2, "summarise", parents=(1,)),
    ]
    ran = (1.0, 2.0)
    counts = [
        add_up([tally("completed", times=ran)]),
        add_up([tally("completed", 40, times=ran), tally("failed"), tally("running", 12),
                tally("idle", 47)]),
        add_up([tally("idle")]),
    ]  # fmt: skip
    drawing = draw(workflow(7), parts, counts)
    assert blocks("mermaid") == [
        render_mermaid(drawing).replace("Workflow 7: w", "Workflow 7: study")
    ]
