"""``python -m tests.support RECORD``: check docs/reference/support.md against a run's record; --write."""

import argparse
import sys
from pathlib import Path

from tests.support.record import read_record
from tests.support.table import page, problems

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "support.md"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("record", type=Path, help="what --support-record wrote")
    parser.add_argument("--write", action="store_true", help="write the page")
    arguments = parser.parse_args()
    found = read_record(arguments.record)
    wrong = list(problems(found))
    text = page(found)
    if arguments.write and not wrong:
        PAGE.write_text(text, encoding="utf-8")
    elif not wrong and (not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text):
        wrong.append(f"{PAGE.name} is not what the tests have shown: run 'make support'")
    for problem in wrong:
        sys.stderr.write(f"{problem}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
