"""Fixtures for tests that type `prominence` commands; conftest.py gives them to every test here."""

from collections.abc import Iterator

import pytest

from tests.engine.prominence import BACKENDS, Prominence, backend_and_transport
from tests.site.handle import Site

__all__ = ["FAILED", "folder", "image", "prominence"]

# Whether a test has failed: what it has left in a queue would be in the way of those that follow.
FAILED = pytest.StashKey[bool]()
END_JOBS = """
condor_rm -constraint "regexp(\"^$1/\", Iwd)"
squeue --me --noheader --format="%i %Z" | while read -r id folder; do
  case "$folder" in "$1"/*) scancel "$id" ;; esac
done
"""

IMAGE = "engine-test.sif"
MAKE_IMAGE = f"""
mkdir -p ~/engine-tests && cd ~/engine-tests
exec 9> lock && flock 9  # several test processes may ask for the image at once
[ -e {IMAGE} ] || {{
  mkdir -p root/bin root/tmp root/home root/proc root/sys root/dev root/etc
  cp /bin/busybox root/bin/
  for name in $(busybox --list); do [ $name = busybox ] || ln -sf busybox root/bin/$name; done
  apptainer -q build -F {IMAGE} root
}}
prominence upload --name {IMAGE} --filename {IMAGE}
"""


@pytest.fixture(scope="session")
def image(site: Site) -> str:
    """The name of an uploaded image with a shell and little more."""
    site.run(["bash", "-ec", MAKE_IMAGE])
    return IMAGE


@pytest.fixture
def folder(site: Site, request: pytest.FixtureRequest) -> Iterator[str]:
    """A folder of the test's own in the home that login node and Slurm's nodes share."""
    name = "".join(c if c.isalnum() else "-" for c in request.node.name)
    folder = f"/home/alice/engine-tests/{name}"
    site.run(["sh", "-c", 'rm -rf "$1"; mkdir -p "$1"', "sh", folder])
    yield folder
    if request.node.stash.get(FAILED, False):
        site.run(["bash", "-ec", END_JOBS, "bash", folder], check=False)
    site.run(["rm", "-rf", folder])


@pytest.fixture(params=BACKENDS)
def prominence(site: Site, folder: str, request: pytest.FixtureRequest) -> Prominence:
    """The command, with jobs going to each backend in turn, to Slurm by both transports."""
    backend, transport = backend_and_transport(request.param)
    return Prominence(site, folder, backend=backend, transport=transport)
