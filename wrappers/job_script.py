"""``job.sh``: the scheduler's directives, the site's prologue, and the runner."""

import shlex
from collections.abc import Sequence

__all__ = ["COPY_NUMBER", "NO_PYTHON_EXIT_CODE", "render_job_script", "render_succeeded_script"]

NO_PYTHON_EXIT_CODE = 127
NO_FOLDER_EXIT_CODE = 1

# -I and -S: neither the user's environment and packages nor the site's take part.
RUN = """\
# The first python3 that is new enough runs the job; it takes this shell's place, so that the
# scheduler's signals reach it.
for python in python3 /usr/bin/python3 /usr/libexec/platform-python /usr/bin/python3.*[0-9]; do
    if "$python" -ISc 'import sys; sys.exit(sys.version_info < (3, 6))' 2>/dev/null; then
        exec "$python" -IS {arguments}
    fi
done
echo "prominence: no Python 3.6 or later was found on $(uname -n)" >&2
exit {code}
"""
# What stands for a copy's number in its script, the prologue included.
COPY_NUMBER = '"$prominence_copy"'
COPY = """\
# Many jobs have this script: what each of them writes is in a folder named by its number.
umask 077
prominence_copy=$(( {expression} ))
mkdir -p {folder} || exit {code}
exec >>{folder}/stdout 2>>{folder}/stderr || exit {code}
"""


def render_job_script(
    directives: Sequence[str],
    prologue: Sequence[str],
    runner: str,
    plan: str,
    *,
    copy: str | None = None,
    folder: str = "",
    silent: bool = False,
) -> str:
    """The script that a scheduler runs.

    ``directives`` are whole comment lines (``#SBATCH --ntasks=1``), ``prologue`` shell lines as the
    site wrote them; ``runner`` and ``plan`` are paths, absolute or relative to where the job starts.

    Of a submission with copies, ``copy`` is what bash computes a copy's number from (such as
    ``$1 + SLURM_ARRAY_TASK_ID``), and ``folder`` is where the copies' folders are made; empty: where
    the job starts. Their standard output and error are there.

    Where ``silent``, the script ends with 0 also where the runner cannot be started.
    """
    parts = ["#!/bin/bash\n"]
    parts += [f"{line}\n" for line in directives]
    if copy is not None:
        parts += ["\n", _copy(copy, folder, 0 if silent else NO_FOLDER_EXIT_CODE)]
    if prologue:
        parts += ["\n"] + [f"{line}\n" for line in prologue]
    arguments = f"{shlex.quote(runner)} {shlex.quote(plan)}"
    if copy is not None:
        arguments += f" {COPY_NUMBER}"
    run = RUN.format(arguments=arguments, code=0 if silent else NO_PYTHON_EXIT_CODE)
    return "".join(parts) + "\n" + run


def render_succeeded_script(runner: str) -> str:
    """A script that says by its exit code whether all jobs of a submission have ended well.

    Its arguments are those of ``runner.pyz --succeeded``: a folder, and a number of copies.
    """
    arguments = f'{shlex.quote(runner)} --succeeded "$1" "$2"'
    return "#!/bin/bash\n\n" + RUN.format(arguments=arguments, code=NO_PYTHON_EXIT_CODE)


def _copy(expression: str, folder: str, code: int) -> str:
    below = shlex.quote(f"{folder}/") if folder else ""
    return COPY.format(expression=expression, folder=below + COPY_NUMBER, code=code)
