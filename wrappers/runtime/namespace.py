"""Paths as the containers see them, found again on the node; none leads out of the working directory."""

import os

from .errors import UnsafeName
from .text import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence, Tuple

    Mounts = Sequence[Tuple[bytes, bytes]]

HOME = b"/home/user"
LINKS = 40


class Namespace:
    """``/home/user`` is the working directory; an artifact's mount is one of its folders."""

    def __init__(self, work: bytes, mounts: "Mounts" = ()) -> None:
        roots = [(_parts(path), os.path.join(work, folder)) for folder, path in mounts]
        roots.append((_parts(HOME), work))
        self.work = work
        self._roots = sorted(roots, key=lambda root: -len(root[0]))

    def locate(self, parts: "Sequence[bytes]") -> "bytes | None":
        """Where these steps lie on the node, links unseen; None outside of everything ours."""
        for root, host in self._roots:
            if list(parts[: len(root)]) == root:
                return os.path.join(host, *parts[len(root) :])
        return None

    def resolve(self, name: bytes) -> bytes:
        """The path on the node of a name relative to the working directory, or absolute in the container.

        Links are followed as the container would; what does not exist is taken as it is written.
        Raises UnsafeName where it ends outside.
        """
        pending = [part for part in reversed(os.path.join(HOME, name).split(b"/"))]
        current: "list[bytes]" = []
        links = LINKS
        while pending:
            part = pending.pop()
            if part in (b"", b"."):
                continue
            if part == b"..":
                del current[-1:]
                continue
            current.append(part)
            target = self._link(current)
            if target is None:
                continue
            links -= 1
            if links < 0:
                msg = "it leads through too many links"
                raise UnsafeName(msg)
            current = [] if target.startswith(b"/") else current[:-1]
            pending.extend(reversed(target.split(b"/")))
        host = self.locate(current)
        if host is None:
            msg = "it is outside of the working directory"
            raise UnsafeName(msg)
        return host

    def _link(self, parts: "Sequence[bytes]") -> "bytes | None":
        host = self.locate(parts)
        if host is None or any(list(parts) == root for root, _ in self._roots):
            return None
        try:
            return os.readlink(host)
        except (OSError, ValueError):
            return None


def of_plan(plan: "dict[str, Any]", work: bytes) -> Namespace:
    """The namespace of a plan's containers."""
    mounts = [artifact["mount"] for artifact in plan["artifacts"] if artifact.get("mount")]
    return Namespace(
        work, [(encode(mount["directory"]), encode(mount["path"])) for mount in mounts]
    )


def _parts(path: bytes) -> "list[bytes]":
    return [part for part in path.split(b"/") if part]
