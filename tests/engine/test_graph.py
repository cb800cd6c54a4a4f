"""The picture of a workflow, as Graphviz itself reads it."""

from xml.etree import ElementTree

from prominence_hpc.adapter.workflows.drawing import COLOURS, Drawing, Node, render_dot
from tests.site.handle import Site
from tests.unit.workflows.test_drawing import HOSTILE

SVG = "{http://www.w3.org/2000/svg}"


def test_dot_shows_every_name_as_it_is(site: Site) -> None:
    names = [name for name in HOSTILE if name.isprintable() or "\n" in name]
    nodes = tuple(
        Node(
            name=name,
            words="idle",
            state=list(COLOURS)[number % len(COLOURS)],
            many=bool(number % 2),
            parents=(number - 1,) if number else (),
        )
        for number, name in enumerate(names)
    )
    drawn = site.run(["dot", "-Tsvg"], input=render_dot(Drawing(title=names[0], nodes=nodes)))
    assert drawn.stderr == ""
    groups = ElementTree.fromstring(drawn.stdout).iter(f"{SVG}g")
    texts = {
        group.findtext(f"{SVG}title"): [item.text for item in group.findall(f"{SVG}text")]
        for group in groups
        if group.get("class") == "node"
    }
    assert texts == {
        f"part{number}": [*name.split("\n"), "idle"] for number, name in enumerate(names)
    }


def test_what_prints_nothing_does_not_spoil_a_picture(site: Site) -> None:
    node = Node(name="\x1b[31m\x01\u2028 x", words="idle", state="idle", many=False)
    drawn = site.run(["dot", "-Tsvg"], input=render_dot(Drawing(title="t", nodes=(node,))))
    assert "?[31m?? x" in ElementTree.fromstring(drawn.stdout).itertext()
