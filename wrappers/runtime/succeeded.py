"""Whether the jobs of a submission have all ended well, as their reports say.

For a scheduler that decides by a program's exit code what it runs next.
"""

import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, List

SHOWN = 5  # numbers of those that have not


def succeeded(folder: bytes, count: int) -> int:
    """0 where every one of ``count`` copies below ``folder`` has ended well, else 1 and a line on stdout.

    ``count`` 0: there are no copies, and the one report is in the folder itself.
    """
    if not count:
        if ended_well(folder):
            return 0
        sys.stdout.write("The job has not ended well.\n")
        return 1
    failed = failures(folder, range(count))
    if not failed:
        return 0
    numbers = ", ".join(map(str, failed[:SHOWN])) + (", ..." if len(failed) > SHOWN else "")
    sys.stdout.write("%d of %d jobs have not ended well: %s\n" % (len(failed), count, numbers))
    return 1


def failures(folder: bytes, numbers: "Iterable[int]") -> "List[int]":
    """The copies that have not ended well."""
    return [number for number in numbers if not ended_well(os.path.join(folder, b"%d" % number))]


def ended_well(folder: bytes) -> bool:
    """Whether the job whose folder this is has completed, and none of its tasks has failed it."""
    try:
        with open(os.path.join(folder, b"report.json"), "rb") as stream:
            report = json.loads(stream.read().decode("utf-8"))
    except (OSError, ValueError):
        return False  # it has never begun, or its node has died
    if not isinstance(report, dict) or report.get("phase") != "finished":
        return False
    return report.get("outcome") == "completed" and not report.get("cause")
