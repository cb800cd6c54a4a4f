"""Docker archives in the form that udocker reads.

``docker save``, podman, skopeo, buildah and others write one in different layouts; all agree on
manifest.json, which names the configuration and the layers. udocker needs what old versions of
docker wrote beside: a folder for each layer, with the name of the layer below it
(https://github.com/moby/docker-image-spec, v1.1).
"""

import hashlib
import io
import json
import posixpath
import tarfile

from .errors import Corrupt
from .text import decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO

REPOSITORY, TAG = "image", "latest"


def rewrite(source: bytes, target: bytes) -> None:
    """The first image of ``source`` as ``image:latest``; raises Corrupt where there is none."""
    try:
        with tarfile.open(decode(source), "r:") as archive:
            _rewrite(archive, target)
    except (tarfile.TarError, ValueError, KeyError, TypeError, IndexError) as error:
        msg = "it is not a Docker archive that can be read"
        raise Corrupt(msg) from error


def _rewrite(archive: tarfile.TarFile, target: bytes) -> None:
    with tarfile.open(decode(target), "w", format=tarfile.GNU_FORMAT) as written:
        _Rewriter(archive, written).run()


class _Rewriter:
    def __init__(self, archive: tarfile.TarFile, written: tarfile.TarFile) -> None:
        self.archive = archive
        self.written = written
        self.members = {posixpath.normpath(item.name): item for item in archive}

    def run(self) -> None:
        if "manifest.json" not in self.members:
            msg = "it is no Docker archive: it has no manifest.json"
            raise Corrupt(msg)
        manifest = json.loads(self._open("manifest.json").read().decode("utf-8"))[0]
        configuration = self._open(manifest["Config"]).read()
        name = hashlib.sha256(configuration).hexdigest() + ".json"
        self._add(name, configuration)
        parent = ""
        files = []
        for number, layer in enumerate(manifest["Layers"]):
            # The same layer may occur twice, and must not be its own parent.
            own = hashlib.sha256(("%s %d" % (name, number)).encode("ascii")).hexdigest()
            self._add_layer(own, parent, layer)
            files.append(own + "/layer.tar")
            parent = own
        tag = "%s:%s" % (REPOSITORY, TAG)
        document = [{"Config": name, "RepoTags": [tag], "Layers": files}]
        self._add("manifest.json", json.dumps(document).encode("ascii"))
        repositories = {REPOSITORY: {TAG: parent}}
        self._add("repositories", json.dumps(repositories).encode("ascii"))

    def _add_layer(self, own: str, parent: str, layer: str) -> None:
        about = {"id": own, "parent": parent} if parent else {"id": own}
        self._add(own + "/VERSION", b"1.0")
        self._add(own + "/json", json.dumps(about).encode("ascii"))
        with self._open(layer) as content:
            size = content.seek(0, io.SEEK_END)
            content.seek(0)
            member = _member(own + "/layer.tar", size)
            self.written.addfile(member, content)

    def _open(self, name: str) -> "IO[bytes]":
        """A member, or what it is a link to."""
        found = self.archive.extractfile(self.members[posixpath.normpath(name)])
        if found is None:
            raise KeyError(name)
        return found

    def _add(self, name: str, content: bytes) -> None:
        self.written.addfile(_member(name, len(content)), io.BytesIO(content))


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    return member
