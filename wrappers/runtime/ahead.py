"""Reading ahead: a thread that fills a short queue while the caller works on what came before."""

import queue
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, Union

DEPTH = 8


def read_ahead(blocks: "Iterator[bytes]", depth: int = DEPTH) -> "Iterator[bytes]":
    """The same blocks and the same error at the end; at most ``depth`` of them wait."""
    waiting = queue.Queue(depth)  # type: queue.Queue[Union[bytes, None, BaseException]]
    given_up = threading.Event()

    def put(item: "Union[bytes, None, BaseException]") -> bool:
        while not given_up.is_set():
            try:
                waiting.put(item, timeout=0.5)
            except queue.Full:
                continue
            return True
        return False

    def fill() -> None:
        try:
            for block in blocks:
                if not put(block):
                    return
        except BaseException as error:  # noqa: BLE001 (handed to the caller's thread)
            put(error)
        else:
            put(None)

    threading.Thread(target=fill, daemon=True).start()
    try:
        while True:
            item = waiting.get()
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        given_up.set()
