"""The submissions that another one waits for, by their records."""

from __future__ import annotations

import json
import os

from .processes import is_alive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal


def verdict_on(record_path: str) -> Literal["waiting", "well", "failed"]:
    """Whether a submission has ended, and all of its jobs with exit code 0."""
    try:
        with open(record_path, "rb") as file:
            record = json.load(file)
    except FileNotFoundError:
        return "failed"
    if record["state"] == "ended":
        return "well" if (record["cause"], record["exit_code"]) == ("exited", 0) else "failed"
    here = record["host"] == os.uname().nodename
    if here and not is_alive(record["pid"], record["ticks"], record["boot"]):
        return "failed"
    return "waiting"
