"""A few large buffers, used again and again: fresh memory costs as much as filling it."""

from threading import BoundedSemaphore, Lock

__all__ = ["Buffers"]


class Buffers:
    """``count`` buffers of ``size`` bytes at most, made when they are needed. Safe for threads."""

    def __init__(self, count: int, size: int) -> None:
        self.size = size
        self._left = BoundedSemaphore(count)
        self._idle: list[bytearray] = []
        self._lock = Lock()

    def take(self, *, wait: bool) -> bytearray | None:
        """One that nobody else uses; where all are in use, wait for one, or None."""
        if not self._left.acquire(blocking=wait):
            return None
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return bytearray(self.size)

    def give_back(self, buffer: bytearray) -> None:
        """Raises ValueError where more come back than were taken."""
        with self._lock:
            self._idle.append(buffer)
        self._left.release()
