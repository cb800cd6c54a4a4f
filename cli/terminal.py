"""Our own terminal while a command elsewhere has it: raw, its size told, and put right at the end."""

import os
import signal
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["ending_by_signals", "on_interrupt", "on_resize", "raw_terminal", "terminal_size"]


# Two signals within this are one Ctrl-C: timeout(1) and others send it to us and to our group.
SAME_SECONDS = 0.3


def terminal_size() -> tuple[int, int]:
    """Columns and rows."""
    size = os.get_terminal_size(sys.stdin.fileno())
    return size.columns, size.lines


@contextmanager
def raw_terminal() -> Iterator[None]:
    """Every key goes to the other side as it is, Ctrl-C too."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


@contextmanager
def on_resize(tell: Callable[[int, int], None]) -> Iterator[None]:
    """``tell`` columns and rows whenever the terminal gets another size."""
    before = signal.signal(signal.SIGWINCH, lambda _number, _frame: tell(*terminal_size()))
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)


@contextmanager
def on_interrupt(actions: "list[Callable[[], None]]") -> Iterator[None]:
    """The first Ctrl-C does the first of ``actions``, and so on; one more is KeyboardInterrupt."""
    waiting = list(actions)
    last = 0.0

    def interrupted(_number: int, _frame: object) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < SAME_SECONDS:
            return
        last = now
        if not waiting:
            raise KeyboardInterrupt
        waiting.pop(0)()

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def ending_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end us by an exception, so that terminal and connection are put right."""

    def leave(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
