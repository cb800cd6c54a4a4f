"""Where the finished image is kept: a folder for each recipe, outside the checkout."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.site import paths
from tests.site.handle import Site
from tests.site.steps import step
from tests.site.tutorial_image import docker_archive, recipe, rootfs, sif
from tests.site.tutorial_image.recipe import Recipe


@dataclass(frozen=True)
class Files:
    """The two forms of the image."""

    archive: Path  # as by `docker save`
    sif: Path

    def exist(self) -> bool:
        return self.archive.exists() and self.sif.exists()


def ensure(site: Site | None = None, what: Recipe = recipe.LAMMPS) -> Files:
    """Both files, made if this machine does not have them yet.

    Where it fails no half-written file carries one of their names. Raises UnsupportedMachine where
    mmdebstrap or Apptainer is missing and cannot be had.
    """
    shared = _files(paths.WORK / what.folder, what)
    if shared.exist():
        return shared
    folder = (paths.WORK if os.geteuid() == 0 else _own_folder()) / what.folder
    files = _files(folder, what)
    with _exclusive(folder):
        if not files.archive.exists():
            _forget_older(folder, what)
            with step(f"image {what.name}: Debian with {', '.join(what.packages)}"):
                _make_archive(files.archive, what)
        if not files.sif.exists():
            with step(f"image {what.name} as SIF"):
                _make_sif(files, site)
    return files


def _files(folder: Path, what: Recipe) -> Files:
    made = folder / what.digest()
    return Files(made / f"{what.file}.tar", made / f"{what.file}.sif")


def _own_folder() -> Path:
    """An ordinary user's, where root has left no image for all."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / paths.NAME


def _make_archive(target: Path, what: Recipe) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    layer, written = target.with_suffix(".layer"), target.with_suffix(".part")
    image = docker_archive.Image(
        name=what.name,
        environment=what.environment,
        command=what.command,
        epoch=what.epoch,
    )
    try:
        rootfs.make(layer, what)
        docker_archive.write(layer, written, image)
        written.rename(target)
    finally:
        layer.unlink(missing_ok=True)
        written.unlink(missing_ok=True)


def _make_sif(files: Files, site: Site | None) -> None:
    written = files.sif.with_suffix(".part")
    try:
        sif.build(files.archive, written, site)
        written.rename(files.sif)
    finally:
        written.unlink(missing_ok=True)


def _forget_older(folder: Path, what: Recipe) -> None:
    for old in folder.iterdir():
        if old.is_dir() and old.name != what.digest():
            shutil.rmtree(old)


@contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """One process at a time makes the image; the others then find it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
