"""From S3 to a local file: parts of a large object at once, verified, put in place in one step."""

import hashlib
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from prominence_hpc.adapter.storage.base import ObjectInfo, Progress
from prominence_hpc.adapter.storage.connection import Response
from prominence_hpc.adapter.storage.faults import parse_refusal, refusal
from prominence_hpc.adapter.storage.local import checked_room, replacing, verify
from prominence_hpc.adapter.storage.s3 import S3Storage, object_info
from prominence_hpc.errors import StorageError

__all__ = ["download"]

# Larger parts or more of them at once were no faster against Ceph, and take more memory.
PART_BYTES = 16 * 1024**2
THREADS = 4


def download(
    storage: S3Storage,
    key: str,
    target: Path,
    *,
    sha256: str | None,
    progress: Progress | None,
) -> None:
    """See :meth:`.base.Storage.download`."""
    first = _first_part(storage, key)
    info = object_info(key, first.headers)
    checked_room(target, info.size_bytes)
    with replacing(target) as descriptor:
        transfer = _Download(storage, info, descriptor, progress)
        digest = transfer.run(first.body)
        verify(key, digest, sha256 or info.sha256)


def _first_part(storage: S3Storage, key: str) -> Response:
    """The first bytes, and with them all that a HEAD would have said."""
    headers = {"range": f"bytes=0-{PART_BYTES - 1}"}
    response = storage.client.try_request("fetch", "GET", key, headers=headers)
    if response.status == 416:  # an empty object has no range
        return storage.client.request("fetch", "GET", key)
    if response.status >= 300:
        what = parse_refusal(response.status, response.headers, response.body)
        raise refusal(storage.client.target, "fetch", key, what)
    return response


class _Download:
    """One object, whose first part is here already."""

    def __init__(
        self,
        storage: S3Storage,
        info: ObjectInfo,
        descriptor: int,
        progress: Progress | None,
    ) -> None:
        self.storage = storage
        self.info = info
        self.descriptor = descriptor
        self.progress = progress

    def run(self, first: bytearray) -> str:
        """Write all of it, in any order, and hash it in the right one; return the checksum."""
        digest = hashlib.sha256(self._write(0, first))
        if len(first) < self.info.size_bytes:
            with ThreadPoolExecutor(THREADS) as pool:
                try:
                    self._rest(pool, range(len(first), self.info.size_bytes, PART_BYTES), digest)
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise
        return digest.hexdigest()

    def _rest(self, pool: ThreadPoolExecutor, starts: range, digest: "hashlib._Hash") -> None:
        """All downloads of one storage together have no more parts in memory than its ``parts``."""
        waiting: deque[Future[bytearray]] = deque()
        try:
            for start in starts:
                # Who holds parts hashes one to go on, and waits for others with none alone.
                while not self.storage.parts.acquire(blocking=not waiting):
                    self._hash_next(waiting, digest)
                waiting.append(pool.submit(self._part, start))
            while waiting:
                self._hash_next(waiting, digest)
        finally:
            for _ in waiting:
                self.storage.parts.release()

    def _hash_next(self, waiting: "deque[Future[bytearray]]", digest: "hashlib._Hash") -> None:
        digest.update(waiting[0].result())
        waiting.popleft()
        self.storage.parts.release()

    def _part(self, start: int) -> bytearray:
        size = min(PART_BYTES, self.info.size_bytes - start)
        headers = {"range": f"bytes={start}-{start + size - 1}", "if-match": self.info.version}
        response = self.storage.client.request("fetch", "GET", self.info.key, headers=headers)
        if len(response.body) != size:
            msg = f"{self.info.key} was cut short by the server; fetch it again."
            raise StorageError(msg)
        return self._write(start, response.body)

    def _write(self, start: int, data: bytearray) -> bytearray:
        view = memoryview(data)
        while view:
            count = os.pwrite(self.descriptor, view, start)
            start += count
            view = view[count:]
        if self.progress:
            self.progress(len(data))
        return data
