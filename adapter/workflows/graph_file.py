"""The picture of a workflow in a file: as text, or drawn by Graphviz."""

from pathlib import Path

from prominence_hpc.adapter.workflows.drawing import Drawing, render_dot, render_mermaid
from prominence_hpc.backends.run_command import find_program, first_line, run_command
from prominence_hpc.errors import BackendError, ProminenceError, UsageError

__all__ = ["check_target", "save"]

TEXTS = {".mmd": render_mermaid, ".dot": render_dot, ".gv": render_dot}
DRAWN = (".svg", ".png", ".pdf")
DOT_SECONDS = 60.0


def check_target(target: Path) -> None:
    """UsageError where the ending of the name is none that can be written; before any work is done."""
    if target.suffix.lower() not in (*TEXTS, *DRAWN):
        endings = ", ".join((*TEXTS, *DRAWN))
        msg = f"{target.name} has none of the endings {endings}, which say what is to be written."
        raise UsageError(msg)


def save(drawing: Drawing, target: Path) -> None:
    """Write ``target``, in place of what is there; ProminenceError where that cannot be."""
    render = TEXTS.get(target.suffix.lower())
    if render is None:
        draw_by_graphviz(drawing, target)
        return
    try:
        target.write_text(render(drawing), encoding="utf-8")
    except OSError as error:
        msg = f"{target} cannot be written: {error.strerror}."
        raise ProminenceError(msg) from error


def draw_by_graphviz(drawing: Drawing, target: Path) -> None:
    kind = target.suffix.lower().removeprefix(".")
    if find_program("dot") is None:
        msg = (
            f"{target.name} is drawn by Graphviz, and its program dot is not installed here (package "
            f"graphviz); {target.stem}.mmd or {target.stem}.dot can be written without it."
        )
        raise ProminenceError(msg)
    try:
        done = run_command(
            ["dot", f"-T{kind}", f"-o{target.absolute()}"],
            timeout_seconds=DOT_SECONDS,
            text=render_dot(drawing),
        )
    except BackendError as error:
        msg = f"{target} was not drawn: {error}"
        raise ProminenceError(msg) from error
    if done.returncode != 0:
        msg = f"{target} was not drawn: dot says {first_line(done.stderr)!r}."
        raise ProminenceError(msg)
