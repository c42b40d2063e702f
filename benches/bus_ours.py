"""Our ring as a transport of bus_cell.py: bytes in and verified bytes out, and the whole way between two ports."""

from __future__ import annotations

import mmap
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from bus_cell import STAMP, OnMessage, quantile

from cardan.runtime.bus.ends import Passed
from cardan.runtime.bus.ring_ends import RingPublisher, RingSubscriber, Subscription, create_rings
from cardan.runtime.bus.slots import SlotDescriptor, SlotMaps, SlotPool
from cardan.runtime.clock import MonotonicClock
from cardan.runtime.messages import Message
from cardan.runtime.node import Input, Node, Output
from cardan.runtime.node.wiring import Wire, make_context
from cardan.runtime.plan import InputPlan, NodePlan, OutputPlan, Plan
from cardan.runtime.profile import Profile
from cardan.runtime.run import RunPaths
from cardan.runtime.supervise.wakers import Wakers
from cardan.runtime.vitals import create_vitals, open_vitals

WAIT_S = 1.0
PAYLOADS = 16
FRAMES = 4
"""So many different ones are sent in turn, so that none stays in the nearest cache by itself."""
TOPIC = "source/out"
BYTE = np.dtype(np.uint8)


def plan_of(readers: int, message: str) -> Plan:
    """One publisher, and readers that are stepped by it."""
    source = NodePlan(
        name="source", index=0, use="", outputs=[OutputPlan(port="out", topic=TOPIC, type=message, subscribers=readers)]
    )
    wired = [InputPlan(port="arrived", topics=[TOPIC])]
    sinks = [
        NodePlan(name=f"sink{number}", index=number + 1, use="", stepped_by="arrived", inputs=wired)
        for number in range(readers)
    ]
    return Plan(
        name="bus", manifest="", manifest_sha256="", profile=Profile(name="bus"), envelope={}, envelope_hash="",
        nodes=[source, *sinks],
    )  # fmt: skip


class Run:
    """The folder of a run with its rings, and the eventfds that wake up its nodes."""

    def __init__(self, readers: int, message: str = "") -> None:
        self.plan = plan_of(readers, message)
        folder = Path(tempfile.mkdtemp(prefix="cardan-bus-", dir="/dev/shm"))
        self.paths = RunPaths(folder, folder / "data")
        self.paths.bus.mkdir()
        self.paths.frames.mkdir()
        create_rings(self.plan, self.paths.bus)
        self.wakers = Wakers(self.plan)

    def publisher(self, schema: int = 0) -> RingPublisher:
        return RingPublisher(self.plan, "source", self.paths.bus, {TOPIC: schema}, 1, self.wakers.of("source"))

    def subscriber(self, index: int, *, every: bool) -> RingSubscriber:
        how = {TOPIC: Subscription(every=every, schema=None, next_index=None)}
        node = f"sink{index}"
        return RingSubscriber(self.plan, node, self.paths.bus, how, self.wakers.of(node).own)

    def close(self) -> None:
        self.wakers.close()
        shutil.rmtree(self.paths.run_dir)


class RingBytes:
    """RingPublisher.send to RingSubscriber.drain, each message in order."""

    every = True

    def __init__(self, size: int, readers: int) -> None:
        self._run = Run(readers)
        self._payloads = [os.urandom(size - STAMP.size) for _ in range(PAYLOADS)]

    def open_publisher(self) -> None:
        self._publisher = self._run.publisher()

    def open_reader(self, index: int) -> None:
        self._subscriber = self._run.subscriber(index, every=self.every)

    def send(self, number: int) -> None:
        stamp = STAMP.pack(number, time.monotonic_ns())
        self._publisher.send(b"source/out", stamp, self._payloads[number % PAYLOADS])

    def read(self, on_message: OnMessage) -> None:
        ended = False

        def deliver(topic: str, message: bytes, passed: Passed | None = None) -> None:
            nonlocal ended
            ended = on_message(message)

        wait, drain = self._subscriber.wait, self._subscriber.drain
        while not ended:
            wait(WAIT_S)
            drain(deliver)

    def close(self) -> None:
        self._publisher.close()
        self._run.close()


class RingNewest(RingBytes):
    """The same for an input that keeps the newest message alone."""

    every = False


class Slots(RingBytes):
    """A frame that the publisher fills in place; its descriptor travels in the ring, and the newest one is read."""

    every = False

    def __init__(self, size: int, readers: int) -> None:
        super().__init__(4096, readers)
        self._shape = (size,)
        self._pool = SlotPool(self._run.paths.frames, "source.out.1", rows=readers)

    def open_reader(self, index: int) -> None:
        super().open_reader(index)
        self._maps = SlotMaps(self._run.paths.frames, {"source.out": index})

    def send(self, number: int) -> None:
        sent_ns = time.monotonic_ns()
        array = self._pool.take(self._shape, BYTE)
        STAMP.pack_into(array.data, 0, number, sent_ns)
        self._pool.seal(array)
        self._publish(array)

    def _publish(self, array: np.ndarray) -> None:
        self._publisher.send(b"source/out", b"", self._pool.pack(array))

    def read(self, on_message: OnMessage) -> None:
        maps, decode = self._maps, msgspec.msgpack.Decoder(SlotDescriptor).decode

        def on_descriptor(message: bytes) -> bool:
            descriptor = decode(message)
            array = maps.view(descriptor)
            ended = on_message(array)
            array[-1]
            maps.release(descriptor)
            return ended

        super().read(on_descriptor)

    def close(self) -> None:
        self._pool.close()
        super().close()


class SlotCopies(Slots):
    """A frame that lies in memory of the publisher's own: one copy, into the slot."""

    def __init__(self, size: int, readers: int) -> None:
        super().__init__(size, readers)
        self._frames = [np.frombuffer(bytearray(os.urandom(size)), np.uint8) for _ in range(FRAMES)]

    def send(self, number: int) -> None:
        frame = self._frames[number % FRAMES]
        STAMP.pack_into(frame.data, 0, number, time.monotonic_ns())
        self._publish(frame)


class Floor:
    """No bus at all: bytes into shared memory, and an eventfd for each reader. What waking up a process takes."""

    def __init__(self, size: int, readers: int) -> None:
        self._memory = mmap.mmap(-1, size)
        self._payload = os.urandom(size - STAMP.size)
        self._fds = [os.eventfd(0) for _ in range(readers)]

    def open_publisher(self) -> None:
        pass

    def open_reader(self, index: int) -> None:
        self._own = self._fds[index]

    def send(self, number: int) -> None:
        self._memory[:] = STAMP.pack(number, time.monotonic_ns()) + self._payload
        for descriptor in self._fds:
            os.eventfd_write(descriptor, 1)

    def read(self, on_message: OnMessage) -> None:
        ended = False
        while not ended:
            os.eventfd_read(self._own)
            ended = on_message(self._memory[:])

    def close(self) -> None:
        self._memory.close()


class MemoryCopy:
    """No transport at all: the same frames copied into as many places as a pool has slots."""

    def __init__(self, size: int, readers: int) -> None:
        self._frames = [np.frombuffer(bytearray(os.urandom(size)), np.uint8) for _ in range(FRAMES)]
        self._places = [np.frombuffer(mmap.mmap(-1, size), np.uint8) for _ in range(8)]
        for place in self._places:
            place[:] = 1

    def measure(self, messages: int, rate_hz: float) -> dict[str, Any]:
        took_ns = []
        next_s = time.monotonic()
        for number in range(messages):
            next_s += 1 / rate_hz
            time.sleep(max(0.0, next_s - time.monotonic()))
            began_ns = time.monotonic_ns()
            self._copy(number)
            took_ns.append(time.monotonic_ns() - began_ns)
        took_ns.sort()
        return {"p50_us": quantile(took_ns, 0.5) / 1000, "p99_us": quantile(took_ns, 0.99) / 1000, "missing": 0}

    def _copy(self, number: int) -> None:
        self._places[number % len(self._places)][:] = self._frames[number % FRAMES]

    def close(self) -> None:
        self._frames, self._places = [], []


class SlotCopyAlone(MemoryCopy):
    """The copy into a slot without a message about it: what it has over a plain one is not the way to the reader."""

    def __init__(self, size: int, readers: int) -> None:
        super().__init__(size, readers)
        self._folder = tempfile.TemporaryDirectory(prefix="cardan-bus-", dir="/dev/shm")
        self._pool = SlotPool(Path(self._folder.name), "source.out.1", rows=readers)
        for number in range(len(self._places)):
            self._copy(number)

    def _copy(self, number: int) -> None:
        self._pool.pack(self._frames[number % FRAMES])

    def close(self) -> None:
        super().close()
        self._pool.close()
        self._folder.cleanup()


# ---------------------------------------------------------------------------------------------------- between two ports


class Packet(Message, frozen=True, kw_only=True):
    """A message of a wanted length."""

    number: int
    sent_ns: int
    data: bytes


class Picture(Message, frozen=True, kw_only=True):
    """A frame."""

    number: int
    sent_ns: int
    image: np.ndarray


class PacketSource(Node):
    out = Output(Packet)


class PacketSink(Node):
    arrived = Input(Packet)


class PictureSource(Node):
    out = Output(Picture)


class PictureSink(Node):
    arrived = Input(Picture)


class Ports:
    """A node's output to another node's input, as the node loop uses them."""

    source: type[Node] = PacketSource
    sink: type[Node] = PacketSink

    def __init__(self, size: int, readers: int) -> None:
        self._size = size
        self._clock = MonotonicClock()
        self._run = Run(readers, f"bus_ours:{self.source.ports().outputs['out'].type.__name__}")
        self._payloads = [os.urandom(max(0, size - 64)) for _ in range(PAYLOADS)] if size < 1 << 20 else []
        page = create_vitals(self._run.paths.vitals, self._run.plan, now_ns=1, wall_ns=1)
        page.close()

    def _wire(self, name: str) -> Wire:
        self._page = open_vitals(self._run.paths.vitals, self._run.plan, writable=True)
        return Wire(self._run.plan, self._run.plan.node(name), self._page, self._clock, self._run.paths.frames)

    def _connect(self, wire: Wire, node: Node, name: str, send: Any) -> None:
        wire.connect(node, make_context(self._run.plan, name, self._run.paths, self._page), send, 1)

    def open_publisher(self) -> None:
        wire = self._wire("source")
        (schema,) = wire.schemas(self.source).values()
        self._publisher = self._run.publisher(schema)
        self._node: Any = self.source()
        self._connect(wire, self._node, "source", self._publisher.send)

    def open_reader(self, index: int) -> None:
        self._reading = self._wire(f"sink{index}")
        self._node = self.sink()
        self._connect(self._reading, self._node, f"sink{index}", None)
        self._subscriber = self._run.subscriber(index, every=False)

    def send(self, number: int) -> None:
        data = self._payloads[number % PAYLOADS]
        self._node.out.send(Packet(number=number, sent_ns=time.monotonic_ns(), data=data))

    def read(self, on_message: OnMessage) -> None:
        arrived, pack = self._node.arrived, STAMP.pack
        ended = False
        while not ended:
            self._subscriber.wait(WAIT_S)
            if self._subscriber.drain(self._reading.deliver) and arrived.fresh:
                value = arrived.value
                ended = on_message(pack(value.number, value.sent_ns))
                arrived.step_done()

    def close(self) -> None:
        self._publisher.close()
        self._run.close()


class PicturePorts(Ports):
    """The same for a frame that is filled in place."""

    source = PictureSource
    sink = PictureSink

    def send(self, number: int) -> None:
        sent_ns = time.monotonic_ns()
        with self._node.out.slot((self._size,), np.uint8) as image:
            image[0] = number & 0xFF
        self._node.out.send(Picture(number=number, sent_ns=sent_ns, image=image))
