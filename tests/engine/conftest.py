"""What every test against real engines has: the mark `engine` and the fixture `site`."""

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.engine.fixtures import FAILED, folder, image, prominence
from tests.site.fixture import site

__all__ = ["folder", "image", "prominence", "site"]

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests of this folder; pytest hands every folder's conftest all tests of the run."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.engine)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Lets fixtures know how the test has ended."""
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report
