"""Workflows as tests write them: small documents, and the command's answers about them read back."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tests.engine.prominence import WAIT_SECONDS, Prominence

__all__ = [
    "job",
    "jobs_by_name",
    "run",
    "sweep",
    "wait",
    "workflow",
]

RESOURCES = {"cpus": 1, "memory": 0.1, "disk": 1, "walltime": 5}


def job(image: str, name: str, cmd: str = "true", **more: Any) -> dict[str, Any]:
    """A job of one task; ``cmd`` is a shell's line where it is more than one word."""
    line = cmd if " " not in cmd else f"sh -c '{cmd}'"
    return {
        "name": name,
        "tasks": [{"image": image, "runtime": "singularity", "cmd": line}],
        "resources": RESOURCES,
        **more,
    }


def sweep(
    *jobs: str, name: str = "sweep", **parameters: tuple[float, float, float]
) -> dict[str, Any]:
    """A parameterSweep; each parameter is (start, end, step)."""
    return {
        "name": name,
        "type": "parameterSweep",
        "jobs": list(jobs),
        "parameters": [
            {"name": key, "start": start, "end": end, "step": step}
            for key, (start, end, step) in parameters.items()
        ],
    }


def workflow(*jobs: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "flow", "jobs": list(jobs), **more}


def run(prominence: Prominence, document: Mapping[str, Any]) -> int:
    """Run the workflow; its id."""
    prominence.write("workflow.json", json.dumps(document))
    done = prominence("run", "workflow.json")
    found = re.fullmatch(r"Workflow created with id (\d+)\n", done.stdout)
    assert found, done.stdout + done.stderr
    return int(found[1])


def wait(prominence: Prominence, number: int, timeout: float = WAIT_SECONDS - 10) -> int:
    """Wait for its end; the exit code. AssertionError where it does not end in time."""
    jobs = jobs_by_name(prominence, number)
    ids = [str(item["id"]) for item in jobs.values()]
    done = prominence("wait", "--timeout", str(timeout), *ids, check=False, timeout=timeout + 30)
    if done.returncode == 12:
        told = prominence("list", "--all", "--json").stdout
        msg = f"{done.stdout}{done.stderr}{told}"
        raise AssertionError(msg)
    return done.returncode


def jobs_by_name(prominence: Prominence, number: int) -> dict[str, dict[str, Any]]:
    """The workflow's jobs as ``list --all --json`` shows them, in order of id."""
    listed: Sequence[dict[str, Any]] = json.loads(prominence("list", "--all", "--json").stdout)
    return {item["name"]: item for item in listed if item.get("workflow") == number}
