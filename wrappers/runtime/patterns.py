"""Shell patterns over the job's files, as its containers see them."""

import fnmatch
import os

from .errors import UnsafeName

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .namespace import Namespace


def is_pattern(name: bytes) -> bool:
    return any(mark in name for mark in (b"*", b"?", b"["))


def expand(namespace: "Namespace", pattern: bytes) -> "set[bytes]":
    """Names that match, step by step like a shell: hidden names only where a dot is written."""
    steps = [step for step in pattern.split(b"/") if step not in (b"", b".")]
    found = {b"/" if pattern.startswith(b"/") else b""}
    for step in steps:
        found = {
            os.path.join(base, name) for base in found for name in _step(namespace, base, step)
        }
    return found


def _step(namespace: "Namespace", base: bytes, step: bytes) -> "list[bytes]":
    if not is_pattern(step):
        return [step]
    try:
        names = os.listdir(namespace.resolve(base))
    except (OSError, UnsafeName):
        return []
    hidden = step.startswith(b".")
    names = [name for name in names if hidden or not name.startswith(b".")]
    return fnmatch.filter(names, step)
