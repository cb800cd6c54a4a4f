"""Objects as files below one folder that login and compute nodes share.

``ROOT/uploads/USER/NAME``, ``ROOT/scratch/JOB_UID/…``: a key is a path. The folder of a user, and
that of a job, is readable by its owner alone (0700, files 0600), so that one ROOT can serve many
users. Such a ROOT is made by the administrator, writable by all and sticky (``chmod 1777``);
whatever another user may have put in the way there, a link or a folder of somebody else's, is
refused.

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

from prominence_hpc.adapter.storage.base import ObjectInfo, Progress
from prominence_hpc.adapter.storage.checksums import forget, read_checksum, write_checksum
from prominence_hpc.adapter.storage.keys import check_key, is_hidden
from prominence_hpc.adapter.storage.local import (
    checked_room,
    file_size,
    opened,
    replacing,
    verify,
)
from prominence_hpc.errors import ConfigError, NotFoundError, StorageError, UsageError
from prominence_hpc.wrappers.plan import Destination

__all__ = ["FolderStorage"]

BLOCK_BYTES = 1024**2
OWN = 2  # parts of a key that lead to a folder with an owner: uploads/USER, scratch/JOB_UID


class FolderStorage:
    """See :class:`.base.Storage`. ``user`` is whose uploads these are, as keys name them."""

    def __init__(self, root: Path, user: str) -> None:
        self.root = root
        self.user = user

    def head_many(self, keys: Sequence[str]) -> dict[str, ObjectInfo]:
        found = ((key, self._head(key)) for key in dict.fromkeys(keys))
        return {key: info for key, info in found if info}

    def _head(self, key: str) -> ObjectInfo | None:
        check_key(key)
        path = self.root / key
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
        if prefix.rstrip("/"):
            check_key(prefix.rstrip("/"))
        folder, _, start = prefix.rpartition("/")
        for key, status in self._walk(folder, start):
            yield _info(key, status, None)

    def _walk(self, folder: str, start: str = "") -> Iterator[tuple[str, os.stat_result]]:
        """Files below ``folder`` whose first part begins with ``start``, in order of key."""
        try:
            with os.scandir(self.root / folder) as entries:
                found = [entry for entry in entries if entry.name.startswith(start)]
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return
        except OSError as error:
            raise _failed(self.root / folder, "list", error) from error
        for entry in sorted(found, key=_sort_key):
            key = f"{folder}/{entry.name}" if folder else entry.name
            if is_hidden(key):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from self._walk(key)
            elif entry.is_file(follow_symlinks=False):
                yield key, entry.stat(follow_symlinks=False)

    def delete(self, key: str) -> None:
        check_key(key)
        path = self.root / key
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
        check_key(key)
        target = self.root / key
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
        path = self.root / key
        with opened(path) as file, replacing(target) as descriptor:
            digest = _copy(path, file, info.size_bytes, descriptor, progress)
            verify(key, digest, sha256 or info.sha256)

    def source(self, info: ObjectInfo) -> str:
        return str(self._absolute(info.key))

    def destination(self, key: str) -> Destination:
        check_key(key)
        # The wrapper adds the object's name, which may have slashes, to the job's own folder.
        own = "/".join(key.split("/")[:OWN])
        return Destination(method="folder", path=str(self._absolute(own)))

    def destination_prefix(self, prefix: str) -> Destination:
        check_key(prefix.rstrip("/"))
        return Destination(method="folder", path=str(self._absolute(prefix)))

    def prepare(self, prefix: str) -> None:
        check_key(prefix.rstrip("/"))
        self._make_folders(f"{prefix.rstrip('/')}/")

    def temporary_url(self, key: str) -> str:
        return self._absolute(key).as_uri()

    def _absolute(self, key: str) -> Path:
        return (self.root / key).absolute()

    def _make_folders(self, key: str) -> None:
        """Make the folders above ``key``, and see that nobody else has a hand in them."""
        kind, owner, *_ = [*key.split("/"), ""]
        if kind == "uploads" and owner != self.user:
            msg = f"{key} is in the place of the user {owner}: only they can upload there."
            raise UsageError(msg)
        folder = self.root
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            shared = _is_shared(folder, folder.stat())
            for depth, name in enumerate(key.split("/")[:-1], start=1):
                folder /= name
                _make_folder(folder, shared=shared and depth < OWN, own=depth >= OWN)
        except OSError as error:
            raise _failed(folder, "make the folder", error) from error


def _is_shared(folder: Path, status: os.stat_result) -> bool:
    writable = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if writable and not status.st_mode & stat.S_ISVTX:
        msg = (
            f"The storage folder {folder} lets its users remove each other's files: "
            "chmod it to 1777, or to 0700 if it is yours alone."
        )
        raise ConfigError(msg)
    return bool(writable)


def _make_folder(folder: Path, *, shared: bool, own: bool) -> None:
    try:
        folder.mkdir(mode=0o700)
        if shared:
            folder.chmod(0o1777)
    except FileExistsError:
        pass
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        msg = f"{folder} should be a folder and is not; ask its owner to remove it."
        raise StorageError(msg)
    if own and status.st_uid != os.geteuid():
        msg = f"{folder} belongs to another user; ask the administrator to remove it."
        raise StorageError(msg)
    if own and status.st_mode & 0o077:
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
