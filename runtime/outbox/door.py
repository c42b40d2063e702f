"""The door: how other processes put records into the outbox, and are told when they are on the disk.

A socket of packets (AF_UNIX SEQPACKET) in the outbox's folder, mode 0600. Bounded in every direction: so many
producers, so many packets a call, a commit as soon as enough bytes wait; what is too much stays with its producer,
which then waits. A producer that does not take its answers is cut off, and can come again.
"""

from __future__ import annotations

import os
import select
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import msgspec

from cardan.runtime.outbox.door_messages import (
    PACKET_BYTES,
    Hello,
    Kept,
    Place,
    Put,
    PutRecord,
    Refused,
    ToOutbox,
    ToProducer,
    Welcome,
    address,
    door_path,
)
from cardan.runtime.outbox.segment import RecordClass
from cardan.runtime.outbox.spool import NotTaken, Spool, Stamp

MOST_PRODUCERS = 64
PACKETS_A_CALL = 64


class Waiting(msgspec.Struct, frozen=True):
    """Records that are in a batch: their producer is told when the queue's number `seq` is durable."""

    number: int
    """The producer's number of the last one."""
    first: int
    seq: int


class Guest:
    """One connected producer."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.name = ""
        self.ids: dict[RecordClass, int] = {}
        self.next: dict[RecordClass, int] = {}
        """The number that is expected next, by class."""
        self.waiting: dict[RecordClass, deque[Waiting]] = {kind: deque() for kind in RecordClass}


class Door:
    """Takes records from producers into a spool, between `open` and `close`. Never blocks, except for the disk.

    admit: what of a record may be kept; asked for each. NotTaken from it refuses the record.
    """

    def __init__(self, spool: Spool, admit: Callable[[PutRecord], PutRecord] | None = None) -> None:
        self._spool = spool
        self._admit = admit
        self._guests: dict[int, Guest] = {}
        self._decoder = msgspec.msgpack.Decoder(ToOutbox)
        self._encoder = msgspec.msgpack.Encoder()
        self.cut_off = 0
        """Producers that did not take their answers, or spoke nonsense."""

    def open(self) -> None:
        """Begin to listen. The spool is open: who has its lock may replace a dead process's socket."""
        folder = os.open(self._spool.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            door_path(self._spool.folder).unlink(missing_ok=True)
            self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
            self._listener.bind(address(folder))
            os.chmod(door_path(self._spool.folder), 0o600)
            self._listener.listen(MOST_PRODUCERS)
        finally:
            os.close(folder)
        self._poll = select.epoll()
        self._poll.register(self._listener.fileno(), select.EPOLLIN)

    def fileno(self) -> int:
        """Readable when a producer has something to say."""
        return self._poll.fileno()

    def serve(self, now: Stamp) -> bool:
        """Take what is there, and make it durable where that is due; True when there may be more at once."""
        ready = [descriptor for descriptor, _ in self._poll.poll(0)]
        for descriptor in ready:
            if descriptor == self._listener.fileno():
                self._accept()
        busy = False
        for descriptor in ready:
            guest = self._guests.get(descriptor)
            busy = (guest is not None and self._listen_to(guest, now)) or busy
        return busy

    def answer(self) -> None:
        """Tell every producer what has become durable or was refused since the last call. Call it after a commit."""
        for guest in list(self._guests.values()):
            for kind, waiting in guest.waiting.items():
                self._answer_class(guest, kind, waiting)

    def close(self) -> None:
        """Stop listening; producers see the end of the connection, and may come again."""
        for guest in list(self._guests.values()):
            self._drop(guest)
        self._poll.close()
        self._listener.close()
        with suppress(OSError):
            door_path(self._spool.folder).unlink(missing_ok=True)

    # ------------------------------------------------------------------------------------------------------- listening

    def _accept(self) -> None:
        with suppress(BlockingIOError):
            while True:
                connection, _ = self._listener.accept()
                connection.setblocking(False)
                guest = Guest(connection)
                if len(self._guests) >= MOST_PRODUCERS:
                    self._say(guest, Refused(RecordClass.CRITICAL, 0, "too many", "too many producers are connected"))
                    connection.close()
                    continue
                self._guests[connection.fileno()] = guest
                self._poll.register(connection.fileno(), select.EPOLLIN)

    def _listen_to(self, guest: Guest, now: Stamp) -> bool:
        """True when it may have more to say."""
        for _ in range(PACKETS_A_CALL):
            try:
                packet = guest.connection.recv(PACKET_BYTES)
            except BlockingIOError:
                return False
            except OSError:
                packet = b""
            if not packet:
                self._drop(guest)
                return False
            try:
                self._take(guest, self._decoder.decode(packet), now)
            except msgspec.MsgspecError:
                self.cut_off += 1
                self._drop(guest)
                return False
        return True

    def _take(self, guest: Guest, message: Hello | Put, now: Stamp) -> None:
        if isinstance(message, Hello):
            self._welcome(guest, message.producer, now)
        elif not guest.name:
            raise msgspec.ValidationError("records without a name")
        else:
            self._put(guest, message, now)

    def _welcome(self, guest: Guest, name: str, now: Stamp) -> None:
        """What an earlier connection of it left in a batch is made durable, or refused, before the answer."""
        if any(other.name == name for other in self._guests.values() if other is not guest):
            self._say(guest, Refused(RecordClass.CRITICAL, 0, "name in use", f'"{name}" is connected already'))
            self._drop(guest)
            return
        guest.name, places = name, []
        self._spool.commit_all(now)
        self.answer()
        try:
            for kind in RecordClass:
                in_use = {other.ids[kind] for other in self._guests.values() if kind in other.ids}
                standing = self._spool.queue(kind).producers.standing(name, in_use)
                guest.ids[kind], guest.next[kind] = standing.id, standing.highest + 1
                places.append(Place(standing.highest, list(standing.holes)))
        except OSError as error:
            self._say(guest, Refused(RecordClass.CRITICAL, 0, "disk", f"{self._spool.folder}: {error.strerror}"))
            self._drop(guest)
            return
        self._say(guest, Welcome(places))

    def _put(self, guest: Guest, put: Put, now: Stamp) -> None:
        """Take what is new, and what fills a hole; everything else was taken before."""
        kind, first, expected = put.kind, put.first, guest.next[put.kind]
        if put.records and first > expected:
            self._refuse(guest, kind, first, NotTaken("out of order", f"number {expected} was expected"))
            return
        queue, seq = self._spool.queue(kind), 0
        holes = queue.producers.row(guest.ids[kind]).holes
        known, new = put.records[: expected - first], put.records[expected - first :]
        runs = [(number, [record]) for number, record in enumerate(known, first) if number in holes]
        for number, records in [*runs, (expected, new)] if new else runs:
            before, refusal = queue.appended, self._take_run(guest, kind, number, records, now)
            taken = queue.appended - before
            seq = queue.appended if taken else seq
            if refusal is not None:
                self._noted(guest, kind, first, number + taken - 1, seq)
                self._refuse(guest, kind, number + taken, refusal)
                return
        self._noted(guest, kind, first, first + len(put.records) - 1, seq)
        if self._spool.full(kind):
            self._spool.commit(kind, now)
            self.answer()

    def _take_run(
        self, guest: Guest, kind: RecordClass, number: int, records: list[PutRecord], now: Stamp
    ) -> NotTaken | None:
        """Take records from this number on; the refusal of the first one that was not taken."""
        queue = self._spool.queue(kind)
        before, admitted = queue.appended, map(self._admit, records) if self._admit is not None else records
        try:
            self._spool.put_many(
                kind, admitted, now.quality, now_ns=now.mono_ns, producer=guest.ids[kind], number=number
            )
        except NotTaken as error:
            return error
        finally:
            guest.next[kind] = max(guest.next[kind], number + queue.appended - before)
        return None

    def _noted(self, guest: Guest, kind: RecordClass, first: int, last: int, seq: int) -> None:
        """Remember whom to answer. What was there already is answered behind what still waits."""
        if last >= first:
            waiting = guest.waiting[kind]
            waiting.append(Waiting(last, first, seq or (waiting[-1].seq if waiting else 0)))

    # ------------------------------------------------------------------------------------------------------- answering

    def _answer_class(self, guest: Guest, kind: RecordClass, waiting: deque[Waiting]) -> None:
        queue = self._spool.queue(kind)
        kept = None
        while waiting and waiting[0].seq <= queue.acknowledged:
            kept = waiting.popleft()
        if kept is not None:
            self._say(guest, Kept(kind, kept.number))
        if waiting and not queue.batch_count:
            waiting.clear()
            highest = queue.producers.row(guest.ids[kind]).highest
            self._say(guest, Kept(kind, highest))
            self._refuse(guest, kind, highest + 1, NotTaken("disk", "the disk did not take it"))

    def _refuse(self, guest: Guest, kind: RecordClass, number: int, error: NotTaken) -> None:
        """Say no. The producer comes again with a new connection, where it learns which number is next."""
        self._say(guest, Refused(kind, number, error.reason, error.message))

    def _say(self, guest: Guest, message: ToProducer) -> None:
        try:
            guest.connection.send(self._encoder.encode(message))
        except BlockingIOError:
            self.cut_off += 1
            self._drop(guest)
        except OSError:
            self._drop(guest)

    def _drop(self, guest: Guest) -> None:
        descriptor = guest.connection.fileno()
        if descriptor >= 0 and self._guests.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)
        guest.connection.close()
