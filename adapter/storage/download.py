"""From S3 to a local file: parts of a large object at once, verified, put in place in one step."""

import hashlib
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from prominence_hpc.adapter.storage.base import ObjectInfo, Progress
from prominence_hpc.adapter.storage.connection import Response, Sink
from prominence_hpc.adapter.storage.faults import parse_refusal, refusal
from prominence_hpc.adapter.storage.local import checked_room, replacing, unwritable, verify
from prominence_hpc.adapter.storage.s3 import S3Storage, object_info
from prominence_hpc.errors import StorageError

__all__ = ["download"]

# Larger parts or more of them at once were no faster against Ceph.
PART_BYTES = 16 * 1024**2
THREADS = 4
BLOCK_BYTES = 1024**2


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
        transfer = _Download(storage, info, target, descriptor, progress)
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
        target: Path,
        descriptor: int,
        progress: Progress | None,
    ) -> None:
        self.storage = storage
        self.info = info
        self.target = target
        self.descriptor = descriptor
        self.progress = progress
        self.block = bytearray(BLOCK_BYTES)

    def run(self, first: bytearray) -> str:
        """Write all of it, in any order, and hash it in the right one; return the checksum."""
        self._write(memoryview(first), 0)
        self._report(len(first))
        digest = hashlib.sha256(first)
        if len(first) < self.info.size_bytes:
            with ThreadPoolExecutor(THREADS) as pool:
                try:
                    self._rest(pool, range(len(first), self.info.size_bytes, PART_BYTES), digest)
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise
        return digest.hexdigest()

    def _rest(self, pool: ThreadPoolExecutor, starts: range, digest: "hashlib._Hash") -> None:
        waiting: deque[Future[tuple[int, int]]] = deque()
        for start in starts:
            if len(waiting) == 2 * THREADS:
                self._hash(*waiting.popleft().result(), digest)
            waiting.append(pool.submit(self._fetch, start))
        while waiting:
            self._hash(*waiting.popleft().result(), digest)

    def _fetch(self, start: int) -> tuple[int, int]:
        """Fetch one part into the file; return where it begins and ends."""
        end = min(start + PART_BYTES, self.info.size_bytes)
        headers = {"range": f"bytes={start}-{end - 1}", "if-match": self.info.version}
        position = start

        def receive() -> Sink:
            nonlocal position
            position = start
            return write

        def write(block: memoryview) -> None:
            nonlocal position
            position += self._write(block, position)

        self.storage.client.request("fetch", "GET", self.info.key, headers=headers, receive=receive)
        if position != end:
            msg = f"{self.info.key} was cut short by the server; fetch it again."
            raise StorageError(msg)
        self._report(end - start)
        return start, end

    def _write(self, block: memoryview, position: int) -> int:
        size = len(block)
        try:
            while block:
                count = os.pwrite(self.descriptor, block, position)
                position += count
                block = block[count:]
        except OSError as error:  # here: what calls this takes an OSError to be the network's
            raise unwritable(self.target, error) from error
        return size

    def _hash(self, start: int, end: int, digest: "hashlib._Hash") -> None:
        """From the file, whose pages are in memory still: parts end in another order."""
        view = memoryview(self.block)
        while start < end:
            count = os.preadv(self.descriptor, [view[: end - start]], start)
            if not count:
                msg = f"{self.info.key} was lost while it was written; fetch it again."
                raise StorageError(msg)
            digest.update(view[:count])
            start += count

    def _report(self, count: int) -> None:
        if self.progress:
            self.progress(count)
