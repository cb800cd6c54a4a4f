"""From S3 to a local file: parts of a large object at once, verified, put in place in one step."""

import hashlib
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from prominence_hpc.adapter.storage.base import ObjectInfo, Progress
from prominence_hpc.adapter.storage.connection import Response
from prominence_hpc.adapter.storage.faults import parse_refusal, refusal
from prominence_hpc.adapter.storage.local import checked_room, replacing, verify
from prominence_hpc.adapter.storage.s3 import PART_BYTES, S3Storage, object_info
from prominence_hpc.errors import StorageError

__all__ = ["download"]

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

    def run(self, first: bytearray | memoryview) -> str:
        """Write all of it, in any order, and hash it in the right one; return the checksum."""
        self._write(0, first)
        digest = hashlib.sha256(first)
        if len(first) < self.info.size_bytes:
            with ThreadPoolExecutor(THREADS) as pool:
                self._rest(pool, range(len(first), self.info.size_bytes, PART_BYTES), digest)
        return digest.hexdigest()

    def _rest(self, pool: ThreadPoolExecutor, starts: range, digest: "hashlib._Hash") -> None:
        buffers = self.storage.buffers
        waiting: deque[_Part] = deque()
        try:
            for start in starts:
                # Who holds buffers empties one to go on, and waits for others with none alone.
                while (buffer := buffers.take(wait=not waiting)) is None:
                    self._hash_next(waiting, digest)
                waiting.append(_Part(pool.submit(self._fetch, start, buffer), buffer))
            while waiting:
                self._hash_next(waiting, digest)
        finally:
            for part in waiting:
                if not part.future.cancel():
                    part.future.exception()  # waits: it may be writing to the buffer
                buffers.give_back(part.buffer)

    def _hash_next(self, waiting: "deque[_Part]", digest: "hashlib._Hash") -> None:
        digest.update(waiting[0].future.result())
        self.storage.buffers.give_back(waiting.popleft().buffer)

    def _fetch(self, start: int, buffer: bytearray) -> memoryview:
        size = min(PART_BYTES, self.info.size_bytes - start)
        headers = {"range": f"bytes={start}-{start + size - 1}", "if-match": self.info.version}
        response = self.storage.client.request(
            "fetch", "GET", self.info.key, headers=headers, into=buffer
        )
        if len(response.body) != size:
            msg = f"{self.info.key} was cut short by the server; fetch it again."
            raise StorageError(msg)
        self._write(start, response.body)
        return memoryview(response.body)

    def _write(self, start: int, data: bytearray | memoryview) -> None:
        view = memoryview(data)
        while view:
            count = os.pwrite(self.descriptor, view, start)
            start += count
            view = view[count:]
        if self.progress:
            self.progress(len(data))


class _Part(NamedTuple):
    """A part under way; the buffer is its own until the future is done."""

    future: Future[memoryview]
    buffer: bytearray
