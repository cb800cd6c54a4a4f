"""An image of one layer as `docker save` writes it, made from a tar of its files without Docker.

The layout is that of https://github.com/moby/docker-image-spec (v1.2, "Combined Image JSON +
Filesystem Changeset Format"): manifest.json names a configuration and the layers in order.
"""

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

# What the kernel calls a machine, and what images call it.
ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, kw_only=True)
class Image:
    """What the configuration says beside the layer. `epoch` is its date, in seconds, UTC."""

    name: str  # NAME:TAG
    environment: Sequence[str]
    command: Sequence[str]
    epoch: int


def write(layer: Path, target: Path, image: Image) -> None:
    """Writes the archive; the same layer and image give the same bytes."""
    with layer.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    configuration = _json(_configuration(digest, image))
    name = f"{hashlib.sha256(configuration).hexdigest()}.json"
    layer_name = f"{digest}/layer.tar"
    manifest = [{"Config": name, "RepoTags": [image.name], "Layers": [layer_name]}]
    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as archive:
        with layer.open("rb") as content:
            archive.addfile(_member(layer_name, layer.stat().st_size, image.epoch), content)
        for member, text in ((name, configuration), ("manifest.json", _json(manifest))):
            archive.addfile(_member(member, len(text), image.epoch), io.BytesIO(text))


def _configuration(digest: str, image: Image) -> dict[str, object]:
    machine = platform.machine()
    created = datetime.fromtimestamp(image.epoch, UTC).isoformat().replace("+00:00", "Z")
    return {
        "architecture": ARCHITECTURES.get(machine, machine),
        "os": "linux",
        "created": created,
        "config": {"Env": list(image.environment), "Cmd": list(image.command)},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        "history": [{"created": created, "created_by": "mmdebstrap"}],
    }


def _json(document: object) -> bytes:
    return json.dumps(document, sort_keys=True).encode()


def _member(name: str, size: int, epoch: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = size, epoch, 0o644
    return member
