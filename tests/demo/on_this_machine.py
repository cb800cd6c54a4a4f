"""The tutorial without a site: on this machine's own cores, by the `local` backend."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.demo import tutorial
from tests.demo.terminal import Terminal
from tests.site import paths
from tests.site.errors import UnsupportedMachine
from tests.site.tutorial_image import cache, sif

FILES: Final = paths.CHECKOUT / "docs" / "tutorial" / "files"
RUNS: Final = (
    tutorial.Run("On this machine, the image as a SIF file", "local", "lammps.sif"),
    tutorial.Run("The same from the archive that `docker save` writes", "local", "lammps.tar"),
)
CONFIG: Final = """\
default_site = "local"

[sites.local]
backend = "local"
image_cache = "{home}/images"

[storage]
type = "folder"
"""
MISSING: Final = (
    "the tutorial can run on this machine by itself, but needs apptainer or singularity for its "
    "containers, and neither is on the PATH: https://apptainer.org has packages (Debian: apptainer "
    "in sid)"
)
FAREWELL: Final = """
That was the tutorial, on this machine. Its files are removed again. To try more:

    . .venv/bin/activate && prominence --help

As root on a Debian machine `make demo` brings up real Slurm and HTCondor and runs it there.
"""


def play() -> None:
    """Plays in a temporary folder, of which nothing is left. Raises SiteError or StepFailed."""
    if not sif.program():
        raise UnsupportedMachine(MISSING)
    images = cache.ensure()
    with tempfile.TemporaryDirectory(prefix="prominence-demo-") as name:
        home = Path(name)
        folder = home / "tutorial"
        shutil.copytree(FILES, folder)
        for image in (images.archive, images.sif):
            (folder / image.name).symlink_to(image)
        environment = _environment(home)
        try:
            tutorial.play(Terminal((), environment, folder), RUNS)
        finally:
            _end_jobs(environment)
    print(FAREWELL)


def _end_jobs(environment: dict[str, str]) -> None:
    """After a failure or Ctrl-C: a job that still runs would write into the folder as it goes."""
    listing = subprocess.run(
        ["prominence", "list", "--json"], env=environment, capture_output=True, check=False
    )
    jobs = [str(job["id"]) for job in json.loads(listing.stdout or "[]")]
    if jobs:
        subprocess.run(["prominence", "delete", *jobs], env=environment, check=False)


def _environment(home: Path) -> dict[str, str]:
    """A home of its own with a configuration of its own, and the `prominence` of this Python."""
    configuration = home / ".config" / "prominence" / "config.toml"
    configuration.parent.mkdir(parents=True)
    configuration.write_text(CONFIG.format(home=home))
    programs = Path(sys.executable).parent
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PROMINENCE_", "XDG_", "AWS_"))
    }
    return kept | {
        "HOME": str(home),
        "PROMINENCE_HOME": str(home / "state"),
        "PATH": f"{programs}:{os.environ.get('PATH', '')}",
    }
