"""Runs on the login node: makes the calls on a backend that a test asks for, prints the answers.

Standard input: ``{"backend", "settings", "state", "calls": [[verb, argument], …]}``; standard
output: a list with an ``{"answer"}`` or an ``{"error", "message"}`` for each.
"""

import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Any

from prominence_hpc.backends import BACKENDS
from prominence_hpc.backends.base import Backend, Copies, Graph, GraphNode, Submission, Transfer
from prominence_hpc.backends.settings import SiteSettings
from prominence_hpc.errors import ProminenceError
from prominence_hpc.wrappers.bundle import install_runner
from prominence_hpc.wrappers.frames import enter_argv

# Stands for the wrapper: runs the Python text that the plan holds. A copy's number is the second argument.
RUNNER = """\
import json, sys
exec(json.load(open(sys.argv[1]))["code"])
"""


def submission_of(document: dict[str, Any]) -> Submission:
    """A submission whose folder is made, with a plan that says what the job does."""
    folder = Path(document["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plan.json").write_text(json.dumps({"code": document.pop("code")}))
    runner = folder / "the runner.pyz"
    runner.write_text(RUNNER)
    inputs = tuple((Path(path), name) for path, name in document.pop("inputs", ()))
    copies = document.pop("copies", None)
    outputs = tuple((name, Path(path)) for name, path in document.pop("outputs", ()))
    return Submission(
        **{**document, "folder": folder, "after": tuple(document.get("after", ()))},
        runner=runner,
        copies=None if copies is None else Copies(**copies),
        transfer=Transfer(inputs=inputs, outputs=outputs),
    )


def graph_of(document: dict[str, Any]) -> Graph:
    """A graph whose nodes' folders are made, below its own, by the names of the nodes."""
    folder = Path(document["folder"])
    nodes = tuple(
        GraphNode(
            name=name,
            parents=tuple(node.pop("parents", ())),
            submission=submission_of({**node, "folder": str(folder / name)}),
        )
        for name, node in document.pop("nodes").items()
    )
    # The real runner, which DAGMan's script asks.
    runner = install_runner(folder)
    return Graph(**{**document, "folder": folder}, runner=runner, nodes=nodes)


def call(backend: Backend, verb: str, argument: Any) -> Any:
    match verb:
        case "submit":
            return backend.submit(submission_of(argument))
        case "most_copies":
            return backend.most_copies(submission_of(argument))
        case "copy_handle":
            return backend.copy_handle(*argument)
        case "run_beside":
            return job_id_beside(backend, *argument)
        case "poll" | "history":
            states = getattr(backend, verb)(argument)
            return {handle: plain(state) for handle, state in states.items()}
        case "output":
            handle, folder, stream = argument
            return b"".join(backend.output(handle, Path(folder), stream)).decode()
        case "submit_graph":
            return backend.submit_graph(graph_of(argument))
        case "enter":
            return said_by_enter(backend, *argument)
        case "graph_handles":
            return backend.graph_handles(Path(argument))
        case _:
            return getattr(backend, verb)(argument)


def said_by_enter(backend: Backend, handle: str, folder: str) -> str:
    """What the job's own ``enter`` says on its node, reached by the backend's first way."""
    shell = backend.open_shell(backend.ways[0], handle, "", Path(folder))
    channel = shell.open(enter_argv(shell.folder))
    said = b""
    try:
        while block := channel.read(1 << 16, timeout_seconds=10):
            said += block
    finally:
        channel.close()
        shell.close()
    return said.decode()


def job_id_beside(backend: Backend, way: str, handle: str, node: str, folder: str) -> str:
    """What Slurm says in a shell of a job that the job's own id is."""
    shell = backend.open_shell(way, handle, node, Path(folder))
    channel = shell.open(["printenv", "SLURM_JOB_ID"])
    said = b""
    while block := channel.read(1 << 16):
        said += block
    channel.close()
    shell.close()
    return said.decode()


def plain(state: Any) -> dict[str, Any]:
    fields = dataclasses.asdict(state)
    return {**fields, "condition": state.condition.value, "cause": state.cause.value}


def answer(backend: Backend, verb: str, argument: Any) -> dict[str, Any]:
    start = time.monotonic()
    try:
        result: dict[str, Any] = {"answer": call(backend, verb, argument)}
    except ProminenceError as error:
        result = {"error": type(error).__name__, "message": str(error)}
    return {**result, "seconds": time.monotonic() - start}


def main() -> None:
    request = json.load(sys.stdin)
    name = request["backend"]
    settings = SiteSettings(**{"name": name, "backend": name, **request["settings"]})
    backend = BACKENDS[name](settings, Path(request["state"]))
    print(json.dumps([answer(backend, *asked) for asked in request["calls"]]))


if __name__ == "__main__":
    main()
