"""What every test against real engines has: the mark `engine` and the fixture `site`."""

from pathlib import Path

import pytest

from tests.engine.fixtures import folder, image, prominence
from tests.site.fixture import site

__all__ = ["folder", "image", "prominence", "site"]

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests of this folder; pytest hands every folder's conftest all tests of the run."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.engine)
