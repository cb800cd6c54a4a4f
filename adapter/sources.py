"""What a job reads and where it writes, as its node can name it: images, artifacts, destinations.

Pure: the answers of object storage are handed in.
"""

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from prominence_hpc.adapter.spec.job import Artifact, Job, Task
from prominence_hpc.backends.base import Transfer
from prominence_hpc.wrappers import plan as plans

__all__ = [
    "SIF_SUFFIXES",
    "URL_SCHEMES",
    "Carrier",
    "Places",
    "Source",
    "artifact_filename",
    "artifact_of",
    "image_kind",
    "images_of",
    "uploaded_names",
]

REGISTRY_SCHEMES = ("docker://", "oras://", "library://", "shub://")
URL_SCHEMES = ("http://", "https://")
SIF_SUFFIXES = (".sif", ".simg")
DOCKER_ARCHIVE_SUFFIXES = (".tar", ".tgz", ".tar.gz")
OUTPUTS_FOLDER = "outputs"  # beside the plan, where the scheduler itself carries outputs home


@dataclass(frozen=True, kw_only=True)
class Source:
    """An uploaded object as a node can read it: a URL, or an absolute path here."""

    location: str
    sha256: str | None
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class Places:
    """Answers of object storage: sources by the name in the job, destinations by output name."""

    sources: Mapping[str, Source]
    destinations: Mapping[tuple[str, str], plans.Destination]  # (kind, name)
    ca_certificates: str | None = None  # PEM text that the storage's URLs are verified against
    # Names of objects with parameters in them: each job of the sweep has its own.
    swept: frozenset[str] = frozenset()


def uploaded_names(job: Job) -> list[str]:
    """Names of uploaded objects that the job reads: images first, each once."""
    images = [task.image for task in job.tasks if image_kind(task.image) is None]
    artifacts = [item.url for item in job.artifacts if not item.url.startswith(URL_SCHEMES)]
    return list(dict.fromkeys([*images, *artifacts]))


def image_kind(image: str) -> Literal["registry", "url", "path"] | None:
    """How an image is named; None for the name of an uploaded object."""
    if image.startswith(REGISTRY_SCHEMES):
        return "registry"
    if image.startswith(URL_SCHEMES):
        return "url"
    if image.startswith("/"):
        return "path"
    if image.endswith((*SIF_SUFFIXES, *DOCKER_ARCHIVE_SUFFIXES)):
        return None
    return "registry"


class Carrier:
    """Turns paths here into what the node can use, and remembers what must travel for it.

    Where nodes share the file system a path stays as it is. Otherwise the scheduler carries the file: to the
    node under a short name beside the plan, and outputs home from one folder there.
    """

    def __init__(self, *, shared: bool) -> None:
        self.shared = shared
        self._inputs: dict[Path, str] = {}
        self._home: dict[str, str] = {}

    def source(self, location: str) -> str:
        if self.shared or location.startswith(URL_SCHEMES):
            return location
        path = Path(location)
        return self._inputs.setdefault(path, f"object-{len(self._inputs)}")

    def destination(self, destination: plans.Destination) -> plans.Destination:
        if self.shared or destination.method != "folder" or destination.path is None:
            return destination
        name = self._home.setdefault(destination.path, f"{OUTPUTS_FOLDER}-{len(self._home)}")
        return plans.Destination(method="folder", path=name)

    def transfer(self) -> Transfer:
        return Transfer(
            inputs=tuple(self._inputs.items()),
            outputs=tuple((name, Path(path)) for path, name in self._home.items()),
        )


def images_of(
    job: Job, places: Places, carrier: Carrier
) -> tuple[tuple[plans.Image, ...], tuple[int, ...]]:
    """Each distinct image once, and for each task the index of its own."""
    images: dict[plans.Image, int] = {}
    indices = [
        images.setdefault(image_of(task, places, carrier), len(images)) for task in job.tasks
    ]
    return tuple(images), tuple(indices)


def image_of(task: Task, places: Places, carrier: Carrier) -> plans.Image:
    name, kind = task.image, image_kind(task.image)
    if kind is None:
        source = places.sources[name]
        return plans.Image(
            name=name,
            kind=file_kind(name),
            source=carrier.source(source.location),
            sha256=task.image_sha256 or source.sha256,
            size_bytes=source.size_bytes,
            runtime=task.runtime,
        )
    if kind == "url":
        return plans.Image(
            name=name,
            kind=file_kind(url_path(name)),
            source=name,
            sha256=task.image_sha256,
            runtime=task.runtime,
        )
    if kind == "path":
        return plans.Image(
            name=name,
            kind="directory-or-file",
            source=name,
            sha256=task.image_sha256,
            runtime=task.runtime,
        )
    credential = task.image_pull_credential
    return plans.Image(
        name=name,
        kind="registry",
        source=name if name.startswith(REGISTRY_SCHEMES) else f"docker://{name}",
        sha256=task.image_sha256,
        username=credential.username if credential else None,
        token=credential.token if credential else None,
        runtime=task.runtime,
    )


def file_kind(name: str) -> Literal["sif", "docker-archive"]:
    return "docker-archive" if name.endswith(DOCKER_ARCHIVE_SUFFIXES) else "sif"


def url_path(url: str) -> str:
    """The path of a URL as its server's files are named: without query, percent signs resolved."""
    from urllib.parse import unquote, urlsplit  # 4 ms, for jobs that name a URL

    return unquote(urlsplit(url).path, errors="surrogateescape")


def artifact_filename(url: str) -> str:
    """The name of an artifact's file in the working directory, where it is not unpacked.

    >>> artifact_filename("https://h/d%C3%BC/a%20b.txt?download=1"), artifact_filename("bob/c.tgz")
    ('a b.txt', 'c.tgz')
    """
    return posixpath.basename(url_path(url) if url.startswith(URL_SCHEMES) else url)


def artifact_of(artifact: Artifact, places: Places, carrier: Carrier) -> plans.Artifact:
    mount = artifact.mountpoint
    plan_mount = plans.Mount(directory=mount.directory, path=mount.path) if mount else None
    if artifact.url.startswith(URL_SCHEMES):
        return plans.Artifact(
            name=artifact.url,
            filename=artifact_filename(artifact.url),
            source=artifact.url,
            executable=artifact.executable,
            mount=plan_mount,
        )
    if artifact.url in places.swept:
        return plans.Artifact(
            name=artifact.url,
            filename=artifact_filename(artifact.url),
            source="",
            executable=artifact.executable,
            mount=plan_mount,
        )
    source = places.sources[artifact.url]
    return plans.Artifact(
        name=artifact.url,
        filename=artifact_filename(artifact.url),
        source=carrier.source(source.location),
        sha256=source.sha256,
        size_bytes=source.size_bytes,
        executable=artifact.executable,
        mount=plan_mount,
    )
