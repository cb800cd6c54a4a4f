"""A workflow as DOT and as Mermaid: whole texts, and names that mean something there."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prominence_hpc.adapter.store.workflow_records import PartRecord
from prominence_hpc.adapter.workflows.drawing import (
    COLOURS,
    Drawing,
    Node,
    draw,
    quote_dot,
    quote_mermaid,
    render_dot,
    render_mermaid,
)
from prominence_hpc.adapter.workflows.progress import add_up
from tests.unit.workflows.test_progress import tally, workflow

HOSTILE = [
    'say "hi"',
    "two\nlines",
    "a]] --> b[[c",
    "<b>bold</b><script>alert(1)</script>",
    "x & y &amp; z",
    "back\\slash \\N \\G \\",
    "1. a list",
    "- a list",
    "# a heading",
    "**bold** _em_ `code`",
    "fa:fa-ban",
    "%%{init: {}}%%",
    "größer 漢字 🐟",
    "; semicolon } brace { digraph",
    "#35; #quot;",
    "end",
    "\x1b[31m\x00\u2028",
]
Golden = Callable[[str, str], None]


def part(number: int, name: str, size: int = 0, parents: tuple[int, ...] = ()) -> PartRecord:
    return PartRecord(1, number, name, "u", 2, size or 1, size > 0, parents)


PARTS = [
    part(0, "merge", parents=(1, 2)),
    part(1, "sweep", 10, parents=(3,)),
    part(2, "check", 2, parents=(3,)),
    part(3, "prepare data"),
    part(4, 'report "1"', parents=(0,)),
    part(5, "alone"),
    part(6, "broken"),
]
COUNTS = [
    add_up([tally("idle")]),
    add_up([tally("completed", 7, times=(1.0, 2.0)), tally("failed"), tally("running", 2)]),
    add_up([tally("completed", 2, times=(1.0, 2.0))]),
    add_up([tally("completed", times=(1.0, 2.0))]),
    add_up([tally("failed")]),
    add_up([tally("running", times=(1.0, None))]),
    add_up([tally("completed", task_failed=True, times=(1.0, 2.0))]),
]
DRAWING = draw(workflow(), PARTS, COUNTS)


def test_dot(golden: Golden) -> None:
    golden("workflow.dot", render_dot(DRAWING))


def test_mermaid(golden: Golden) -> None:
    golden("workflow.mmd", render_mermaid(DRAWING))


def test_every_state_has_a_colour() -> None:
    states = [node.state for node in DRAWING.nodes]
    expected = ["idle", "failing", "completed", "completed", "notrun", "running", "failed"]
    assert states == expected
    assert set(states) == set(COLOURS)


def test_a_workflow_without_a_name_has_a_title() -> None:
    assert draw(replace(workflow(7), name=""), [], []).title == "Workflow 7"


def shown_by_mermaid(label: str) -> str:
    """What a label stands for: Mermaid's own rule, ``#N;`` is the character N."""
    return re.sub(r"#(\d+);", lambda found: chr(int(found[1])), label)


@given(st.text() | st.sampled_from(HOSTILE))
def test_a_label_of_mermaid_holds_no_markup(text: str) -> None:
    label = quote_mermaid(text)
    assert shown_by_mermaid(label) == text
    bare = re.sub(r"#\d+;", "", label)
    assert not set(bare) & set("\"'`<>[](){}|&#;:%*~@$!\\\n\r\t")
    assert not re.search(r"(^|\s)(\d+[.)]|[-+*])(\s|$)", label)
    assert not re.search(r"(^|\W)_|_(\W|$)", re.sub(r"#\d+;", " ", label))


@given(st.text() | st.sampled_from(HOSTILE))
def test_a_string_of_dot_ends_where_it_should(text: str) -> None:
    quoted = quote_dot(text)
    assert re.fullmatch(r'"(?:[^"\\\n]|\\[\\"n])*"', quoted)
    assert "\n" not in quoted
    assert "&" not in quoted.replace("&amp;", "")


@pytest.mark.parametrize("name", HOSTILE)
def test_each_node_is_a_line_whatever_its_name(name: str) -> None:
    nodes = (
        Node(name=name, words="idle", state="idle", many=True),
        Node(name="b", words="idle", state="idle", many=False, parents=(0,)),
    )
    drawing = Drawing(title=name, nodes=nodes)
    dot, mermaid = render_dot(drawing).splitlines(), render_mermaid(drawing).splitlines()
    assert (len(dot), len(mermaid)) == (7, 8)
    assert dot[-2].strip() == "part0 -> part1;"
    assert mermaid[-2].strip() == "part0 --> part1"
