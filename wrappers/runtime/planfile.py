"""``plan.json`` read back, and read again when its addresses may have been renewed meanwhile.

One job of a sweep has a plan of its own, ``N/plan.json`` beside the sweep's, while it runs.
"""

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
        if self.document.get("sweep") is not None:
            msg = "plan is that of a sweep: the number of one of its jobs must follow it"
            raise PlanError(msg)

    def reload(self) -> None:
        """Take over renewed addresses; a plan that cannot be read now leaves the old one standing."""
        origin = self.document.get("copy_of")
        try:
            if origin is None:
                fresh = load(self.path)
            else:
                fresh = load_copy(self.local(origin["plan"]), origin["number"])
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

    def remove(self) -> None:
        """Of one job of a sweep: its plan, which holds presigned URLs, is of no more use."""
        if self.document.get("copy_of") is not None:
            try:
                os.unlink(self.path)
            except OSError:
                pass  # nobody else can read it


def write_copy(path: bytes, number: int) -> bytes:
    """Write the plan of job ``number`` of the sweep whose plan this is; returns where.

    Makes the job's folder where there is none. Raises PlanError or OSError.
    """
    from .stream import write_all

    text = json.dumps(load_copy(path, number))
    folder = os.path.join(os.path.dirname(os.path.abspath(path)), b"%d" % number)
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        pass  # job.sh has made it, or an earlier start
    written = os.path.join(folder, b"plan.json")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(written + b".part", flags, 0o600)
    try:
        write_all(descriptor, text.encode("ascii"))
    finally:
        os.close(descriptor)
    os.rename(written + b".part", written)
    return written


def load_copy(path: bytes, number: int) -> "dict[str, Any]":
    """The plan of job ``number`` of a sweep; raises PlanError or OSError."""
    from .sweep import NoSuchCopy, copy_of
    from .text import decode

    document = load(path)
    if document.get("sweep") is None:
        msg = "plan is that of one job, which has no number"
        raise PlanError(msg)
    try:
        return copy_of(document, number, decode(os.path.basename(path)))
    except NoSuchCopy as error:
        msg = "plan cannot be followed: %s" % error
        raise PlanError(msg) from error


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
