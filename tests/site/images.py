"""The site's two images, each over a base image of its Debian suite.

A tag is a hash of the folder that an image is built from: the same sources are never built twice,
and other sources never pass for built.
"""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Final

import docker
from docker.errors import APIError, ImageNotFound

from tests.site import commands, engine, paths, registries
from tests.site.errors import SiteError, tail
from tests.site.steps import side_by_side, step

# Testing for the hosts, stable for Ceph: what of each suite is known to work, README.md says.
SUITES: Final = {"node": "forky", "ceph": "trixie"}
PULL_SECONDS = 120
BUILD_SECONDS = 900


def tag_of(image: str) -> str:
    """The name under which `image` (a folder beside this file) is known to the engine."""
    digest = hashlib.sha256(SUITES[image].encode())
    folder = paths.HERE / image
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(f"\0{path.relative_to(folder)}\0{path.stat().st_mode & 0o111:o}\0".encode())
        digest.update(path.read_bytes())
    return f"prominence-site-{image}:{digest.hexdigest()[:16]}"


def ensure(client: docker.DockerClient) -> None:
    """Builds what is missing, both images beside each other."""
    missing = [image for image in SUITES if not _exists(client, tag_of(image))]
    if not missing:
        return
    if not shutil.which("mmdebstrap"):
        engine.require_root_and_apt("images")
        engine.install_packages("mmdebstrap")
    side_by_side(*[lambda image=image: _make(client, image) for image in missing])
    for image in missing:
        _forget_older(client, image)


def remove_all(client: docker.DockerClient) -> None:
    for repository in ("base", *SUITES):
        for image in client.images.list(f"prominence-site-{repository}"):
            for tag in image.tags:
                if tag.startswith("prominence-site-"):
                    client.images.remove(tag, force=True)


def _make(client: docker.DockerClient, image: str) -> None:
    suite = SUITES[image]
    base = f"prominence-site-base:{suite}"
    if not _exists(client, base):
        with step(f"base image of {suite}"):
            _make_base(client, suite, base)
    with step(f"image {image}"):
        _build(client, image, base)


def _make_base(client: docker.DockerClient, suite: str, tag: str) -> None:
    try:
        commands.run(["docker", "pull", "-q", f"debian:{suite}-slim"], timeout=PULL_SECONDS)
        client.images.get(f"debian:{suite}-slim").tag(tag)
    except SiteError:  # no registry of images in reach: from apt's mirror then
        _bootstrap(suite, tag)


def _bootstrap(suite: str, tag: str) -> None:
    options = [f"--aptopt={option}" for option in registries.apt_options()]
    make = ["mmdebstrap", "--variant=minbase", "--include=ca-certificates", *options]
    paths.LOGS.mkdir(parents=True, exist_ok=True)
    log = paths.LOGS / f"base-{suite}.log"
    with log.open("w") as stderr:
        bootstrap = subprocess.Popen(
            [*make, suite, "-", registries.mirror()], stdout=subprocess.PIPE, stderr=stderr
        )
        subprocess.run(
            ["docker", "import", "--change", f"LABEL {paths.LABEL}=base", "-", tag],
            stdin=bootstrap.stdout,
            stdout=stderr,
            stderr=stderr,
            timeout=BUILD_SECONDS,
            check=False,
        )
        failed = bootstrap.wait(timeout=10) != 0
    if failed:
        message = f"mmdebstrap could not make a base image of {suite}"
        raise SiteError(message, tail(log.read_text(errors="replace")))


def _build(client: docker.DockerClient, image: str, base: str) -> None:
    context = paths.WORK / "build" / image
    shutil.rmtree(context, ignore_errors=True)
    shutil.copytree(paths.HERE / image, context)
    registries.write_private(context / "private", SUITES[image])
    log = paths.LOGS / f"image-{image}.log"
    paths.LOGS.mkdir(parents=True, exist_ok=True)
    error = _stream_build(client, context, image, base, log)
    if error:
        message = f"image {image} could not be built: {error}"
        raise SiteError(message, tail(log.read_text(errors="replace")))


def _stream_build(
    client: docker.DockerClient, context: Path, image: str, base: str, log: Path
) -> str | None:
    """Writes the build's output to `log` as it comes; what went wrong, or None."""
    events = client.api.build(
        path=str(context),
        tag=tag_of(image),
        buildargs={"BASE": base},
        labels={paths.LABEL: image},
        rm=True,
        forcerm=True,
        timeout=BUILD_SECONDS,
        decode=True,
    )
    with log.open("w") as output:
        for event in events:
            output.write(event.get("stream") or json.dumps(event) + "\n")
            output.flush()
            if "error" in event:
                return str(event["error"])
    return None


def _forget_older(client: docker.DockerClient, image: str) -> None:
    """Removes builds of earlier sources; one that a running site is made of stays."""
    for old in client.images.list(f"prominence-site-{image}"):
        if tag_of(image) not in old.tags:
            try:
                client.images.remove(str(old.id))
            except APIError:
                continue


def _exists(client: docker.DockerClient, tag: str) -> bool:
    try:
        client.images.get(tag)
    except ImageNotFound:
        return False
    return True
