"""gzip as it is written: stored, where the length must be known and nothing is to be gained; or
compressed by all cores of the job, a member for each MiB (RFC 1952 allows any number of members)."""

import struct
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

HEADER = b"\x1f\x8b\x08\x00\0\0\0\0\x00\xff"  # no name, no time: the same data, the same bytes
STORED = 0xFFFF  # bytes of the longest stored block, RFC 1951, 3.2.4
LEVEL = 1
PIECE = 1 << 20


def stored_length(length: int) -> int:
    """How long ``length`` bytes become by :func:`stored`."""
    return len(HEADER) + length + 5 * (-(-length // STORED)) + 5 + 8


def stored(blocks: "Iterator[bytes]") -> "Iterator[bytes]":
    """gzip without compression; the data are copied once."""
    crc = length = held = ready = 0
    out: "list[bytes | memoryview]" = [HEADER]
    parts: "list[memoryview]" = []
    for block in blocks:
        crc = zlib.crc32(block, crc)
        length += len(block)
        view = memoryview(block)
        while view:
            part = view[: STORED - held]
            view = view[len(part) :]
            parts.append(part)
            held += len(part)
            if held == STORED:
                out += [_FULL, *parts]
                ready += held
                parts, held = [], 0
        if ready >= PIECE:
            yield b"".join(out)
            out, ready = [], 0
    if parts:
        out += [_stored_header(held), *parts]
    out.append(struct.pack("<BHHLL", 1, 0, 0xFFFF, crc, length & 0xFFFFFFFF))
    yield b"".join(out)


def _stored_header(length: int) -> bytes:
    return struct.pack("<BHH", 0, length, length ^ 0xFFFF)


_FULL = _stored_header(STORED)


def compressed(blocks: "Iterator[bytes]", threads: int) -> "Iterator[bytes]":
    """gzip by ``threads`` threads (zlib lets go of the interpreter); the same data, the same bytes."""
    from collections import deque
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(threads) as pool:
        waiting: "deque[object]" = deque()
        try:
            for block in sized(blocks, PIECE):
                waiting.append(pool.submit(_member, block))
                if len(waiting) > 2 * threads:
                    yield waiting.popleft().result()  # type: ignore[attr-defined]
            while waiting:
                yield waiting.popleft().result()  # type: ignore[attr-defined]
        finally:
            for future in waiting:
                future.cancel()  # type: ignore[attr-defined]


def _member(data: bytes) -> bytes:
    engine = zlib.compressobj(LEVEL, zlib.DEFLATED, 31)
    return engine.compress(data) + engine.flush()


def sized(blocks: "Iterator[bytes]", size: int) -> "Iterator[bytes]":
    """The same bytes in blocks of ``size``, the last one shorter; it never yields nothing."""
    pieces: "list[bytes]" = []
    held = 0
    for block in blocks:
        while held + len(block) >= size:
            cut = size - held
            pieces.append(block[:cut])
            yield b"".join(pieces) if len(pieces) > 1 else pieces[0]
            block, pieces, held = block[cut:], [], 0
        if block:
            pieces.append(block)
            held += len(block)
    if pieces:
        yield b"".join(pieces)
