"""The archive that `docker save` would write: what a reader of it needs is there and agrees."""

import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.site.tutorial_image import docker_archive, recipe, rootfs

IMAGE = docker_archive.Image(
    name="lammps:tutorial", environment=("PATH=/bin", "A=b c"), command=("lmp",), epoch=1672531200
)


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    path = tmp_path / "layer.tar"
    (tmp_path / "hello").write_text("hello\n")
    with tarfile.open(path, "w") as tar:
        tar.add(tmp_path / "hello", "etc/hello")
    return path


def documents(archive: Path) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """The manifest's only entry, and the configuration and the layer that it names."""
    with tarfile.open(archive) as tar:

        def content(name: str) -> bytes:
            member = tar.extractfile(name)
            assert member is not None
            return member.read()

        (manifest,) = json.loads(content("manifest.json"))
        (layer,) = manifest["Layers"]
        return manifest, json.loads(content(manifest["Config"])), content(layer)


def test_archive_names_its_layer_by_the_digest_of_its_content(layer: Path, tmp_path: Path) -> None:
    docker_archive.write(layer, tmp_path / "image.tar", IMAGE)

    manifest, configuration, stored = documents(tmp_path / "image.tar")

    assert stored == layer.read_bytes()
    digest = hashlib.sha256(stored).hexdigest()
    assert configuration["rootfs"] == {"type": "layers", "diff_ids": [f"sha256:{digest}"]}
    assert manifest["RepoTags"] == ["lammps:tutorial"]
    assert manifest["Config"].endswith(".json")


def test_archive_carries_environment_and_command(layer: Path, tmp_path: Path) -> None:
    docker_archive.write(layer, tmp_path / "image.tar", IMAGE)

    _, configuration, _ = documents(tmp_path / "image.tar")

    assert configuration["config"] == {"Env": ["PATH=/bin", "A=b c"], "Cmd": ["lmp"]}
    assert configuration["created"] == "2023-01-01T00:00:00Z"
    assert configuration["os"] == "linux"


def test_same_layer_gives_same_bytes(layer: Path, tmp_path: Path) -> None:
    docker_archive.write(layer, tmp_path / "one.tar", IMAGE)
    docker_archive.write(layer, tmp_path / "two.tar", IMAGE)

    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


def test_mmdebstrap_is_told_everything_of_the_recipe() -> None:
    argv = rootfs.argv(
        recipe.LAMMPS, Path("/cache/root.tar"), "http://mirror.example/debian", ["Acquire::A 1"]
    )

    assert argv[-3:] == [recipe.LAMMPS.suite, "/cache/root.tar", "http://mirror.example/debian"]
    assert "--aptopt=Acquire::A 1" in argv
    assert "--include=lammps,python3-minimal" in argv
    assert [a for a in argv if a.startswith("--dpkgopt=")] == [
        f"--dpkgopt=path-exclude={pattern}" for pattern in recipe.LAMMPS.excluded
    ] + ["--dpkgopt=force-unsafe-io"]
