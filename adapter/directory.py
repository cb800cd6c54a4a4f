"""``create --directory``: a local folder packed and uploaded, to be unpacked in the job."""

import errno
import os
import stat
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from prominence_hpc.adapter.objects import object_key, upload_object
from prominence_hpc.adapter.storage.base import ObjectInfo, Progress, Storage
from prominence_hpc.errors import (
    BackendUnavailable,
    NotFoundError,
    ProminenceError,
    StorageError,
    UsageError,
)

__all__ = ["PackedDirectory"]

COMPRESSION_LEVEL = 1  # the network is seldom slower than this; a higher level seldom pays
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

# Shows how far the transfer of so many bytes, under this label, has come.
Show = Callable[[str, int], AbstractContextManager[Progress | None]]


@dataclass(frozen=True, kw_only=True)
class PackedDirectory:
    """What lies in ``folder`` (not the folder itself), as the artifact ``name`` of a job."""

    name: str
    folder: Path
    show: Show

    @contextmanager
    def uploaded(self, storage: Storage, user: str) -> Iterator[ObjectInfo]:
        """The stored archive; removed again where the body fails, unless a job may need it.

        UsageError names what no node would unpack, NotFoundError what cannot be read, StorageError
        the temporary folder, where the archive lies meanwhile, if it is full; then nothing is stored.
        """
        info = self._upload(storage, user)
        try:
            yield info
        except BackendUnavailable:
            raise  # the job may have been submitted
        except (ProminenceError, OSError):
            with suppress(ProminenceError):  # the first error is the one to tell
                storage.delete(object_key(user, self.name))
            raise

    def _upload(self, storage: Storage, user: str) -> ObjectInfo:
        check_members(self.folder)
        with (
            packed(self.folder) as archive,
            self.show(f"Uploading {self.folder}", archive.stat().st_size) as progress,
        ):
            return upload_object(storage, user, self.name, archive, progress=progress)


def check_members(folder: Path, depth: int = 0) -> None:
    """Raise UsageError for the first thing in ``folder`` that the node would refuse to unpack."""
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise unreadable(folder, error) from error
    for entry in found:
        problem = member_problem(entry, depth)
        if problem:
            msg = f"{entry.path} is {problem}, which no job can unpack: remove it from the folder."
            raise UsageError(msg)
        if entry.is_dir(follow_symlinks=False):
            check_members(Path(entry.path), depth + 1)


def member_problem(entry: os.DirEntry[str], depth: int) -> str:
    if entry.is_symlink():
        return link_problem(os.readlink(entry.path), depth)  # noqa: PTH115 # no dots are resolved
    mode = entry.stat(follow_symlinks=False).st_mode
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return ""
    return "a socket" if stat.S_ISSOCK(mode) else "a pipe" if stat.S_ISFIFO(mode) else "a device"


def link_problem(target: str, depth: int) -> str:
    """What the wrapper would have against a symbolic link ``depth`` folders below the top.

    >>> link_problem("../data/x", 1), link_problem("../x", 0)
    ('', 'a link that leads out of the folder')
    >>> link_problem("/etc/passwd", 3), link_problem("a/../x", 3)
    ('a link to an absolute path', 'a link with ".." after a name')
    """
    if target.startswith("/"):
        return "a link to an absolute path"
    steps = [step for step in target.split("/") if step not in {"", "."}]
    climb = len(list(takewhile("..".__eq__, steps)))
    if climb > depth:
        return "a link that leads out of the folder"
    return 'a link with ".." after a name' if ".." in steps[climb:] else ""


@contextmanager
def packed(folder: Path) -> Iterator[Path]:
    """A temporary archive of what lies in ``folder``."""
    with ExitStack() as stack:
        try:
            temporary = stack.enter_context(tempfile.TemporaryDirectory(prefix="prominence-"))
            archive = Path(temporary, "packed.tar.gz")
            pack(folder, archive)
        except OSError as error:
            raise no_room(folder, error) from error
        yield archive


def pack(folder: Path, path: Path) -> None:
    with tarfile.open(path, mode="x:gz", compresslevel=COMPRESSION_LEVEL) as archive:
        for entry in sorted(folder.iterdir()):
            add(archive, entry)


def add(archive: tarfile.TarFile, entry: Path) -> None:
    try:
        archive.add(entry, arcname=entry.name)
    except OSError as error:
        if error.errno in NO_ROOM:  # it is the archive that cannot be written
            raise
        raise unreadable(Path(error.filename or entry), error) from error


def unreadable(path: Path, error: OSError) -> NotFoundError:
    return NotFoundError(f"{path} cannot be packed: {error.strerror or error}.")


def no_room(folder: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{folder} cannot be packed in the temporary folder {tempfile.gettempdir()}: "
        f"{error.strerror or error}; name one with more room by setting TMPDIR."
    )
