"""What marked tests have shown, in a file that several runs add to."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["Shown", "add_outcome", "read_record", "write_record"]


@dataclass(frozen=True)
class Shown:
    """One cell of the table, and what a test says of it by passing: ``done`` or ``refused``."""

    row: str
    column: str
    outcome: str

    def as_json(self) -> dict[str, str]:
        return asdict(self)


def add_outcome(found: dict[Shown, bool], shown: Shown, *, passed: bool) -> None:
    """Several tests may show the same: all of them must have passed."""
    found[shown] = found.get(shown, True) and passed


def read_record(path: Path) -> dict[Shown, bool]:
    """Each that was shown, and whether every test that shows it passed; nothing where no file is."""
    if not path.exists():
        return {}
    entries = json.loads(path.read_text(encoding="utf-8"))
    return {
        Shown(row=entry["row"], column=entry["column"], outcome=entry["outcome"]): entry["passed"]
        for entry in entries
    }


def write_record(path: Path, found: dict[Shown, bool]) -> None:
    """Add ``found`` to what is in the file already."""
    every = read_record(path)
    for shown, passed in found.items():
        add_outcome(every, shown, passed=passed)
    entries = [{**shown.as_json(), "passed": passed} for shown, passed in every.items()]
    path.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
