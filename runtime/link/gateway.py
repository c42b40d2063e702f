"""The gateway: shows topics of a run to whoever asks, over ZeroMQ, without the nodes noticing.

It reads only what somebody subscribes to, and takes nothing into the run: whoever connects can listen and no more. On
`ipc://` the messages are as on the bus, arrays in shared memory are named by their descriptors. On `tcp://`, always
encrypted, arrays are in the messages. Single-threaded; `pump` is one round and never blocks.
"""

from __future__ import annotations

import os
import select
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec
import zmq

from cardan.runtime.bus.publisher_lock import hold
from cardan.runtime.bus.zmq import DONTWAIT, MORE
from cardan.runtime.clock import NS_PER_S, Clock
from cardan.runtime.errors import BusError, ConfigError, near_names
from cardan.runtime.link import beat as beats
from cardan.runtime.link.endpoints import check_endpoint, is_tcp
from cardan.runtime.link.inline import Inliner
from cardan.runtime.link.keys import KeyFolder, KeyPair
from cardan.runtime.link.monitor import Happening, Monitor
from cardan.runtime.link.source import TopicSource
from cardan.runtime.link.zap import DOMAIN, ZapDoor

QUEUE = 256
"""Messages that wait for one slow client; more are dropped for it, and it sees the gap."""
LARGE_BYTES = 65_536
LARGE_IN_FLIGHT = 8
"""Messages from 64 KiB on that are on their way at once: the bound of the memory that slow clients can take."""
LONGEST_QUESTION = 4096
"""Bytes that a client may send at once: subscriptions and beats are short."""
CHECK_KEYS_NS = NS_PER_S
PING_MS, SILENT_MS = 1000, 3000
"""ZeroMQ's own heartbeat: a client whose computer is gone is dropped."""
REFUSALS = {
    Happening.NO_HANDSHAKE: "a client without a key, or one that gave up while it showed it",
    Happening.WRONG_KEY: "a client that expects another key of ours",
    Happening.NO_KEYS: "a client without a key",
    Happening.NO_SENSE: "a client that does not speak ZeroMQ's protocol",
}


class GatewaySettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a gateway shows, and where."""

    bind: str
    """`ipc://...` or `tcp://...`."""
    topics: dict[str, str]
    """Everything that may be asked for: topic -> type."""
    latched: frozenset[str] = frozenset()
    """Topics of which a late subscriber gets the last message."""
    run: str = ""
    vehicle: str = ""


class Counts:
    """What a gateway has done so far."""

    def __init__(self) -> None:
        self.forwarded = 0
        self.forwarded_bytes = 0
        self.dropped = 0
        """Large messages that were not sent because too many were on their way."""
        self.unreadable = 0
        """Messages whose arrays were gone or overwritten."""
        self.refused = 0
        """Clients that were not let in."""
        self.nonsense = 0
        """What clients sent that is neither a subscription nor a beat."""


class Gateway:
    """One address with everything behind it.

    With a key pair it is encrypted, and every client must show a key that is trusted.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        settings: GatewaySettings,
        source: TopicSource,
        frames: Path,
        clock: Clock,
        say: Callable[[str], None],
        *,
        pair: KeyPair | None = None,
        keys: KeyFolder | None = None,
    ) -> None:
        self._bind_to = check_endpoint(settings.bind, has_key=pair is not None and keys is not None, to_bind=True)
        self._context = context
        self._settings = settings
        self._source = source
        self._clock = clock
        self._say = say
        self._pair = pair
        self._keys = keys
        self._inliner = Inliner(frames) if is_tcp(settings.bind) else None
        self._mark = beats.mark(settings.topics)
        self._prefixes: dict[str, int] = {}
        self._last: dict[str, bytes] = {}
        self._large: deque[zmq.MessageTracker] = deque()
        self._admitted: dict[str, bytes] = {}
        self._keys_checked_ns = clock.now_ns()
        self.counts = Counts()
        self._door = ZapDoor(context, keys.trusted) if keys is not None and pair is not None else None
        self._socket: zmq.Socket[bytes] | None = None
        self._monitor: Monitor | None = None
        self._lock: int | None = None
        self._wakeup = select.epoll()
        for descriptor in [*source.descriptors, *([self._door.fileno()] if self._door else [])]:
            self._wakeup.register(descriptor, select.EPOLLIN)
        try:
            if not is_tcp(self._bind_to):  # ZeroMQ would take the place of another without a word
                path = Path(self._bind_to.removeprefix("ipc://"))
                self._lock = hold(path.with_name(f"{path.name}.lock"), str(path))
            self._bind()
        except BaseException:
            self.close()
            raise

    @property
    def endpoint(self) -> str:
        """Where it listens, with the port that was picked for `*`."""
        return self._bind_to

    @property
    def asked_for(self) -> set[str]:
        """The topics that somebody subscribes to now."""
        prefixes = tuple(self._prefixes)
        return {topic for topic in self._settings.topics if topic.startswith(prefixes)} if prefixes else set()

    def fileno(self) -> int:
        """Readable when there may be something to do; the same for the life of the gateway."""
        return self._wakeup.fileno()

    def pump(self) -> int:
        """One round; how many messages were forwarded."""
        self._let_in()
        self._check_keys()
        if self._socket is None and not self._bind_again():
            return 0
        self._listen()
        return self._source.drain(self._forward)

    def _let_in(self) -> None:
        for answer in self._door.answer_all() if self._door else ():
            if answer.accepted:
                self._admitted[answer.user] = self._trusted().get(answer.user, b"")
                self._say(f"let in {answer.text}")
            else:
                self.counts.refused += 1
                self._say(f"refused: {answer.text}")
        for happening in self._monitor.happenings() if self._monitor else ():
            if happening in REFUSALS:
                self.counts.refused += 1
                self._say(f"refused: {REFUSALS[happening]}")

    def _trusted(self) -> dict[str, bytes]:
        try:
            return self._keys.trusted() if self._keys is not None else {}
        except ConfigError:
            return {}

    def _check_keys(self) -> None:
        """Close the door on everybody when somebody who was let in is trusted no longer; the others come back."""
        now_ns = self._clock.now_ns()
        if self._door is None or now_ns - self._keys_checked_ns < CHECK_KEYS_NS:
            return
        self._keys_checked_ns = now_ns
        trusted = self._trusted()
        gone = [name for name, key in self._admitted.items() if trusted.get(name) != key]
        if gone:
            self._say(f"trusted no longer: {', '.join(gone)}; every client has to show its key again")
            self._admitted.clear()
            self._unbind()

    def _bind(self) -> None:
        socket = self._context.socket(zmq.XPUB)
        self._socket = socket
        for option, value in (
            (zmq.SNDHWM, QUEUE),
            (zmq.XPUB_VERBOSER, 1),
            (zmq.LINGER, 0),
            (zmq.MAXMSGSIZE, LONGEST_QUESTION),
            (zmq.IPV6, int("[" in self._bind_to)),
            (zmq.HEARTBEAT_IVL, PING_MS),
            (zmq.HEARTBEAT_TIMEOUT, SILENT_MS),
        ):
            socket.setsockopt(option, value)
        if self._pair is not None and is_tcp(self._bind_to):
            socket.setsockopt(zmq.CURVE_SERVER, 1)
            socket.setsockopt(zmq.CURVE_SECRETKEY, self._pair.secret)
            socket.setsockopt(zmq.ZAP_DOMAIN, DOMAIN)
            self._monitor = Monitor(socket)
        try:
            socket.bind(self._bind_to)
        except zmq.ZMQError as error:
            what = f"cannot listen on {self._bind_to}: {zmq.strerror(error.errno or 0)}"
            raise BusError(what, hint="is it in use, or not an address of this computer? `ss -ltnx`") from None
        self._bind_to = socket.getsockopt_string(zmq.LAST_ENDPOINT)
        for descriptor in self._descriptors():
            self._wakeup.register(descriptor, select.EPOLLIN)

    def _descriptors(self) -> list[int]:
        monitor = [self._monitor.fileno()] if self._monitor is not None else []
        return [int(self._socket.getsockopt(zmq.FD)), *monitor] if self._socket is not None else []

    def _bind_again(self) -> bool:
        """The old socket may hold the address for some milliseconds more."""
        try:
            self._bind()
        except BusError:
            self._unbind()
            return False
        return True

    def _unbind(self) -> None:
        for descriptor in self._descriptors():
            with suppress(FileNotFoundError):  # it could not be bound
                self._wakeup.unregister(descriptor)
        if self._monitor is not None:
            self._monitor.close()
        if self._socket is not None:
            self._socket.close(linger=0)
        self._socket, self._monitor = None, None
        self._prefixes.clear()
        self._source.want(set())

    def _listen(self) -> None:
        """Hear new subscriptions, and answer beats."""
        before = self.asked_for
        fresh: list[str] = []
        for question in self._questions():
            kind, rest = question[:1], question[1:].decode(errors="replace")
            if kind == b"\1":
                self._prefixes[rest] = self._prefixes.get(rest, 0) + 1
                fresh.append(rest)
            elif kind == b"\0":
                self._unsubscribe(rest)
            else:
                self._answer(question)
        if self.asked_for != before:
            self._source.want(self.asked_for)
        self._say_again(fresh, before)

    def _questions(self) -> Iterable[bytes]:
        while self._socket is not None and self._socket.poll(0):
            frames = self._socket.recv_multipart(DONTWAIT)
            if len(frames) == 1 and frames[0]:
                yield frames[0]
            else:
                self.counts.nonsense += 1

    def _unsubscribe(self, prefix: str) -> None:
        left = self._prefixes.get(prefix, 0) - 1
        if left > 0:
            self._prefixes[prefix] = left
        else:
            self._prefixes.pop(prefix, None)

    def _say_again(self, prefixes: list[str], known: set[str]) -> None:
        """A late subscriber gets the last message of latched topics; those that we begin to read come by themselves."""
        for topic in sorted(self._settings.latched & known):
            if topic in self._last and topic.startswith(tuple(prefixes)):
                self._send(topic, self._last[topic])

    def _answer(self, question: bytes) -> None:
        received_ns = self._clock.now_ns()
        try:
            beat = beats.unpack_beat(question)
        except BusError:
            self.counts.nonsense += 1
            return
        settings = self._settings
        answer = beats.Answer(
            beats.VERSION,
            beat.sent_ns,
            received_ns,
            self._clock.now_ns(),
            settings.run,
            settings.vehicle,
            self._mark,
            None if beat.catalogue == self._mark else settings.topics,
        )
        self._send(beats.answer_topic(beat.link), msgspec.msgpack.encode(answer))

    def _forward(self, topic: str, message: bytes) -> None:
        if self._inliner is not None:
            try:
                message = self._inliner.inline(message)
            except BusError:
                self.counts.unreadable += 1
                return
        if topic in self._settings.latched:
            self._last[topic] = message
        if self._send(topic, message):
            self.counts.forwarded += 1
            self.counts.forwarded_bytes += len(message)

    def _send(self, topic: str, message: bytes) -> bool:
        if self._socket is None:
            return False
        name = topic.encode()
        if len(message) < LARGE_BYTES:
            self._socket.send(name, MORE)
            self._socket.send(message, DONTWAIT)
            return True
        while self._large and self._large[0].done:
            self._large.popleft()
        if len(self._large) >= LARGE_IN_FLIGHT:
            self.counts.dropped += 1
            return False
        self._socket.send(name, MORE)
        self._large.append(self._socket.send(message, DONTWAIT, copy=False, track=True))
        return True

    def close(self) -> None:
        """Stop listening, and reading."""
        self._unbind()
        self._source.close()
        if self._door is not None:
            self._door.close()
        if self._inliner is not None:
            self._inliner.close()
        self._wakeup.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def offered(topics: dict[str, str], patterns: list[str]) -> dict[str, str]:
    """The topics that a gateway shows: those that match one of the patterns; ConfigError for a pattern without any."""
    for pattern in patterns:
        if not any(fnmatchcase(topic, pattern) for topic in topics):
            raise ConfigError(f'no topic matches "{pattern}"', hint=near_names(pattern, list(topics)))
    return {name: kind for name, kind in topics.items() if any(fnmatchcase(name, pattern) for pattern in patterns)}
