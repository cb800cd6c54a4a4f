"""Checksums of files in a storage folder, kept in ``.prominence/NAME`` beside ``NAME``.

A line of JSON with the size and time of the file that it was computed for; readers ignore one that
does not fit, so that a file and its checksum need not be replaced in the same instant.
"""

import json
import os
from contextlib import suppress
from pathlib import Path

from prominence_hpc.adapter.storage.keys import HIDDEN
from prominence_hpc.adapter.storage.local import replacing

__all__ = ["forget", "read_checksum", "write_checksum"]


def read_checksum(path: Path, status: os.stat_result) -> str | None:
    """The checksum kept for ``path``, if it is that of the file whose status this is."""
    try:
        kept = json.loads(_beside(path).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    if not isinstance(kept, dict) or _identity(status) != (kept.get("size"), kept.get("mtime")):
        return None
    sha256 = kept.get("sha256")
    return sha256 if isinstance(sha256, str) else None


def write_checksum(path: Path, status: os.stat_result, sha256: str) -> None:
    """Keep ``sha256`` for the file that will be at ``path`` and has this status now.

    Raises StorageError; what was kept before is then still there.
    """
    beside = _beside(path)
    beside.parent.mkdir(mode=0o700, exist_ok=True)
    size, mtime = _identity(status)
    text = json.dumps({"sha256": sha256, "size": size, "mtime": mtime})
    with replacing(beside, mode=0o600) as descriptor:
        os.write(descriptor, text.encode("ascii"))


def forget(path: Path) -> None:
    """Remove what is kept for ``path``, which is gone."""
    with suppress(FileNotFoundError, NotADirectoryError):
        _beside(path).unlink()


def _beside(path: Path) -> Path:
    return path.parent / HIDDEN / path.name


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, int(status.st_mtime)  # Lustre keeps whole seconds
