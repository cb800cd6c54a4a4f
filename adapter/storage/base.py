"""Object storage as the rest of the adapter sees it: keys, objects, and places for nodes.

Keys are ``uploads/USER/NAME``, ``scratch/JOB_UID/NAME`` and ``snapshots/JOB_UID/snapshot.tgz``,
whatever the implementation: S3 (:mod:`.s3`) or a folder on a shared file system (:mod:`.folder`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from prominence_hpc.wrappers.plan import Destination

__all__ = ["ObjectInfo", "PartUpload", "Progress", "Storage", "StorageSettings"]

# Told how many more bytes have been moved; called from any thread.
Progress = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class StorageSettings:
    """The table ``[storage]``. Credentials: environment, this table, ~/.aws/credentials."""

    type: Literal["s3", "folder"] = "folder"
    # S3
    endpoint: str | None = None  # None: Amazon's own for the region
    bucket: str | None = None
    region: str = "us-east-1"
    ca_file: str | None = None  # a bundle to verify TLS against; None: the system's
    profile: str = "default"  # of ~/.aws/credentials
    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    url_lifetime_hours: float = 168.0  # SigV4 allows 7 days at most
    # folder
    path: str | None = None  # None: "storage" in the state folder


@dataclass(frozen=True, kw_only=True)
class ObjectInfo:
    """One stored object. ``sha256`` is the metadata ``prominence_sha256``, where it was kept."""

    key: str
    size_bytes: int
    modified: datetime | None = None  # UTC
    sha256: str | None = None
    version: str = ""  # ETag or the like: changes when the content does


class PartUpload(Protocol):
    """An object that somebody else sends in parts, whose number nobody knows before the last."""

    def url(self, number: int) -> str:
        """Where part ``number``, from 1, is put. No request is made."""

    def complete(self, tags: Sequence[str]) -> None:
        """All parts are there; ``tags`` are the entity tags that came back for each, in order."""

    def abandon(self) -> None:
        """Nothing of it is kept."""


class Storage(Protocol):
    """Every method raises StorageError where storage refuses, fails or cannot be reached.

    The message names what was asked for (bucket, key, endpoint) and what to do; never a secret.
    """

    def head_many(self, keys: Sequence[str]) -> dict[str, ObjectInfo]:
        """The objects among ``keys`` that exist; the others are left out."""

    def list_objects(self, prefix: str) -> Iterator[ObjectInfo]:
        """Objects whose key begins with ``prefix``, in order of key; without their ``sha256``."""

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""

    def upload(
        self, source: Path, key: str, *, sha256: str | None = None, progress: Progress | None = None
    ) -> ObjectInfo:
        """Store a local file, read once; its checksum is computed on the way and kept with it.

        ``sha256``: what the user says the checksum is; where the file disagrees StorageError names
        both. What was under ``key`` is replaced in one step, and stays where the upload fails.
        """

    def download(
        self,
        key: str,
        target: Path,
        *,
        sha256: str | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Fetch an object into ``target``; written under a temporary name, verified, renamed.

        ``sha256`` is what the content must be; None: what was kept with the object, if anything.
        Nothing is left where it fails. Missing: NotFoundError. Existing targets are replaced: the
        caller has asked.
        """

    def source(self, info: ObjectInfo) -> str:
        """Where a node fetches an object: presigned URL or absolute path. No request is made."""

    def destination(self, key: str) -> Destination:
        """Where a node writes the one object ``key``. No request is made.

        A folder is that of the job (``scratch/JOB_UID``): the wrapper adds the rest of the key.
        """

    def destination_prefix(self, prefix: str) -> Destination:
        """Where a node writes objects whose names it alone will know, below ``prefix``."""

    def begin_parts(self, key: str) -> PartUpload:
        """Begin to store ``key`` in parts. A folder, which takes files of any size, raises StorageError."""

    def prepare(self, prefix: str) -> None:
        """Make sure that nodes can write below ``prefix`` (a folder is made); S3: nothing to do."""

    def temporary_url(self, key: str) -> str:
        """What ``describe`` shows for an object that exists: presigned URL or ``file://`` URL."""
