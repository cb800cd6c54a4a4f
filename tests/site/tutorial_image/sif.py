"""The archive as a SIF, by the Apptainer of this machine or else by that of the site."""

import os
import shutil
from pathlib import Path
from typing import Final

from tests.site import commands, paths
from tests.site.errors import UnsupportedMachine
from tests.site.handle import Site, engine_environment

BUILD_SECONDS: Final = 300
PROGRAMS: Final = ("apptainer", "singularity")


def program() -> str | None:
    """Apptainer or Singularity on this machine."""
    return next((name for name in PROGRAMS if shutil.which(name)), None)


def build(archive: Path, target: Path, site: Site | None) -> None:
    """Writes `target`; `site` is asked only where this machine has neither program."""
    here = program()
    if here:
        commands.run(_argv(here, str(archive), str(target)), timeout=BUILD_SECONDS)
    elif site:
        _build_on(site, archive, target)
    else:
        message = (
            "Neither apptainer nor singularity is on this machine's PATH; "
            "Debian has apptainer in sid, https://apptainer.org has packages for other systems."
        )
        raise UnsupportedMachine(message)


def _argv(program: str, archive: str, target: str) -> list[str]:
    return [program, "--silent", "build", "--force", target, f"docker-archive:{archive}"]


def _build_on(site: Site, archive: Path, target: Path) -> None:
    folder = site.run(["mktemp", "-d", "/var/tmp/tutorial-XXXXXX"]).stdout.strip()
    try:
        copy(archive, site, f"{folder}/{archive.name}")
        there = f"{folder}/{target.name}"
        site.run(_argv("apptainer", f"{folder}/{archive.name}", there), timeout=BUILD_SECONDS)
        _docker_copy(_name_there(there), str(target))
    finally:
        site.run(["rm", "-rf", folder], user="root")


def copy(source: Path, site: Site, target: str, *, user: str = "alice") -> None:
    """A file of any size to the login node, where it then belongs to `user`."""
    _docker_copy(str(source), _name_there(target))
    site.run(["chown", "-R", f"{user}:{user}", target], user="root")


def _name_there(path: str) -> str:
    return f"{paths.NAME}-login:{path}"


def _docker_copy(source: str, target: str) -> None:
    environment = {**os.environ, **engine_environment()}
    commands.run(["docker", "cp", source, target], timeout=BUILD_SECONDS, env=environment)
