"""From a local file to S3, read once, with its SHA-256 kept as metadata of the object.

S3 wants the metadata before the data, and the checksum is known after it. A small file is read
into memory first. A large one whose checksum the user has not named goes to a key of our own, and
is copied on the server to its final key, metadata added, once all of it is there: no data moves
through here again. Nothing appears under the final key before it is complete and verified.
"""

import hashlib
import secrets
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from prominence_hpc.adapter.storage.base import ObjectInfo, Progress
from prominence_hpc.adapter.storage.keys import HIDDEN
from prominence_hpc.adapter.storage.local import file_size, opened, verify
from prominence_hpc.adapter.storage.s3 import CONNECTIONS, SHA256_HEADER, SHA256_METADATA, S3Storage
from prominence_hpc.errors import ProminenceError, StorageError

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

__all__ = ["upload"]

MIB = 1024**2
PART_BYTES = 16 * MIB
PARTS = 10_000  # of one upload, S3's limit
IN_MEMORY_BYTES = 128 * MIB
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
COPY_BYTES = 5 * 1024**3
OBJECT_BYTES = 5 * 1024**4


def upload(
    storage: S3Storage, source: Path, key: str, *, sha256: str | None, progress: Progress | None
) -> ObjectInfo:
    """See :meth:`.base.Storage.upload`."""
    with opened(source) as file:
        size = file_size(file)
        if size > OBJECT_BYTES:
            msg = f"{source} is larger than 5 TiB, which is the most that S3 stores in one object."
            raise StorageError(msg)
        if size <= PART_BYTES:
            return _put(storage, source, file, size, key, sha256, progress)
        return _Multipart(storage, source, file, size, progress).run(key, sha256)


def _put(
    storage: S3Storage,
    source: Path,
    file: BinaryIO,
    size: int,
    key: str,
    sha256: str | None,
    progress: Progress | None,
) -> ObjectInfo:
    data = _read(source, file, size)
    _check_end(source, file)
    digest = hashlib.sha256(data).hexdigest()
    verify(source, digest, sha256)
    response = storage.client.request(
        "store", "PUT", key, headers={SHA256_HEADER: digest}, body=data, body_sha256=digest
    )
    if progress:
        progress(size)
    etag = response.headers.get("etag", "")
    return ObjectInfo(key=key, size_bytes=size, sha256=digest, version=etag)


class _Multipart:
    """One large upload."""

    def __init__(
        self,
        storage: S3Storage,
        source: Path,
        file: BinaryIO,
        size: int,
        progress: Progress | None,
    ) -> None:
        self.storage = storage
        self.boto = storage.boto
        self.bucket = storage.client.target.bucket
        self.source = source
        self.file = file
        self.size = size
        self.progress = progress

    def run(self, key: str, sha256: str | None) -> ObjectInfo:
        if sha256:
            digest = self._upload(key, sha256.lower())
        else:
            hidden = f"{key.rpartition('/')[0]}/{HIDDEN}-{secrets.token_hex(8)}"
            try:
                digest = self._upload(hidden, None)
                self._copy(hidden, key, digest)
            finally:
                self._discard(hidden)
        return self.storage.head_many([key])[key]

    def _upload(self, key: str, sha256: str | None) -> str:
        """Store the file under ``key``; return its checksum. Nothing is there where it fails."""
        with self._explained("store", key), self._started(key, sha256) as upload_id:
            parts, digest = self._send(key, upload_id)
            verify(self.source, digest, sha256)
            self.boto.complete_multipart_upload(
                Bucket=self.bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts}
            )
        return digest

    @contextmanager
    def _started(self, key: str, sha256: str | None) -> Iterator[str]:
        """The id of a multipart upload, given up where the body fails or is interrupted."""
        metadata = {SHA256_METADATA: sha256} if sha256 else {}
        upload_id = self.boto.create_multipart_upload(
            Bucket=self.bucket, Key=key, Metadata=metadata
        )["UploadId"]
        try:
            yield upload_id
        except BaseException:
            with suppress(ProminenceError), self._explained("give up storing", key):
                self.boto.abort_multipart_upload(Bucket=self.bucket, Key=key, UploadId=upload_id)
            raise

    def _send(self, key: str, upload_id: str) -> tuple[list["CompletedPartTypeDef"], str]:
        """Read, hash and send; at most IN_MEMORY_BYTES are read ahead of the network."""
        part_size = part_bytes(self.size)
        threads = max(1, min(CONNECTIONS, IN_MEMORY_BYTES // part_size - 1))
        digest = hashlib.sha256()
        futures: list[Future[CompletedPartTypeDef]] = []
        with ThreadPoolExecutor(threads) as pool:
            try:
                for start in range(0, self.size, part_size):
                    data = _read(self.source, self.file, min(part_size, self.size - start))
                    number = len(futures) + 1
                    if number > threads + 1:
                        futures[number - threads - 2].result()
                    futures.append(pool.submit(self._send_part, key, upload_id, number, data))
                    digest.update(data)
                _check_end(self.source, self.file)
                return [future.result() for future in futures], digest.hexdigest()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _send_part(
        self, key: str, upload_id: str, number: int, data: bytes
    ) -> "CompletedPartTypeDef":
        answer = self.boto.upload_part(
            Bucket=self.bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=data
        )
        if self.progress:
            self.progress(len(data))
        return {"ETag": answer["ETag"], "PartNumber": number}

    def _copy(self, hidden: str, key: str, digest: str) -> None:
        metadata = {SHA256_METADATA: digest}
        with self._explained("store", key):
            if self.size <= COPY_BYTES:
                self.boto.copy_object(
                    Bucket=self.bucket,
                    Key=key,
                    CopySource={"Bucket": self.bucket, "Key": hidden},
                    Metadata=metadata,
                    MetadataDirective="REPLACE",
                )
            else:  # in parts, several at once: boto3 knows how
                self.boto.copy(
                    {"Bucket": self.bucket, "Key": hidden},
                    self.bucket,
                    key,
                    ExtraArgs={"Metadata": metadata, "MetadataDirective": "REPLACE"},
                )

    def _discard(self, hidden: str) -> None:
        with suppress(ProminenceError):
            self.storage.delete_any(hidden)

    @contextmanager
    def _explained(self, action: str, key: str) -> Iterator[None]:
        from prominence_hpc.adapter.storage.boto import explained

        with explained(self.storage.client.target, action, key):
            yield


def part_bytes(size: int) -> int:
    """How large the parts of a file of ``size`` bytes are: whole MiB, within S3's number of parts.

    >>> part_bytes(1024**3) // MIB, part_bytes(1024**4) // MIB
    (16, 105)
    """
    least = -(-size // PARTS)
    return max(PART_BYTES, -(-least // MIB) * MIB)


def _read(source: Path, file: BinaryIO, size: int) -> bytes:
    try:
        data = file.read(size)
    except OSError as error:
        msg = f"Cannot read {source}: {error.strerror}."
        raise StorageError(msg) from error
    if len(data) < size:
        raise _changed(source)
    return data


def _check_end(source: Path, file: BinaryIO) -> None:
    if file.read(1):
        raise _changed(source)


def _changed(source: Path) -> StorageError:
    return StorageError(f"{source} changed while it was read; upload it when it is complete.")
