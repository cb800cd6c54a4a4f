"""The `site` fixture. A conftest.py that imports it gives it to the tests beside and below it."""

import os
import subprocess
from collections.abc import Iterator
from typing import Final

import pytest

from tests.site import locks, paths
from tests.site.errors import UnsupportedMachine, tail
from tests.site.handle import Site

# From nothing, on a busy machine, after waiting for others; each step has its own, lower limit.
UP_SECONDS: Final = 2400


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """The site, up and well, with the `prominence` of this checkout. It stays up after the tests.

    A machine that cannot have it skips the test with the reason; CI must have it, so there it fails.
    A site that should come up and does not is a failure everywhere.
    """
    # A process of its own: what it prints is shown when it fails, and what it imports stays there.
    done = subprocess.run(
        [str(paths.HERE / "site"), "up"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=UP_SECONDS,
        check=False,
    )
    if done.returncode == UnsupportedMachine.exit_code and os.environ.get("CI") != "true":
        pytest.skip(tail(done.stdout))
    if done.returncode != 0:
        pytest.fail(f"the test site did not come up:\n{done.stdout}", pytrace=False)
    with locks.using():
        yield Site()
