"""Objects as files below one folder that login and compute nodes share.

    uploads/USER/NAME        ROOT/USER/uploads/NAME
    scratch/JOB_UID/NAME     ROOT/ME/scratch/JOB_UID/NAME      snapshots/… likewise

Each user's folder, ``ROOT/USER``, is readable by its owner alone (0700, files 0600), so that one
ROOT can serve many users. Such a ROOT is made by the administrator, writable by all and sticky
(``chmod 1777``). What another user has put in the way there, a link or a folder of somebody else's,
is refused where it is in one's own place, and counts as absent where it is in another's
(:mod:`.places`).

Checksums lie beside the files, in ``.prominence/NAME``: many network file systems have no extended
attributes. One that does not fit its file's size and time any more is not believed.
"""

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from prominence_hpc.adapter.storage.base import ObjectInfo, PartUpload, Progress
from prominence_hpc.adapter.storage.checksums import forget, read_checksum, write_checksum
from prominence_hpc.adapter.storage.keys import check_key, is_hidden
from prominence_hpc.adapter.storage.local import (
    checked_room,
    file_size,
    opened,
    replacing,
    verify,
)
from prominence_hpc.adapter.storage.places import OTHERS_MAY_WRITE, Place
from prominence_hpc.errors import NotFoundError, StorageError, UsageError
from prominence_hpc.wrappers.plan import Destination

__all__ = ["FolderStorage"]

BLOCK_BYTES = 1024**2
OWN = 2  # parts of a key that name its folder: uploads/USER, scratch/JOB_UID


class FolderStorage:
    """See :class:`.base.Storage`. ``user`` is whose uploads these are, as keys name them."""

    def __init__(self, root: Path, user: str) -> None:
        self.root = root
        self.user = user

    def head_many(self, keys: Sequence[str]) -> dict[str, ObjectInfo]:
        found = ((key, self._head(key)) for key in dict.fromkeys(keys))
        return {key: info for key, info in found if info}

    def _head(self, key: str) -> ObjectInfo | None:
        path = self._path(key)
        if not self._place(key).exists():
            return None
        try:
            status = path.stat()
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return None  # another user's objects look like objects that are not there
        except OSError as error:
            raise _failed(path, "look up", error) from error
        if not stat.S_ISREG(status.st_mode):
            return None
        return _info(key, status, read_checksum(path, status))

    def list_objects(self, prefix: str) -> Iterator[ObjectInfo]:
        folder, _, start = prefix.rpartition("/")
        path = self._path(folder)
        if self._place(folder).exists():
            for key, status in self._walk(path, folder, start):
                yield _info(key, status, None)

    def _walk(
        self, path: Path, folder: str, start: str = ""
    ) -> Iterator[tuple[str, os.stat_result]]:
        """Files in ``path``, the keys' ``folder``, that begin with ``start``; in order of key."""
        try:
            with os.scandir(path) as entries:
                found = [entry for entry in entries if entry.name.startswith(start)]
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return
        except OSError as error:
            raise _failed(path, "list", error) from error
        for entry in sorted(found, key=_sort_key):
            key = f"{folder}/{entry.name}"
            if is_hidden(key):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from self._walk(path / entry.name, key)
            elif entry.is_file(follow_symlinks=False):
                yield key, entry.stat(follow_symlinks=False)

    def delete(self, key: str) -> None:
        path = self._path(key)
        if not self._place(key).exists():
            return
        try:
            path.unlink(missing_ok=True)
            forget(path)
        except (NotADirectoryError, IsADirectoryError):
            return  # then there is no such object
        except OSError as error:
            raise _failed(path, "remove", error) from error

    def upload(
        self, source: Path, key: str, *, sha256: str | None = None, progress: Progress | None = None
    ) -> ObjectInfo:
        target = self._path(key)
        with opened(source) as file:
            size = file_size(file)
            self._make_folders(key)
            checked_room(target, size)
            with replacing(target, mode=0o600) as descriptor:
                digest = _copy(source, file, size, descriptor, progress)
                verify(source, digest, sha256)
                os.fsync(descriptor)
                status = os.fstat(descriptor)
                # Before the file gets its name: until then this checksum fits no file.
                write_checksum(target, status, digest)
        return _info(key, status, digest)

    def download(
        self,
        key: str,
        target: Path,
        *,
        sha256: str | None = None,
        progress: Progress | None = None,
    ) -> None:
        info = self._head(key)
        if info is None:
            msg = f"There is no object {key} in the folder {self.root}."
            raise NotFoundError(msg)
        checked_room(target, info.size_bytes)
        path = self._path(key)
        with opened(path) as file, replacing(target) as descriptor:
            digest = _copy(path, file, info.size_bytes, descriptor, progress)
            verify(key, digest, sha256 or info.sha256)

    def source(self, info: ObjectInfo) -> str:
        return str(self._checked(info.key))

    def destination(self, key: str) -> Destination:
        # The wrapper adds the object's name, which may have slashes, to the job's own folder.
        check_key(key)
        own = "/".join(key.split("/")[:OWN])
        return Destination(method="folder", path=str(self._checked(own)))

    def destination_prefix(self, prefix: str) -> Destination:
        return Destination(method="folder", path=str(self._checked(prefix.rstrip("/"))))

    def begin_parts(self, key: str) -> PartUpload:
        msg = f"{key} cannot be stored in parts: the folder {self.root} takes whole files."
        raise StorageError(msg)

    def prepare(self, prefix: str) -> None:
        self._make_folders(f"{prefix.rstrip('/')}/")

    def temporary_url(self, key: str) -> str:
        return self._checked(key).as_uri()

    def _checked(self, key: str) -> Path:
        """Where ``key`` is, or will be; NotFoundError where another user's place is not theirs."""
        path, place = self._path(key), self._place(key)
        if not place.exists() and not place.own:
            msg = f"There is no object {key} in the folder {self.root}."
            raise NotFoundError(msg)
        return path.absolute()

    def _path(self, key: str) -> Path:
        check_key(key)
        kind, slash, below = key.partition("/")
        if not slash:
            msg = (
                f"{key!r} does not say whose object it is: uploads/USER/NAME, scratch/JOB_UID/NAME."
            )
            raise UsageError(msg)
        owner, *rest = below.split("/")
        if kind == "uploads":
            return self.root.joinpath(owner, kind, *rest)
        return self.root.joinpath(self.user, kind, owner, *rest)

    def _place(self, key: str) -> Place:
        kind, _, rest = key.partition("/")
        owner = rest.partition("/")[0] if kind == "uploads" else self.user
        return Place(self.root, owner, own=owner == self.user)

    def _make_folders(self, key: str) -> None:
        """Make the folders above ``key``, in our own place."""
        folder = self._path(key.rpartition("/")[0])
        place = self._place(key)
        if not place.own:
            msg = f"{key} is in the place of the user {place.owner}: only they can upload there."
            raise UsageError(msg)
        try:
            place.make()
            below = place.folder
            for name in folder.relative_to(below).parts:
                below /= name
                _make_folder(below)
        except OSError as error:
            raise _failed(folder, "make the folder", error) from error


def _make_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        msg = f"{folder} should be a folder and is not; remove it."
        raise StorageError(msg)
    if status.st_mode & OTHERS_MAY_WRITE:
        folder.chmod(0o700)


def _sort_key(entry: os.DirEntry[str]) -> bytes:
    """Keys in the order of their bytes, as S3 lists them: a folder's slash takes part in it."""
    slash = b"/" if entry.is_dir(follow_symlinks=False) else b""
    return os.fsencode(entry.name) + slash


def _copy(
    source: Path, file: BinaryIO, size: int, descriptor: int, progress: Progress | None
) -> str:
    """Copy and hash, each byte read once; return the checksum."""
    digest = hashlib.sha256()
    buffer = bytearray(BLOCK_BYTES)
    view = memoryview(buffer)
    copied = 0
    while count := file.readinto(view):  # type: ignore[attr-defined]
        block = view[:count]
        digest.update(block)
        while block:
            block = block[os.write(descriptor, block) :]
        copied += count
        if progress:
            progress(count)
    if copied != size:
        msg = f"{source} changed while it was read; try again when it is complete."
        raise StorageError(msg)
    return digest.hexdigest()


def _info(key: str, status: os.stat_result, sha256: str | None) -> ObjectInfo:
    return ObjectInfo(
        key=key,
        size_bytes=status.st_size,
        modified=datetime.fromtimestamp(status.st_mtime, UTC),
        sha256=sha256,
        version=f"{status.st_mtime_ns}-{status.st_size}-{status.st_ino}",
    )


def _failed(path: Path, action: str, error: OSError) -> StorageError:
    return StorageError(f"Cannot {action} {path}: {error.strerror or error}.")
