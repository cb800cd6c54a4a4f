"""The Pythons of this machine under which the runner is tried: the oldest, the newest, our own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["PYTHONS"]

ASK = "import sys; print('%d.%03d' % sys.version_info[:2], sys.version_info >= (3, 6))"


def candidates() -> Iterator[str]:
    """Those on PATH, and what pyenv keeps, whose names on PATH are only stand-ins."""
    for minor in range(6, 30):
        found = shutil.which(f"python3.{minor}")
        if found is not None:
            yield found
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from (str(path) for path in root.glob("versions/*/bin/python3"))


def usable() -> list[str]:
    """Pythons that start and are new enough, by version."""
    answers = []
    for path in {*candidates(), sys.executable}:
        done = subprocess.run([path, "-ISc", ASK], capture_output=True, text=True, check=False)
        if done.returncode == 0 and done.stdout.endswith("True\n"):
            answers.append((done.stdout, path))
    return [path for _, path in sorted(answers)]


_FOUND = usable()
PYTHONS = sorted({_FOUND[0], _FOUND[-1], sys.executable})
