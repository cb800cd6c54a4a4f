"""Small local files that travel inside the job description."""

import binascii
import stat
from pathlib import Path
from typing import Any

from prominence_hpc.adapter.spec.texts import MAXIMUM_INPUT_BYTES
from prominence_hpc.errors import UsageError

__all__ = ["input_entry"]


def input_entry(path: Path) -> dict[str, Any]:
    """The entry of ``inputs`` for a local file: its name without folders, its content in base64.

    A file that may be executed here may be executed in the job. Raises UsageError where the file is
    missing, unreadable, not a file, or has 1,000,000 bytes or more.
    """
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            msg = f"{path} is not a file; upload a directory's archive and list it as an artifact"
            raise UsageError(msg)
        with path.open("rb") as file:
            content = file.read(MAXIMUM_INPUT_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        msg = f"{path} cannot be read: {reason}"
        raise UsageError(msg) from error
    if len(content) > MAXIMUM_INPUT_BYTES:
        msg = (
            f"{path} has 1,000,000 bytes or more; upload it (prominence upload --name NAME "
            f"--filename {path}) and list NAME under artifacts"
        )
        raise UsageError(msg)
    entry = {
        "filename": path.name,
        "content": binascii.b2a_base64(content, newline=False).decode("ascii"),
    }
    return entry | {"executable": True} if mode & stat.S_IXUSR else entry
