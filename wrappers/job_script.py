"""``job.sh``: the scheduler's directives, the site's prologue, and the runner."""

import shlex
from collections.abc import Sequence

__all__ = ["NO_PYTHON_EXIT_CODE", "render_job_script"]

NO_PYTHON_EXIT_CODE = 127

# -I and -S: neither the user's environment and packages nor the site's take part.
RUN = """\
# The first python3 that is new enough runs the job; it takes this shell's place, so that the
# scheduler's signals reach it.
for python in python3 /usr/bin/python3 /usr/libexec/platform-python /usr/bin/python3.*[0-9]; do
    if "$python" -ISc 'import sys; sys.exit(sys.version_info < (3, 6))' 2>/dev/null; then
        exec "$python" -IS {runner} {plan}
    fi
done
echo "prominence: no Python 3.6 or later was found on $(uname -n)" >&2
exit {code}
"""


def render_job_script(
    directives: Sequence[str], prologue: Sequence[str], runner: str, plan: str
) -> str:
    """The script that a scheduler runs.

    ``directives`` are whole comment lines (``#SBATCH --ntasks=1``), ``prologue`` shell lines as the
    site wrote them; ``runner`` and ``plan`` are paths, absolute or relative to where the job starts.
    """
    parts = ["#!/bin/bash\n"]
    parts += [f"{line}\n" for line in directives]
    if prologue:
        parts += ["\n"] + [f"{line}\n" for line in prologue]
    run = RUN.format(runner=shlex.quote(runner), plan=shlex.quote(plan), code=NO_PYTHON_EXIT_CODE)
    return "".join(parts) + "\n" + run
