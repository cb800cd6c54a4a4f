"""The one place that runs other programs on this machine, as argument lists and with a time limit."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.site.errors import SiteError, tail


def run(
    argv: Sequence[str],
    *,
    timeout: float,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> str:
    """What the command printed on stdout. A failure is a SiteError with the tail of its output."""
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=timeout, env=env, cwd=cwd, check=False
        )
    except subprocess.TimeoutExpired as error:
        message = f"`{' '.join(argv[:4])} …` did not end within {timeout:.0f} s"
        raise SiteError(message) from error
    if done.returncode != 0:
        message = f"`{' '.join(argv[:4])} …` failed with exit code {done.returncode}"
        raise SiteError(message, tail(done.stdout + done.stderr))
    return done.stdout
