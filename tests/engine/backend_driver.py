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
from prominence_hpc.backends.base import Backend, Submission, Transfer
from prominence_hpc.backends.settings import SiteSettings
from prominence_hpc.errors import ProminenceError

# Stands for the wrapper: runs the Python text that the plan holds.
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
    outputs = tuple((name, Path(path)) for name, path in document.pop("outputs", ()))
    return Submission(
        **{**document, "folder": folder},
        runner=runner,
        transfer=Transfer(inputs=inputs, outputs=outputs),
    )


def call(backend: Backend, verb: str, argument: Any) -> Any:
    match verb:
        case "submit":
            return backend.submit(submission_of(argument))
        case "poll" | "history":
            states = getattr(backend, verb)(argument)
            return {handle: plain(state) for handle, state in states.items()}
        case "output":
            handle, folder, stream = argument
            return b"".join(backend.output(handle, Path(folder), stream)).decode()
        case _:
            return getattr(backend, verb)(argument)


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
