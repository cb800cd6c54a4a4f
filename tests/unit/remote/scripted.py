"""Connections that say what a test has written for them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from prominence_hpc.wrappers import frames


def hello(**fields: Any) -> bytes:
    document = {"protocol": frames.PROTOCOL, "host": "node1", **fields}
    return frames.MAGIC + frames.pack_json(frames.HELLO, document)


@dataclass
class Scripted:
    """Shell and channel in one. ``blocks`` are read one by one, an exception among them is raised."""

    blocks: list[bytes | Exception] = field(default_factory=lambda: [hello()])
    said: str = ""
    code: int | None = None
    way: str = "ssh to node1"
    folder: str = "/the job"
    argv: list[str] = field(default_factory=list)
    written: bytearray = field(default_factory=bytearray)
    log: list[str] = field(default_factory=list)
    timeouts: list[float | None] = field(default_factory=list)
    on_open: Callable[[], None] = lambda: None

    def open(self, argv: Sequence[str]) -> "Channel":
        self.on_open()
        self.argv = list(argv)
        return Channel(self)

    def close(self) -> None:
        self.log.append("shell closed")


class Channel:
    """Its other half."""

    def __init__(self, shell: Scripted) -> None:
        self._shell = shell

    def read(self, size: int, *, timeout_seconds: float | None = None) -> bytes:
        self._shell.timeouts.append(timeout_seconds)
        block = self._shell.blocks.pop(0) if self._shell.blocks else b""
        if isinstance(block, Exception):
            raise block
        assert len(block) <= size
        return block

    def write(self, data: bytes) -> None:
        self._shell.written += data

    def close_input(self) -> None:
        self._shell.log.append("input closed")

    def messages(self) -> str:
        return self._shell.said

    def exit_code(self) -> int | None:
        return self._shell.code

    def close(self) -> None:
        self._shell.log.append("channel closed")
