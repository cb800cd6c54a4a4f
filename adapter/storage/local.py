"""Local files at both ends of a transfer: opened, verified, put in place in one step."""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from prominence_hpc.errors import ConflictError, NotFoundError, StorageError, UsageError

__all__ = ["checked_room", "file_size", "opened", "replacing", "unwritable", "verify"]

NAME_BYTES = 255


@contextmanager
def opened(source: Path) -> Iterator[BinaryIO]:
    """A regular file, open for reading without a buffer. Raises NotFoundError or UsageError."""
    try:
        # Non-blocking: opening a named pipe would else wait for somebody to write to it.
        descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError) as error:
        msg = f"There is no file {source}."
        raise NotFoundError(msg) from error
    except PermissionError as error:
        msg = f"You may not read {source}: give yourself permission (chmod u+r), or ask its owner."
        raise NotFoundError(msg) from error
    except OSError as error:
        msg = f"Cannot read {source}: {error.strerror}."
        raise UsageError(msg) from error
    try:
        _check_regular(source, os.fstat(descriptor).st_mode)
        with os.fdopen(descriptor, "rb", buffering=0, closefd=False) as file:
            yield file
    finally:
        os.close(descriptor)


def _check_regular(source: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = "a directory" if stat.S_ISDIR(mode) else "not a regular file"
        msg = f"{source} is {kind}: only files can be uploaded, pack it first (tar)."
        raise UsageError(msg)


def file_size(file: BinaryIO) -> int:
    """Its size in bytes, now."""
    return os.fstat(file.fileno()).st_size


def verify(what: Path | str, found: str, wanted: str | None) -> None:
    """Raise StorageError where a checksum (64 hex digits, None: unknown) is not the one wanted."""
    if wanted and found != wanted.lower():
        msg = f"The SHA-256 of {what} is {found}, not {wanted} as it should be; nothing was kept."
        raise StorageError(msg)


def checked_room(target: Path, size: int) -> None:
    """Raise StorageError where the file system of ``target`` has less than ``size`` bytes free."""
    try:
        space = os.statvfs(target.parent)
    except OSError as error:
        raise unwritable(target, error) from error
    free = space.f_bavail * space.f_frsize
    if free < size:
        msg = f"{target} needs {size} bytes, and its file system has {free} bytes free."
        raise StorageError(msg)


@contextmanager
def replacing(target: Path, *, mode: int = 0o666) -> Iterator[int]:
    """A descriptor to write to (and read back); the file becomes ``target`` when the body ends well.

    Until then it lies beside it as ``NAME.part-RANDOM``, and where the body fails it is removed:
    ``target`` is as it was, or complete. Errors of the file system become StorageError.
    """
    part = _part_name(target)
    try:
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except OSError as error:
        raise unwritable(target, error) from error
    try:
        try:
            yield descriptor
        finally:
            os.close(descriptor)
        part.replace(target)
    except BaseException as error:
        with suppress(OSError):
            part.unlink()
        if isinstance(error, IsADirectoryError):
            msg = f"{target} is a directory: choose another name or folder."
            raise ConflictError(msg) from error
        if isinstance(error, OSError):
            raise unwritable(target, error) from error
        raise


def _part_name(target: Path) -> Path:
    suffix = f".part-{secrets.token_hex(4)}"
    stem = os.fsencode(target.name)[: NAME_BYTES - len(suffix)]
    return target.parent / os.fsdecode(stem + suffix.encode())


def unwritable(target: Path, error: OSError) -> StorageError:
    """The error to raise where the file system refuses."""
    return StorageError(f"Cannot write {target}: {error.strerror or error}.")
