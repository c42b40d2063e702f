"""The thread that keeps a connection to the broker: it connects, waits with full jitter, and connects again.

Whoever uses it never waits: messages are offered, and what happens is taken later. What the broker has not answered
when a connection ends is nowhere but at whoever offered it.
"""

from __future__ import annotations

import os
import ssl
import threading
from collections import deque
from contextlib import suppress
from random import Random

import msgspec

from cardan.runtime.clock import NS_PER_S, Clock, ns
from cardan.runtime.live.broker import BrokerError, BrokerSettings, Connection
from cardan.runtime.live.happenings import Down, Happening, Outgoing, Received, Refused, Told, Up

PUMP_S = 0.5
LAST_ANSWERS_S = 0.5


class SessionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How much may be on its way, and how long to wait."""

    window: int
    """Most messages without an answer; the broker may want fewer."""
    window_bytes: int
    first_wait_s: float
    longest_wait_s: float


def jittered_wait_s(failures: int, settings: SessionSettings, random: Random) -> float:
    """Full jitter: anything between nothing and a bound that doubles with each failure in a row."""
    return random.random() * min(settings.longest_wait_s, settings.first_wait_s * 2.0 ** min(failures - 1, 30))


class Session:
    """`start`, then `offer` and `take` from one thread, then `stop`."""

    def __init__(
        self,
        broker: BrokerSettings,
        context: ssl.SSLContext,
        settings: SessionSettings,
        clock: Clock,
        random: Random | None = None,
    ) -> None:
        self._broker = broker
        self._context = context
        self._settings = settings
        self._clock = clock
        self._random = random or Random()
        self._lock = threading.Lock()
        self._outgoing: deque[Outgoing] = deque()
        self._acknowledge: deque[Received] = deque()
        self._happenings: deque[Happening] = deque()
        self._window = self._on_the_way = self._bytes = 0
        self._sizes: dict[object, int] = {}
        self._stopping = threading.Event()
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="cardan-live-broker", daemon=True)

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Say good-bye to the broker and end; blocks for `timeout_s` at most. May be called again."""
        if self._wake_read < 0:
            return
        self._stopping.set()
        self._wake()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        if not self._thread.is_alive():
            os.close(self._wake_read)
            os.close(self._wake_write)
            self._wake_read = self._wake_write = -1

    def offer(self, outgoing: Outgoing) -> bool:
        """Send it; False when there is no connection or enough is on its way: keep it and offer it again."""
        size = len(outgoing.payload)
        with self._lock:
            full = self._on_the_way >= self._window
            if full or (self._on_the_way and self._bytes + size > self._settings.window_bytes):
                return False
            self._on_the_way += 1
            self._bytes += size
            self._sizes[outgoing.token] = size
            self._outgoing.append(outgoing)
        self._wake()
        return True

    def acknowledge(self, received: Received) -> None:
        """What was received is safe. Without a connection it comes again."""
        with self._lock:
            self._acknowledge.append(received)
        self._wake()

    def take(self) -> list[Happening]:
        """What has happened since the last call, in order."""
        with self._lock:
            taken = list(self._happenings)
            self._happenings.clear()
        return taken

    # ------------------------------------------------------------------------------------------------ the thread

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            failures = 0 if self._connect_and_serve() else failures + 1
            if not self._stopping.is_set():
                self._stopping.wait(jittered_wait_s(max(1, failures), self._settings, self._random))

    def _connect_and_serve(self) -> bool:
        """One connection from its begin to its end; True when the broker had taken us in."""
        connection = Connection(self._broker, self._context)
        was_up = False
        try:
            connection.open()
            was_up = self._serve(connection)
        except BrokerError as error:
            connection.happenings.append(Down(str(error).replace("\n  ", "; "), error.refused))
        except Exception as error:  # what a broker that speaks no MQTT does to the library must not end this thread
            text = f"what the broker says cannot be understood: {type(error).__name__}: {error}"
            connection.happenings.append(Down(text, True))
        finally:
            connection.close()
            self._hand_over(connection)
        return was_up

    def _serve(self, connection: Connection) -> bool:
        began_ns, was_up = self._clock.now_ns(), False
        while connection.alive:
            self._send(connection)
            connection.pump(PUMP_S, self._wake_read)
            self._drain_wake()
            self._hand_over(connection)
            was_up = was_up or connection.up
            waited_ns = self._clock.now_ns() - began_ns
            if not was_up and waited_ns > ns(self._broker.connect_timeout_s):
                raise BrokerError(f"the broker says nothing for {waited_ns / NS_PER_S:.0f} s")
            if self._stopping.is_set():
                self._say_goodbye(connection)
        return was_up

    def _say_goodbye(self, connection: Connection) -> None:
        """Wait a moment for answers that are still to come: what has none is told again after the next start."""
        self._send(connection)
        deadline_ns = self._clock.now_ns() + ns(LAST_ANSWERS_S)
        while self._on_the_way and connection.up and self._clock.now_ns() < deadline_ns:
            connection.pump(0.02, self._wake_read)
            self._drain_wake()
            self._hand_over(connection)
        connection.disconnect()
        connection.pump(0.0, self._wake_read)
        connection.close()

    def _send(self, connection: Connection) -> None:
        with self._lock:
            outgoing, acknowledge = list(self._outgoing), list(self._acknowledge)
            self._outgoing.clear()
            self._acknowledge.clear()
        for item in outgoing:
            connection.publish(item)
        for received in acknowledge:
            connection.acknowledge(received)

    def _hand_over(self, connection: Connection) -> None:
        with self._lock:
            for happening in connection.happenings:
                self._account(happening)
                self._happenings.append(happening)
        connection.happenings.clear()

    def _account(self, happening: Happening) -> None:
        if isinstance(happening, Up):
            self._window = min(self._settings.window, happening.window)
        elif isinstance(happening, Told | Refused):
            self._on_the_way -= 1
            self._bytes -= self._sizes.pop(happening.token, 0)
        elif isinstance(happening, Down):
            self._window = self._on_the_way = self._bytes = 0
            self._sizes.clear()
            self._outgoing.clear()
            self._acknowledge.clear()

    def _wake(self) -> None:
        with suppress(BlockingIOError):
            os.write(self._wake_write, b"!")

    def _drain_wake(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._wake_read, 4096)
