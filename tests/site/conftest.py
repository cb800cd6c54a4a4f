"""The tests of the site itself need the site."""

from tests.site.fixture import site

__all__ = ["site"]
