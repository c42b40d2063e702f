"""Our ZeroMQ transport beside plain pyzmq, and frames for a neighbour who has nothing but pyzmq, in one run.

    sudo python benches/bus_zmq.py             # about 2 minutes
    sudo python benches/bus_zmq.py --quick     # within 50 s

Ours makes an envelope, sends topic and message, and at the other end waits, drains and takes the envelope apart;
plain pyzmq sends and receives the same number of bytes. The neighbour of the frames maps the slot that a message
names, and looks at it without copying it; the publisher fills its slots in place, or copies each frame into one.
"""

from __future__ import annotations

import mmap
import os
import shutil
import tempfile
import time
from pathlib import Path

import msgpack
import numpy as np
import zmq
from awake import processors_awake
from bus import FRAME, LABELS, PAGE, QUICK_ROUNDS, SMALL, ZMQ, Group, beside, measured, shown
from bus_cell import STAMP, OnMessage
from rows import Row, at_most, parse_arguments, report

from cardan.runtime.bus.codec import MessageEncoder
from cardan.runtime.bus.ends import Passed
from cardan.runtime.bus.envelope import HEADER_SIZE, pack, unpack
from cardan.runtime.bus.slots import SlotPool
from cardan.runtime.bus.zmq import ZmqPublisher, ZmqSubscriber
from cardan.runtime.messages import CameraFrame

OURS, NEIGHBOUR, COPYING = "bus_zmq:Ours", "bus_zmq:Neighbour", "bus_zmq:CopyingNeighbour"
TOPIC = "source/out"
TOPIC_BYTES = TOPIC.encode()
BULK = 64 * 1024 - HEADER_SIZE - 1
"""The longest that goes over the socket itself; what is longer lies in shared memory."""
SLOT_HEADER, EXT_SLOT = 64, 1
WAIT_S = 1.0
PAYLOADS = 16
ROUNDS = 7
SHAPE = (1080, 1920, 3)


class _Transport:
    """Folders and the publisher, as both have them."""

    def __init__(self, size: int, readers: int) -> None:
        self._size = size
        self._folder = Path(tempfile.mkdtemp(prefix="cb", dir="/dev/shm"))

    def open_publisher(self) -> None:
        self._publisher = ZmqPublisher(zmq.Context(), self._folder, "source")

    def _publish(self, payload: bytes | bytearray) -> None:
        now_ns = time.monotonic_ns()
        self._publisher.send(TOPIC_BYTES, pack(0, now_ns, now_ns, 1, 1, valid=True), payload)  # type: ignore[arg-type] # joined to the envelope

    def close(self) -> None:
        self._publisher.close()
        shutil.rmtree(self._folder)


class Ours(_Transport):
    """Bytes over our publishing and reading ends."""

    def __init__(self, size: int, readers: int) -> None:
        super().__init__(size, readers)
        self._messages = [bytearray(os.urandom(size)) for _ in range(PAYLOADS)]

    def open_reader(self, index: int) -> None:
        self._subscriber = ZmqSubscriber(zmq.Context(), self._folder, [TOPIC])

    def send(self, number: int) -> None:
        message = self._messages[number % PAYLOADS]
        STAMP.pack_into(message, 0, number, time.monotonic_ns())
        self._publish(message)

    def read(self, on_message: OnMessage) -> None:
        ended = False

        def deliver(topic: str, message: bytes, passed: Passed | None = None) -> None:
            nonlocal ended
            unpack(message)
            ended = on_message(message[HEADER_SIZE:]) or ended

        while not ended:
            self._subscriber.wait(WAIT_S)
            self._subscriber.drain(deliver)


class Neighbour(_Transport):
    """Frames in slots, for a reader of pyzmq, msgpack and mmap alone (examples/listen/pictures.py)."""

    def __init__(self, size: int, readers: int) -> None:
        super().__init__(size, readers)
        self._frames = [np.frombuffer(os.urandom(size), np.uint8).reshape(SHAPE) for _ in range(4)]
        self._pool = SlotPool(self._folder, "source.out.1")
        self._encoder = MessageEncoder(CameraFrame, self._pool)

    def open_reader(self, index: int) -> None:
        self._socket = zmq.Context().socket(zmq.SUB)
        self._socket.subscribe(TOPIC)
        self._socket.connect(f"ipc://{self._folder}/source.sock")
        self._maps: dict[str, mmap.mmap] = {}

    def send(self, number: int) -> None:
        sent_ns = time.monotonic_ns()
        slot = self._pool.take(SHAPE, np.dtype(np.uint8))
        self._fill(slot, number)
        STAMP.pack_into(slot.reshape(-1).data, 0, number, sent_ns)
        self._pool.seal(slot)
        self._publish(self._encoder.encode(CameraFrame(frame_id=0, image=slot)))

    def _fill(self, slot: np.ndarray, number: int) -> None:
        """In place: the pixels are there already, as a camera's are."""

    def read(self, on_message: OnMessage) -> None:
        ended = False
        while not ended:
            _, message = self._socket.recv_multipart()
            value = msgpack.unpackb(message[HEADER_SIZE:], ext_hook=self._view)
            ended = on_message(value["image"].reshape(-1).data)

    def _view(self, code: int, data: bytes) -> np.ndarray:
        file, offset, generation, dtype, shape = msgpack.unpackb(data)
        if file not in self._maps:
            with (self._folder / file).open("rb") as handle:
                self._maps[file] = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
        memory = self._maps[file]
        if int.from_bytes(memory[offset : offset + 8], "little") != generation or code != EXT_SLOT:
            raise SystemExit("a slot was overwritten before it was read")
        view: np.ndarray = np.frombuffer(memory, dtype, int(np.prod(shape)), offset + SLOT_HEADER).reshape(shape)
        return view


class CopyingNeighbour(Neighbour):
    """The publisher has its frames elsewhere, and copies them."""

    def _fill(self, slot: np.ndarray, number: int) -> None:
        slot[...] = self._frames[number % 4]


def rows(quick: bool) -> list[Row]:
    """The rows of the ZeroMQ transport, for benches/bus.py."""
    rounds = QUICK_ROUNDS if quick else ROUNDS
    found: list[Row] = []
    for size, label in ((SMALL, LABELS[SMALL]), (PAGE, LABELS[PAGE]), (BULK, "64 KB")):
        group = Group(size, 1, [OURS, ZMQ], 300 if quick else 800, 1000.0 if size < BULK else 500.0)
        figures = measured(group, rounds, 10_000 if size == SMALL else 0)
        ours, raw = figures[OURS], figures.get(ZMQ)
        burst_us = ours.burst_cpu_us
        found += [
            beside(f"zmq, {label}, 1 reader: p50", "p50_us", ours, "pyzmq", raw, 1.3),
            beside(f"zmq, {label}, 1 reader: p99", "p99_us", ours, "pyzmq", raw, 1.3),
            at_most(f"zmq, {label}: messages that never came", ours.missing, 0, ""),
        ]
        if size == SMALL:
            found += [
                at_most(
                    "zmq, 64 B: CPU of 1000 messages in a burst, both ends", burst_us and round(burst_us, 2), 8.0, "ms"
                ),
                shown("zmq, 64 B: CPU of 1000 messages in a burst, pyzmq", raw and raw.burst_cpu_us, "ms"),
                shown("zmq, 64 B: CPU of 1000 messages at 1 kHz, both ends", ours.cpu_us, "ms"),
                shown("zmq, 64 B: CPU of 1000 messages at 1 kHz, pyzmq", raw and raw.cpu_us, "ms"),
            ]
    group = Group(FRAME, 1, [NEIGHBOUR, COPYING, ZMQ], 40 if quick else 90, 60.0)
    figures = measured(group, rounds, 0)
    slot, raw = figures[NEIGHBOUR], figures.get(ZMQ)
    name = "zmq, 6.2 MB to a neighbour with pyzmq alone, through a slot"
    return [
        *found,
        beside(f"{name}: p50", "p50_us", slot, "pyzmq", raw, 0.5),
        shown(f"{name}: p99", slot.p99_us),
        shown(f"{name}, with one copy: p50", figures[COPYING].p50_us),
        shown("zmq, 6.2 MB: p99, pyzmq", raw and raw.p99_us),
    ]


if __name__ == "__main__":
    arguments = parse_arguments(__doc__ or "")
    os.chdir(Path(__file__).resolve().parent)
    with processors_awake() as held:
        found = [*rows(arguments.quick), held]
    raise SystemExit(report("bus_zmq", found, as_json=arguments.json))
