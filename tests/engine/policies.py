"""What the tests of policies share: a job as a file, and jobs that must wait for one another."""

import json
import shlex
import time
from typing import Any

from tests.engine.prominence import Prominence

__all__ = ["configure", "job", "submitted", "until"]

SITES = """\
default_site = "{backend}"
[sites.{backend}]
backend = "{backend}"
{keys}
"""


def job(image: str, script: str, **fields: Any) -> dict[str, Any]:
    """A description of one task that is a shell script."""
    values: dict[str, Any] = {
        "tasks": [{"image": image, "cmd": f"sh -c {shlex.quote(script)}"}],
        "resources": {"cpus": 1, "memory": 0.2, "disk": 1, "walltime": 2},
    }
    return {**values, **fields}


def submitted(prominence: Prominence, description: dict[str, Any], *arguments: str) -> int:
    prominence.write("job.json", json.dumps(description))
    return prominence.created(prominence("run", *arguments, "job.json"))


def configure(prominence: Prominence, keys: str) -> None:
    """Give the fixture's site these keys."""
    text = SITES.format(backend=prominence.backend, keys=keys)
    prominence.write("config.toml", text)
    prominence.environment["PROMINENCE_CONFIG"] = f"{prominence.folder}/config.toml"


def until(prominence: Prominence, job_id: int, *statuses: str, seconds: float = 60) -> Any:
    """The description of a job once it has one of these states."""
    end = time.monotonic() + seconds
    while True:
        described = prominence.describe(job_id)
        if described["status"] in statuses:
            return described
        assert time.monotonic() < end, prominence.told(job_id, described)
        time.sleep(0.3)
