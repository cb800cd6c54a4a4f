"""A workflow as a picture: its parts, what waits for what, and how each is, as text in DOT or Mermaid. Pure."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from prominence_hpc.adapter.store.workflow_records import PartRecord, WorkflowRecord
from prominence_hpc.adapter.workflows.progress import Counts, was_not_run, words_of

__all__ = ["Drawing", "Node", "draw", "quote_dot", "quote_mermaid", "render_dot", "render_mermaid"]

# State of a node: what it is filled with, and the colour of its border.
COLOURS = {
    "idle": ("#f6f8fa", "#8c959f"),
    "running": ("#ddf4ff", "#0969da"),
    "completed": ("#dafbe1", "#1a7f37"),
    "failed": ("#ffebe9", "#cf222e"),
    "failing": ("#fff1e5", "#bc4c00"),
    "notrun": ("#ffffff", "#8c959f"),
}


@dataclass(frozen=True, kw_only=True)
class Node:
    """One entry of the description's jobs. ``parents`` are positions among all nodes."""

    name: str
    words: str  # how it is
    state: str  # one of COLOURS
    many: bool  # made many times by a factory
    parents: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """All nodes, in the order of the description."""

    title: str
    nodes: tuple[Node, ...]


def draw(record: WorkflowRecord, parts: Sequence[PartRecord], counts: Sequence[Counts]) -> Drawing:
    """What is to be drawn of a workflow."""
    title = f"Workflow {record.id}: {record.name}" if record.name else f"Workflow {record.id}"
    nodes = tuple(
        Node(
            name=part.name,
            words=words_of(found, many=part.swept),
            state=state_of(found),
            many=part.swept,
            parents=part.parents,
        )
        for part, found in zip(parts, counts, strict=True)
    )
    return Drawing(title=title, nodes=nodes)


def state_of(counts: Counts) -> str:
    """The state by which a node is coloured: "failing" where some have failed and others go on."""
    if counts.active:
        return "failing" if counts.failed else counts.status
    return "notrun" if was_not_run(counts) else counts.status


def edges(nodes: Sequence[Node]) -> Iterable[tuple[int, int]]:
    """(parent, child) by position."""
    return ((parent, child) for child, node in enumerate(nodes) for parent in node.parents)


def render_dot(drawing: Drawing) -> str:
    """The text that Graphviz's ``dot`` reads."""
    lines = [
        "digraph workflow {",
        f"  label={quote_dot(drawing.title)}; labelloc=t;",
        '  node [shape=box, style="rounded,filled", fontname="sans-serif"];',
    ]
    for number, node in enumerate(drawing.nodes):
        fill, line = COLOURS[node.state]
        double = ", peripheries=2" if node.many else ""
        label = quote_dot(f"{node.name}\n{node.words}")
        lines.append(f'  part{number} [label={label}, fillcolor="{fill}", color="{line}"{double}];')
    lines += [f"  part{parent} -> part{child};" for parent, child in edges(drawing.nodes)]
    return "\n".join([*lines, "}", ""])


def render_mermaid(drawing: Drawing) -> str:
    """The text that Mermaid reads, and what shows it: GitHub and GitLab in ``mermaid`` blocks."""
    lines = ["---", f"title: {json.dumps(drawing.title)}", "---", "flowchart TB"]
    for number, node in enumerate(drawing.nodes):
        label = f'"{quote_mermaid(node.name)}<br/>{quote_mermaid(node.words)}"'
        box = f"[[{label}]]" if node.many else f"[{label}]"
        lines.append(f"  part{number}{box}:::{node.state}")
    lines += [f"  part{parent} --> part{child}" for parent, child in edges(drawing.nodes)]
    used = {node.state for node in drawing.nodes}
    lines += [
        f"  classDef {state} fill:{fill},stroke:{line},color:#1f2328"
        for state, (fill, line) in COLOURS.items()
        if state in used
    ]
    return "\n".join([*lines, ""])


def quote_dot(text: str) -> str:
    r"""A quoted string of DOT that shows ``text``; each of its lines is a line there.

    A backslash begins an escape (``\N`` is the node's own name), an ampersand an HTML entity.

    >>> print(quote_dot('5 "&" \\N'))
    "5 \"&amp;\" \\N"
    """
    escapes = {"\\": "\\\\", '"': '\\"', "&": "&amp;", "\n": "\\n"}
    # Others that print nothing would be shown as boxes, and XML knows no form of them.
    return '"' + "".join(escapes.get(c) or (c if c.isprintable() else "?") for c in text) + '"'


def quote_mermaid(text: str) -> str:
    """``text`` for a label of Mermaid between double quotes, where ``#N;`` stands for a character.

    Whatever could be markup there is written so: HTML, Markdown (a label ``1. x`` is taken for a
    list, and refused), icons (``fa:name``).

    >>> quote_mermaid("1. a-b <c>")
    '1#46; a-b #60;c#62;'
    """
    return "".join(
        c if is_plain(c, text[at - 1 : at], text[at + 1 : at + 2]) else f"#{ord(c)};"
        for at, c in enumerate(text)
    )


def is_plain(character: str, before: str, after: str) -> bool:
    """Whether a character is itself in a label; those of Markdown are within words."""
    if character in "-_.":
        return before.isalnum() and after.isalnum()
    return character.isalnum() or character in " ,/"
