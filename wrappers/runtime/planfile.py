"""``plan.json`` read back, and read again when its addresses may have been renewed meanwhile."""

import json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PLAN_VERSION = 1


class PlanError(Exception):
    """The plan cannot be read or is not for this runner."""


class PlanFile:
    """The plan, and the folder from which its relative paths count."""

    def __init__(self, path: bytes) -> None:
        self.path = os.path.abspath(path)
        self.folder = os.path.dirname(self.path)
        self.document: "dict[str, Any]" = load(self.path)

    def reload(self) -> None:
        """Take over renewed addresses; a plan that cannot be read now leaves the old one standing."""
        try:
            fresh = load(self.path)
        except (OSError, PlanError):
            return
        if fresh["job_uid"] == self.document["job_uid"]:
            self.document = fresh

    def local(self, source: str) -> bytes:
        """The path of a ``source`` or ``path`` that is no URL."""
        from .text import encode

        if source.startswith("file://"):
            from urllib.parse import unquote_to_bytes

            return unquote_to_bytes(source[len("file://") :])
        return os.path.join(self.folder, encode(source))


def load(path: bytes) -> "dict[str, Any]":
    """The plan's JSON, checked for version; raises PlanError or OSError."""
    with open(path, "rb") as stream:
        text = stream.read().decode("utf-8")
    try:
        document = json.loads(text)
    except ValueError as error:
        msg = "plan is not JSON: %s" % error
        raise PlanError(msg) from error
    if not isinstance(document, dict) or document.get("version") != PLAN_VERSION:
        msg = "plan is not of version %d, which this runner reads" % PLAN_VERSION
        raise PlanError(msg)
    return document
