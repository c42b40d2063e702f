"""The link's end: subscribes at another computer's gateway, knows whether it is there, and puts its times on our clock.

Topics are subscribed to once the gateway has answered, and again after each outage: so its clock is known before its
first message, and nothing that has waited in a queue meanwhile is taken for news. Single-threaded; `step` never
blocks.
"""

from __future__ import annotations

import secrets
import select
from collections.abc import Callable

import msgspec
import zmq

from cardan.runtime.bus.envelope import HEADER_SIZE, Header, unpack
from cardan.runtime.bus.zmq import DONTWAIT
from cardan.runtime.clock import NS_PER_S, Clock, ns
from cardan.runtime.errors import BusError
from cardan.runtime.link import beat as beats
from cardan.runtime.link.gaps import Gaps
from cardan.runtime.link.keys import KeyPair
from cardan.runtime.link.monitor import Happening, Monitor
from cardan.runtime.link.offset import ClockOffset, Estimate, Exchange
from cardan.runtime.link.presence import Change, Presence

QUEUE = 64
"""Messages that wait for us in ZeroMQ; those beyond it wait, and are dropped, at the gateway."""
ROUND = 500
LARGEST_BYTES = 256 * 1024 * 1024
RETRY_MS = 100
HANDSHAKE_MS = 5000
ANEW_NS = NS_PER_S
"""ZeroMQ does not try again after a refusal; we do, after this time."""
REASONS = {
    Happening.DOWN: "the connection was cut",
    Happening.NO_ACCESS: "it does not trust our key",
    Happening.NO_KEYS: "it does not use keys, and we do, or the other way round",
    Happening.WRONG_KEY: "its key is not the one that we were told",
    Happening.NO_HANDSHAKE: "it broke off while we showed our keys: its key may be another one than server_key",
    Happening.NO_SENSE: "something else answers there, which does not speak ZeroMQ's protocol",
}
FINAL = (Happening.NO_ACCESS, Happening.NO_KEYS, Happening.WRONG_KEY, Happening.NO_SENSE)

Deliver = Callable[[str, Header, memoryview], None]
"""Topic, header with its times on our clock, payload."""


class ClientSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where to connect, and how patient to be."""

    address: str
    topics: tuple[str, ...]
    beat_s: float = 0.2
    """Between two beats."""
    timeout_s: float = 1.0
    """Without an answer for so long the other computer counts as gone."""


class LinkClient:
    """One connection to a gateway, kept up for the life of the object.

    pair, server_key: our keys and the gateway's public key; None for `ipc://`.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        settings: ClientSettings,
        clock: Clock,
        *,
        pair: KeyPair | None = None,
        server_key: bytes | None = None,
    ) -> None:
        self._context = context
        self._settings = settings
        self._clock = clock
        self._pair = pair
        self._server_key = server_key
        self._id = secrets.token_hex(8)
        self._catalogue_mark = 0
        self._run = ""
        self._next_beat_ns = 0
        self._anew_ns: int | None = None
        self._subscribed = False
        self._gaps = {topic: Gaps() for topic in settings.topics}
        self.presence = Presence(ns(settings.timeout_s), clock.now_ns())
        self.offset = ClockOffset()
        self.vehicle = ""
        self.offered: dict[str, str] | None = None
        """What the gateway shows: topic -> type; None until it has said so."""
        self.reason = "it has not answered yet"
        """Why it is not there."""
        self.round_trips_ns: list[int] = []
        """Of the exchanges since somebody emptied the list; bounded by the beats of a step."""
        self.early = 0
        """Messages that came while no answer had said what time it is there."""
        self.nonsense = 0
        self._wakeup = select.epoll()
        self._open()

    def fileno(self) -> int:
        """Readable when there is news; the same for the life of the link."""
        return self._wakeup.fileno()

    @property
    def lost(self) -> int:
        """Messages that were published and did not come, over all topics."""
        return sum(gaps.lost for gaps in self._gaps.values())

    def estimate(self) -> Estimate | None:
        """Where the other clock stands now; None while nobody knows."""
        return self.offset.at(self._clock.now_ns())

    def step(self, deliver: Deliver) -> list[Change]:
        """One round: hand over what has come; how the presence changed, in order."""
        changes = [self._look_at_connection()]
        if self._anew_ns is not None and self._clock.now_ns() >= self._anew_ns:
            self._close_socket()
            self._open()
        self._beat()
        changes += self._drain(deliver)
        changes.append(self._went(self.presence.look(self._clock.now_ns()), "it does not answer"))
        return [change for change in changes if change is not Change.NONE]

    def _open(self) -> None:
        settings = self._settings
        socket = self._context.socket(zmq.XSUB)
        timeout_ms = max(1, round(settings.timeout_s * 1000))
        for option, value in (
            (zmq.RCVHWM, QUEUE),
            (zmq.SNDHWM, QUEUE),
            (zmq.LINGER, 0),
            (zmq.MAXMSGSIZE, LARGEST_BYTES),
            (zmq.IPV6, int("[" in settings.address)),
            (zmq.IMMEDIATE, 1),  # nothing waits for a connection: an old beat says nothing about the clock
            (zmq.RECONNECT_IVL, RETRY_MS),
            (zmq.CONNECT_TIMEOUT, timeout_ms),
            (zmq.HANDSHAKE_IVL, HANDSHAKE_MS),
            (zmq.HEARTBEAT_IVL, timeout_ms),
            (zmq.HEARTBEAT_TIMEOUT, 2 * timeout_ms),
            (zmq.HEARTBEAT_TTL, 4 * timeout_ms),
        ):
            socket.setsockopt(option, value)
        if self._pair is not None and self._server_key is not None:
            socket.setsockopt(zmq.CURVE_PUBLICKEY, self._pair.public)
            socket.setsockopt(zmq.CURVE_SECRETKEY, self._pair.secret)
            socket.setsockopt(zmq.CURVE_SERVERKEY, self._server_key)
        self._socket = socket
        self._monitor = Monitor(socket)
        self._anew_ns, self._subscribed, self._next_beat_ns = None, False, 0
        for descriptor in self._descriptors():
            self._wakeup.register(descriptor, select.EPOLLIN)
        socket.connect(settings.address)
        self._send(b"\1" + beats.answer_topic(self._id).encode())

    def _look_at_connection(self) -> Change:
        change = Change.NONE
        for happening in self._monitor.happenings():
            if happening is Happening.UP:
                self._next_beat_ns = 0
                continue
            if happening in FINAL:
                self._anew_ns = self._clock.now_ns() + ANEW_NS
            found = self.presence.cut(self._clock.now_ns())
            change = change if found is Change.NONE else found
            if happening is not Happening.DOWN or found is Change.WENT:
                self.reason = REASONS[happening]
            self._unsubscribe()
        return change

    def _went(self, change: Change, reason: str) -> Change:
        if change is Change.WENT:
            self.reason = reason
            self._unsubscribe()
        return change

    def _beat(self) -> None:
        now_ns = self._clock.now_ns()
        if now_ns < self._next_beat_ns:
            return
        self._next_beat_ns = now_ns + ns(self._settings.beat_s)
        self._send(beats.pack_beat(beats.Beat(beats.VERSION, self._id, now_ns, self._catalogue_mark)))

    def _drain(self, deliver: Deliver) -> list[Change]:
        changes = []
        for _ in range(ROUND):
            try:
                frames = self._socket.recv_multipart(DONTWAIT)
            except zmq.Again:
                break
            try:
                changes.append(self._take(frames, deliver))
            except BusError:
                self.nonsense += 1
        return changes

    def _take(self, frames: list[bytes], deliver: Deliver) -> Change:
        if len(frames) != 2:
            raise BusError(f"a message of {len(frames)} parts, expected 2")
        topic = frames[0].decode(errors="replace")
        if topic == beats.answer_topic(self._id):
            return self._answered(beats.unpack_answer(frames[1]))
        gaps = self._gaps.get(topic)
        if gaps is None:
            return Change.NONE  # a subscription is a prefix
        header, estimate = unpack(frames[1]), self.estimate()
        if estimate is None or not self._subscribed:
            self.early += 1
        elif gaps.take(header.epoch, header.seq) is not None:
            deliver(topic, self._to_local(header, estimate), memoryview(frames[1])[HEADER_SIZE:])
        return Change.NONE

    def _to_local(self, header: Header, estimate: Estimate) -> Header:
        """The header with its times on our clock, none of them in the future."""
        sent_ns = min(estimate.to_local_ns(header.sent_ns), self._clock.now_ns())
        origin_ns = min(estimate.to_local_ns(header.origin_ns), sent_ns)
        return header._replace(sent_ns=sent_ns, origin_ns=max(origin_ns, 1))

    def _answered(self, answer: beats.Answer) -> Change:
        now_ns = self._clock.now_ns()
        exchange = Exchange(answer.sent_ns, answer.received_ns, answer.answered_ns, now_ns)
        if answer.run != self._run:
            self._begin_anew(answer.run)
        if not self.offset.add(exchange):
            raise BusError("an answer with impossible times")
        self.round_trips_ns.append(exchange.round_trip_ns)
        del self.round_trips_ns[:-ROUND]
        self.vehicle = answer.vehicle
        if answer.topics is not None:
            self.offered, self._catalogue_mark = answer.topics, answer.catalogue
        change = self.presence.answered(now_ns)
        self._subscribe()
        return change

    def _begin_anew(self, run: str) -> None:
        """Another run of the other computer, perhaps after it was switched off: its clock and numbers begin anew."""
        self._run = run
        self.offset.forget()
        for gaps in self._gaps.values():
            gaps.forget()

    def _subscribe(self) -> None:
        if not self._subscribed:
            self._subscribed = True
            for topic in self._settings.topics:
                self._send(b"\1" + topic.encode())

    def _unsubscribe(self) -> None:
        if self._subscribed:
            self._subscribed = False
            for topic in self._settings.topics:
                self._send(b"\0" + topic.encode())

    def _send(self, message: bytes) -> None:
        try:
            self._socket.send(message, DONTWAIT)
        except zmq.Again:
            return  # a full queue: the next beat, or the next connection, says it again

    def _descriptors(self) -> list[int]:
        return [int(self._socket.getsockopt(zmq.FD)), self._monitor.fileno()]

    def _close_socket(self) -> None:
        for descriptor in self._descriptors():
            self._wakeup.unregister(descriptor)
        self._monitor.close()
        self._socket.close()

    def close(self) -> None:
        self._close_socket()
        self._wakeup.close()
