"""The tutorial on the test site: as an ordinary user on its login node, on Slurm and on HTCondor."""

from typing import Final

from tests.demo import tutorial
from tests.demo.terminal import Terminal
from tests.site import lifecycle, paths
from tests.site.handle import Site, engine_environment, exec_argv
from tests.site.tutorial_image import cache, sif

FILES: Final = paths.CHECKOUT / "docs" / "tutorial" / "files"
FOLDER: Final = "/home/alice/tutorial"
RUNS: Final = (
    tutorial.Run("On Slurm, the image as a SIF file", "slurm", "lammps.sif"),
    tutorial.Run("On HTCondor, the image as `docker save` writes it", "htcondor", "lammps.tar"),
)
FAREWELL: Final = f"""
That was the tutorial. The site is still up, and the folder {FOLDER} is as you have seen it:

    make site-shell         a shell as alice on the login node
    cd tutorial             the images, lj/ and what was downloaded
    prominence --help       what else there is to try
    make site-status        hosts, services and versions
    make site-down          take the site down (its images stay for the next time)
    tests/site/site down --all    leave nothing on this machine
"""


def play() -> None:
    """Brings the site up and plays there. Raises SiteError or StepFailed."""
    site = lifecycle.up()
    _lay_out(site)
    prefix = exec_argv((), cwd=FOLDER)
    tutorial.play(Terminal(tuple(prefix), engine_environment()), RUNS)
    print(FAREWELL)


def _lay_out(site: Site) -> None:
    """The folder as it is before the first command: small files and the two images."""
    images = cache.ensure(site)
    site.run(["rm", "-rf", FOLDER])
    sif.copy(FILES, site, FOLDER)
    for image in (images.archive, images.sif):
        sif.copy(image, site, f"{FOLDER}/{image.name}")
