"""gzip, bzip2 and xz, as they stream, with bounded memory whatever they expand to."""

import zlib

from .errors import Corrupt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterator

    Make = Callable[[], Any]

MAGIC = {"gzip": b"\x1f\x8b", "bzip2": b"BZh", "xz": b"\xfd7zXZ\x00"}
TAR_MARK, TAR_AT = b"ustar", 257
SNIFFED = TAR_AT + len(TAR_MARK)  # bytes that sniffing wants
SLICE = 1 << 16  # compressed bytes at a time
OUTPUT = 1 << 20  # expanded bytes at a time


class Inflater:
    """zlib's decompressor with the interface of bz2's and lzma's."""

    def __init__(self, window_bits: int) -> None:
        self._inner = zlib.decompressobj(window_bits)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, limit: int) -> bytes:
        out = self._inner.decompress(self._inner.unconsumed_tail + data, limit)
        # A full output may leave more inside even where all input has been taken.
        self.needs_input = not self._inner.unconsumed_tail and len(out) < limit
        return out


def errors_of(kind: str) -> "tuple[type[Exception], ...]":
    """What the decompressor of this kind raises about its data; bz2 raises a bare OSError beside."""
    if kind == "xz":
        from lzma import LZMAError

        return (LZMAError, EOFError)
    return (zlib.error, ValueError, EOFError)


def maker(kind: str) -> "Make":
    """What makes a decompressor for one member of a file of this kind."""
    if kind == "bzip2":
        from bz2 import BZ2Decompressor

        return BZ2Decompressor
    if kind == "xz":
        from lzma import LZMADecompressor

        return LZMADecompressor
    return lambda: Inflater(31)


def sniff(start: bytes) -> "str | None":
    """Which compression these first bytes of a file announce."""
    if start[TAR_AT : TAR_AT + len(TAR_MARK)] == TAR_MARK:
        return None  # a tar file whose first name happens to begin so
    for kind, magic in MAGIC.items():
        if start.startswith(magic):
            return kind
    return None


def decompressed(blocks: "Iterator[bytes]", kind: str) -> "Iterator[bytes]":
    """The content of all members; raises Corrupt where it is damaged, cut off or of another kind."""
    make = maker(kind)
    engine = make()
    try:
        for piece in _slices(blocks):
            while piece:
                if engine.eof:  # between members: padding may follow, and a further member
                    piece = piece.lstrip(b"\0")
                    if not piece.startswith(MAGIC[kind][: len(piece)]):
                        return
                    engine = make() if piece else engine
                if piece:
                    yield from expand(engine, piece)
                    piece = engine.unused_data if engine.eof else b""
    except errors_of(kind) as error:
        msg = "not valid %s data: %s" % (kind, error)
        raise Corrupt(msg) from error
    except OSError as error:
        if error.errno is not None:
            raise
        msg = "not valid %s data: %s" % (kind, error)  # bz2 has no error of its own
        raise Corrupt(msg) from error
    if not engine.eof:
        msg = "the %s data ends too early" % kind
        raise Corrupt(msg)


def expand(engine: "Any", data: bytes) -> "Iterator[bytes]":
    """All that ``data`` yields, in blocks of bounded size."""
    out = engine.decompress(data, OUTPUT)
    if out:
        yield out
    while not engine.eof and not engine.needs_input:
        out = engine.decompress(b"", OUTPUT)
        if out:
            yield out


def _slices(blocks: "Iterator[bytes]") -> "Iterator[bytes]":
    for block in blocks:
        if len(block) <= SLICE:
            yield block
            continue
        for start in range(0, len(block), SLICE):
            yield block[start : start + SLICE]
