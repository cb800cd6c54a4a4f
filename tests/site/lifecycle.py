"""Up, down and status: what the commands of `site` do, and what the tests' fixture calls."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import docker
from docker.errors import DockerException

from tests.site import engine, health, images, install, locks, paths, topology
from tests.site.errors import SiteError
from tests.site.handle import CommandFailed, CommandTimedOut, Site
from tests.site.steps import step

# A site that already runs gets this long to prove well, as tests may keep it busy, before it is made
# anew.
STILL_WELL_SECONDS = 60


@contextmanager
def changing() -> Iterator[None]:
    """Bringing the site up or down excludes other processes, and fails with a SiteError alone."""
    try:
        with locks.changing():
            yield
    except DockerException as error:
        message = f"the container engine refuses: {error}"
        raise SiteError(message) from error
    except (CommandFailed, CommandTimedOut, subprocess.SubprocessError) as error:
        first, _, rest = str(error).partition("\n")
        raise SiteError(first, rest) from error


def up() -> Site:
    """The site, running and well, with the checkout's `prominence`; does only what is missing."""
    engine.require_root_and_apt("the hosts' homes and networks")
    with changing():
        with step("engine answers"):
            os.environ["DOCKER_HOST"] = engine.ensure()
        client = docker.from_env(timeout=120)
        images.ensure(client)
        site = Site()
        if not _is_well(client, site):
            _make_anew(client, site)
        with step("prominence of this checkout installed"):
            install.refresh(site)
        return site


def _is_well(client: docker.DockerClient, site: Site) -> bool:
    if not topology.is_whole(client):
        return False
    try:
        with step("every service well"):
            health.wait(site, STILL_WELL_SECONDS)
    except SiteError as error:
        print(f"{error}: making the site anew")
        return False
    return True


def _make_anew(client: docker.DockerClient, site: Site) -> None:
    if topology.containers(client) or paths.STATE.exists():
        with locks.nobody_using(), step("old site removed"):
            topology.remove(client)
            shutil.rmtree(paths.STATE, ignore_errors=True)
    with step("hosts started"):
        topology.start(client)
    with step("every service well"):
        health.wait(site)


def down(*, everything: bool = False) -> None:
    """Leaves no host, network or file of the site; with `everything`, of any site on this machine,
    and no image and no engine of ours either."""
    with changing():
        host = engine.find()
        if host:
            os.environ["DOCKER_HOST"] = host
            client = docker.from_env(timeout=120)
            with step("hosts and networks removed"):
                topology.remove(client, of_all_sites=everything)
            if everything:
                with step("images removed"):
                    images.remove_all(client)
        if paths.STATE.exists():
            shutil.rmtree(paths.STATE)
        if everything:
            with step("engine stopped, if it was ours"):
                engine.stop()
            shutil.rmtree(paths.WORK)
