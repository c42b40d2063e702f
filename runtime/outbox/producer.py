"""How any process puts records into the outbox, and knows when they are safe.

    with Producer(outbox_dir(data_dir), "my-program") as producer:
        producer.put(RecordClass.EVENT, b'{"topic":"my/event","message":{}}')    # returns when it is on the disk

A name stands for one row of numbers through all lives of a program, so choose one, and use it in one process at a time.
What was not answered (a time-out, a dead outbox) stays here and goes again with the next call, under the same numbers:
the outbox keeps each once. So after `Unanswered` call `flush`, do not put the same record again.
"""

from __future__ import annotations

import os
import select
import socket
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

import msgspec

from cardan.runtime.clock import Clock, MonotonicClock, ns
from cardan.runtime.errors import CardanError
from cardan.runtime.outbox.door_messages import (
    MOST_RECORD_BYTES,
    PACKET_BYTES,
    PUT_BYTES,
    Hello,
    Kept,
    Put,
    PutRecord,
    Refused,
    ToProducer,
    Welcome,
    address,
)
from cardan.runtime.outbox.segment import RecordClass

UNANSWERED_BYTES = 1 << 20
"""Of payload that is sent before answers are waited for."""
HELD_BYTES = 4 << 20
"""Of payload that is held here when no outbox answers; then no more is taken."""
TRY_AGAIN_S = 0.02


class NotKept(CardanError):
    """The outbox did not take a record, and has promised nothing. kept: how many of this call were taken before it."""

    def __init__(self, message: str, kept: int, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.kept = kept


class Unanswered(CardanError):
    """No answer in time. The records stay with the producer; `flush`, or the next put, sends them again."""


class Lane:
    """One class: what is not answered yet, in the order of its numbers."""

    def __init__(self) -> None:
        self.sent: deque[tuple[int, PutRecord]] = deque()
        """Through the present connection."""
        self.unsent: deque[tuple[int, PutRecord]] = deque()
        self.packet = b""
        """Counts as sent, but the outbox has not taken it yet."""
        self.next = 1
        self.payload_bytes = 0
        """Of all of them, and 1 for each."""

    def __len__(self) -> int:
        return len(self.sent) + len(self.unsent)

    def add(self, record: PutRecord) -> None:
        """One more."""
        self.unsent.append((self.next, record))
        self.next += 1
        self.payload_bytes += len(record.payload) + 1

    def answered_up_to(self, number: int) -> None:
        """These are kept."""
        while self.sent and self.sent[0][0] <= number:
            self.payload_bytes -= len(self.sent.popleft()[1].payload) + 1

    def count_again(self) -> None:
        """After a change of what is left."""
        self.payload_bytes = sum(len(record.payload) + 1 for part in (self.sent, self.unsent) for _, record in part)

    def unsend(self) -> None:
        """The connection is gone: everything is to be sent again."""
        self.sent.extend(self.unsent)
        self.sent, self.unsent, self.packet = deque(), self.sent, b""

    def next_packet(self) -> tuple[int, list[PutRecord]]:
        """Number and records of the next packet: contiguous numbers, bounded bytes. They count as sent."""
        first, size = self.unsent[0][0], 0
        records: list[PutRecord] = []
        while self.unsent:
            number, record = self.unsent[0]
            size += len(record.payload) + 24
            if records and (size > PUT_BYTES or number != first + len(records)):
                break
            records.append(record)
            self.sent.append(self.unsent.popleft())
        return first, records


class Producer:
    """Puts records through the door of an outbox. One thread. Every call ends within `timeout_s`."""

    def __init__(self, folder: Path, name: str, *, clock: Clock | None = None, timeout_s: float = 2.0) -> None:
        self._folder = folder
        self._name = name
        self._clock = clock or MonotonicClock()
        self._timeout_ns = ns(timeout_s)
        self._lanes = {kind: Lane() for kind in RecordClass}
        self._socket: socket.socket | None = None
        self._next: dict[RecordClass, int] = dict.fromkeys(RecordClass, 1)
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(ToProducer)

    def __enter__(self) -> Producer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection. What is unanswered is forgotten here; it may or may not be kept."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    @property
    def unanswered(self) -> int:
        """Records that were put and of which nobody knows yet whether they are kept."""
        return sum(map(len, self._lanes.values()))

    def put(self, kind: RecordClass, payload: bytes, *, mono_ns: int | None = None, wall_ns: int | None = None) -> None:
        """Keep one record; it is on the disk when this returns. NotKept, Unanswered."""
        mono_ns = self._clock.now_ns() if mono_ns is None else mono_ns
        wall_ns = self._clock.wall_ns() if wall_ns is None else wall_ns
        self.put_many(kind, [PutRecord(mono_ns, wall_ns, payload)])

    def put_many(self, kind: RecordClass, records: Iterable[PutRecord]) -> None:
        """Keep records in this order; all are on the disk when this returns. NotKept, Unanswered.

        No more than about 1 MiB of them are held here at a time. The time-out counts anew with each of these.
        """
        deadline_ns = self._clock.now_ns() + self._timeout_ns
        lane, before = self._lanes[kind], self.unanswered
        if before and self._pending_bytes() >= HELD_BYTES:
            raise NotKept(
                f"{before} records wait for the outbox in {self._folder}", 0, hint="is it running? `cardan status`"
            )
        count = waiting = 0
        for record in records:
            if len(record.payload) > MOST_RECORD_BYTES:
                raise NotKept(
                    f"a record of {len(record.payload)} bytes is longer than {MOST_RECORD_BYTES}",
                    count,
                    hint="what is that long should be a file of its own",
                )
            lane.add(record)
            count, waiting = count + 1, waiting + len(record.payload)
            if waiting >= UNANSWERED_BYTES:
                self._pump(deadline_ns, before + count, wait_for_all=False)
                deadline_ns = self._clock.now_ns() + self._timeout_ns
                waiting = 0
        self._pump(deadline_ns, before + count, wait_for_all=True)

    def highest(self, kind: RecordClass) -> int:
        """How many records of this class the outbox has from us, in all lives of this name. Unanswered.

        A program with a journal of its own goes on behind this one.
        """
        self.flush()
        self._connect(self._clock.now_ns() + self._timeout_ns)
        return self._lanes[kind].next - 1

    def flush(self) -> None:
        """Send again what was not answered. NotKept, Unanswered."""
        self._pump(self._clock.now_ns() + self._timeout_ns, self.unanswered, wait_for_all=True)

    # --------------------------------------------------------------------------------------------------- conversation

    def _pump(self, deadline_ns: int, asked: int, *, wait_for_all: bool) -> None:
        """Send what is pending and take answers, until all are answered, or few enough to go on."""
        while self._pending_bytes() > (0 if wait_for_all else UNANSWERED_BYTES // 2):
            if self._socket is None:
                self._connect(deadline_ns)
                continue  # where we stand may have answered all
            self._send_pending()
            message = self._receive(deadline_ns)
            if isinstance(message, Kept):
                self._kept(message.kind, message.number)
            elif isinstance(message, Refused):
                self._refused(message, deadline_ns, asked)

    def _pending_bytes(self) -> int:
        return sum(lane.payload_bytes for lane in self._lanes.values())

    def _send_pending(self) -> None:
        for kind, lane in self._lanes.items():
            while self._socket is not None and (lane.packet or lane.unsent):
                lane.packet = lane.packet or self._encoder.encode(Put(kind, *lane.next_packet()))
                if not self._send(lane.packet):
                    return
                lane.packet = b""

    def _send(self, packet: bytes) -> bool:
        """False when the outbox takes no more at the moment, or is gone."""
        if self._socket is None:
            return False
        try:
            self._socket.send(packet)
            return True
        except BlockingIOError:
            return False
        except OSError:
            self._lost()
            return False

    def _receive(self, deadline_ns: int) -> ToProducer | None:
        """The next answer; None when the connection is lost. Unanswered at the deadline."""
        if self._socket is None:
            return None
        self._wait(self._socket, select.POLLIN, deadline_ns)
        try:
            packet = self._socket.recv(PACKET_BYTES)
        except OSError:
            packet = b""
        if packet:
            answer: ToProducer = self._decoder.decode(packet)
            return answer
        self._lost()
        return None

    def _wait(self, connection: socket.socket, what: int, deadline_ns: int) -> None:
        poll = select.poll()
        poll.register(connection, what)
        left_ms = (deadline_ns - self._clock.now_ns()) / 1e6
        if left_ms <= 0 or not poll.poll(left_ms):
            raise self._unanswered("did not answer in time")

    def _unanswered(self, what: str) -> Unanswered:
        text = f"the outbox in {self._folder} {what}; {self.unanswered} records wait for it here"
        return Unanswered(text, hint="is the node `outbox` running? `cardan status`")

    def _kept(self, kind: RecordClass, number: int) -> None:
        self._lanes[kind].answered_up_to(number)

    def _refused(self, message: Refused, deadline_ns: int, asked: int) -> None:
        """Learn through a new connection what is kept; the rest of this class is given back to the caller."""
        self._lost()
        self._connect(deadline_ns)
        lane = self._lanes[message.kind]
        lane.unsent.clear()
        lane.count_again()
        lane.next = self._next[message.kind]
        raise NotKept(
            f"the outbox in {self._folder} refuses {message.kind.name.lower()} records: {message.text}",
            asked - self.unanswered,
            hint="`df`; `cardan sync status`",
        )

    # ----------------------------------------------------------------------------------------------------- connection

    def _lost(self) -> None:
        self.close()
        for lane in self._lanes.values():
            lane.unsend()

    def _connect(self, deadline_ns: int) -> None:
        """Be connected and know what is kept. Unanswered at the deadline, NotKept when we may not come in."""
        while self._socket is None:
            self._socket = self._connected_or_none()
            if self._socket is not None and self._greeted(deadline_ns):
                return
            if self._clock.now_ns() >= deadline_ns:
                raise self._unanswered("is not there")
            self._clock.sleep_until_ns(min(deadline_ns, self._clock.now_ns() + ns(TRY_AGAIN_S)))

    def _greeted(self, deadline_ns: int) -> bool:
        """Without a welcome nobody knows which number is next: such a connection is of no use."""
        try:
            return self._greet(deadline_ns)
        except Unanswered:
            self._lost()
            raise

    def _connected_or_none(self) -> socket.socket | None:
        try:
            folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return None
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            connection.connect(address(folder))
            connection.setblocking(False)
        except OSError:
            connection.close()
            return None
        finally:
            os.close(folder)
        return connection

    def _greet(self, deadline_ns: int) -> bool:
        self._send(self._encoder.encode(Hello(self._name)))
        message = self._receive(deadline_ns)
        if isinstance(message, Refused):
            self._lost()
            if message.reason in ("name in use", "too many"):
                return False  # a dead life of ours is noticed within milliseconds
            raise NotKept(f"the outbox in {self._folder} lets nobody in: {message.text}", 0, hint="`df`")
        if not isinstance(message, Welcome):
            return False
        self._next = {kind: place.highest + 1 for kind, place in zip(RecordClass, message.places, strict=True)}
        for kind, place in zip(RecordClass, message.places, strict=True):
            self._take_place(self._lanes[kind], place.highest, set(place.holes))
        return True

    def _take_place(self, lane: Lane, highest: int, holes: set[int]) -> None:
        """Forget what is kept; an outbox that has forgotten our numbers gets the rest under new ones."""
        lane.unsend()
        lane.unsent = deque(item for item in lane.unsent if item[0] > highest or item[0] in holes)
        below = [item for item in lane.unsent if item[0] <= highest]
        above = [record for number, record in lane.unsent if number > highest]
        lane.unsent = deque([*below, *enumerate(above, highest + 1)])
        lane.count_again()
        lane.next = highest + 1 + len(above)
