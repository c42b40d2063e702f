"""What the supervisor waits on: descriptors, each with the function to call when it is readable."""

from __future__ import annotations

import select
from collections.abc import Callable


class Sources:
    """An epoll set. One thread; no callback may block."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[], None]] = {}

    def add(self, descriptor: int, callback: Callable[[], None]) -> None:
        """Call `callback` whenever `descriptor` is readable or at its end."""
        self._callbacks[descriptor] = callback
        self._epoll.register(descriptor, select.EPOLLIN)

    def remove(self, descriptor: int) -> None:
        """Forget `descriptor`; it may be unknown. Call it before the descriptor is closed."""
        if self._callbacks.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def wait(self, timeout_s: float) -> None:
        """Wait for news, up to `timeout_s`, and call what belongs to it."""
        readable = [
            (descriptor, self._callbacks[descriptor]) for descriptor, _ in self._epoll.poll(max(0.0, timeout_s))
        ]
        for descriptor, callback in readable:
            # An earlier callback of this round may have closed the descriptor, and its number may live again.
            if self._callbacks.get(descriptor) is callback:
                callback()

    def close(self) -> None:
        self._epoll.close()
