"""Reading ahead: a thread that fills a short queue while the caller works on what came before."""

import queue
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, Union

    Item = Union[bytes, BaseException, None]

DEPTH = 8


def read_ahead(blocks: "Iterator[bytes]", depth: int = DEPTH) -> "Iterator[bytes]":
    """The same blocks and the same error at the end; at most ``depth`` of them wait."""
    filler = _Filler(blocks, depth)
    threading.Thread(target=filler.run, daemon=True).start()
    try:
        while True:
            item = filler.waiting.get()
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        filler.given_up = True


class _Filler:
    """The thread's side. It ends by itself once nobody takes what it has."""

    def __init__(self, blocks: "Iterator[bytes]", depth: int) -> None:
        self.waiting: "queue.Queue[Item]" = queue.Queue(depth)
        self.given_up = False
        self._blocks = blocks

    def run(self) -> None:
        try:
            for block in self._blocks:
                if not self._put(block):
                    return
        except BaseException as error:  # noqa: BLE001 (handed to the caller's thread)
            self._put(error)
        else:
            self._put(None)

    def _put(self, item: "Item") -> bool:
        while not self.given_up:
            try:
                self.waiting.put(item, timeout=0.5)
            except queue.Full:
                continue
            return True
        return False
