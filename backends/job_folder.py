"""Files of a job's folder that backends write and read."""

import os
from collections.abc import Iterator
from pathlib import Path

from prominence_hpc.backends.base import Stream

__all__ = ["copy_number", "link", "node_folder", "read_stream", "write_if_other", "write_private"]

_BLOCK_BYTES = 1 << 16


def write_private(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Write ``text`` to ``path`` for its owner alone; what was there is replaced.

    Names that are no UTF-8 (surrogate escapes) are written as the bytes that they stand for.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text.encode("utf-8", "surrogateescape"))


def write_if_other(path: Path, text: str, *, mode: int = 0o600) -> None:
    """:func:`write_private`, unless the file has this text already: a job may be reading it right now."""
    if not path.exists() or path.read_bytes() != text.encode("utf-8", "surrogateescape"):
        write_private(path, text, mode=mode)


def link(path: Path, target: str) -> None:
    """Make ``path`` a link to ``target``, unless it is one already."""
    if path.is_symlink() and str(path.readlink()) == target:
        return
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def copy_number(folder: Path) -> str | None:
    """N where ``folder`` is that of copy N of a submission, whose plan is in the folder above."""
    is_copy = not (folder / "plan.json").exists() and (folder.parent / "plan.json").exists()
    return folder.name if is_copy else None


def node_folder(folder: Path, number: int) -> Path:
    """Where what another node of a job than the first writes is kept, in the job's folder."""
    return folder / f"node-{number}" if number else folder


def read_stream(folder: Path, stream: Stream) -> Iterator[bytes]:
    """The bytes of a job's ``stdout`` or ``stderr`` in its folder; none where it has not begun."""
    try:
        file = (folder / stream).open("rb")
    except FileNotFoundError:
        return
    with file:
        while block := file.read(_BLOCK_BYTES):
            yield block
