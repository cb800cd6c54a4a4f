"""Prints the final temperature and the loop time of a LAMMPS run: summarise.py [LOG]."""

import re
import sys
from pathlib import Path

LOOP = re.compile(r"Loop time of (\S+) on (\d+) procs for (\d+) steps with (\d+) atoms")


def summarise(log: str) -> str:
    """Two sentences about the last run in a log. Its table ends at the line "Loop time of …"."""
    runs = list(LOOP.finditer(log))
    if not runs:
        sys.exit("summarise.py: this log holds no finished run")
    seconds, processes, steps, atoms = runs[-1].groups()
    table = [line.split() for line in log[: runs[-1].start()].splitlines()]
    header = max(i for i, words in enumerate(table) if words[:1] == ["Step"])
    temperature = table[-1][table[header].index("Temp")]
    return (
        f"Final temperature: {temperature} (reduced units) after {steps} steps of {atoms} atoms\n"
        f"Loop time: {seconds} s on {processes} process{'' if processes == '1' else 'es'}"
    )


if __name__ == "__main__":
    print(summarise(Path(sys.argv[1] if len(sys.argv) > 1 else "log.lammps").read_text()))
