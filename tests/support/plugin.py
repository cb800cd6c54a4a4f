"""A pytest plugin (``-p tests.support.plugin``) that records what the marked tests showed.

``--support-record FILE`` adds the outcomes of this run to FILE, of which several runs may make one
table; ``python -m tests.support`` reads it.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.record import Shown, add_outcome, write_record
from tests.support.rows import COLUMNS

PROPERTY = "support"
MARKS = {"honours": "done", "refuses": "refused"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--support-record", metavar="FILE", help="add to what the marked tests show")


def pytest_configure(config: pytest.Config) -> None:
    """Outcomes reach the process that was started; with xdist the others only run tests."""
    name = config.getoption("--support-record")
    if name and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(Path(name)), "support-recorder")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What a test shows travels with its report, from whichever process it runs in."""
    for item in items:
        shown = [entry.as_json() for entry in shown_by(item)]
        if shown:
            item.user_properties.append((PROPERTY, json.dumps(shown)))


def shown_by(item: pytest.Item) -> Iterator[Shown]:
    """Each cell that a test fills if it passes."""
    for name, outcome in MARKS.items():
        for mark in item.iter_markers(name):
            columns = mark.kwargs.get("on") or columns_of(item)
            if not columns:
                message = f"{item.nodeid} is marked {name} and says on which engine it runs nowhere"
                raise pytest.UsageError(message)
            for row in mark.args:
                for column in columns:
                    yield Shown(row=row, column=column, outcome=outcome)


def columns_of(item: pytest.Item) -> tuple[str, ...]:
    """The engine that a fixture of the test was given."""
    callspec = getattr(item, "callspec", None)
    values = callspec.params.values() if callspec else ()
    return tuple(value for value in values if isinstance(value, str) and value in COLUMNS)


class Recorder:
    """Gathers the outcomes of a run, and leaves them in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[Shown, bool] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test counts as passed where its call did, and nothing of it failed or was skipped."""
        if report.when != "call" and report.passed:
            return
        for name, value in report.user_properties:
            if name == PROPERTY:
                for entry in json.loads(str(value)):
                    add_outcome(self._found, Shown(**entry), passed=report.passed)

    def pytest_sessionfinish(self) -> None:
        write_record(self._path, self._found)
