"""Hostile inputs for the bus, and what may come of them: a value, an error of ours, or nothing at all.

Three kinds: messages into the inputs of a node, descriptors into the maps of frames, images of rings into readers. The
tests run a few thousand of each; benches/bus_fuzz.py a million.
"""

from __future__ import annotations

import random
import struct
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import msgspec
import numpy as np

from cardan.runtime.bus import ring_file
from cardan.runtime.bus.codec import MessageDecoder, MessageEncoder
from cardan.runtime.bus.envelope import HEADER_SIZE, pack
from cardan.runtime.bus.records import PythonRecords
from cardan.runtime.bus.ring import RingReader, RingWriter
from cardan.runtime.bus.ring_file import create_ring, open_ring
from cardan.runtime.bus.ring_layout import COUNT, PAGE, RESERVED
from cardan.runtime.bus.slots import SlotDescriptor, SlotMaps, SlotPool
from cardan.runtime.clock import MonotonicClock
from cardan.runtime.errors import BusError
from cardan.runtime.messages import Message
from cardan.runtime.node import Input, Node
from cardan.runtime.testing import Bench

SMALL = 4096
TAKEN_AT_MOST = 64
U8 = np.dtype(np.uint8)
EDGES = (0, 1, 2, 7, 15, 16, 31, 32, 63, 64, 127, 128, 255, 256, 4095, 4096, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63)
"""Numbers at which something might go over."""


@dataclass
class Outcome:
    """How often which end was come to; findings are ends that may not be."""

    counts: dict[str, int] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)

    def count(self, name: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1

    @contextmanager
    def judged(self, what: str) -> Iterator[None]:
        """Around one input: BusError is an answer, every other exception a finding."""
        try:
            yield
        except BusError:
            self.count("refused")
        except Exception as error:
            self.count("finding")
            self.findings.append(f"{what}: {type(error).__name__}: {error}")


class Part(msgspec.Struct, frozen=True):
    """Something inside a message."""

    name: str
    weights: list[float] = []


class Rich(Message, frozen=True, kw_only=True):
    """A message with some of everything."""

    number: int
    ratio: float
    data: bytes
    parts: list[Part]
    pair: tuple[int, str]
    image: np.ndarray


class Listening(Node):
    newest = Input(Rich, max_age_s=0.1, min_rate_hz=10.0)
    all = Input(Rich, queue=4)


def mutated(good: bytes, chance: random.Random) -> bytes:
    """`good` with something wrong."""
    data = bytearray(good)
    for _ in range(chance.choice((1, 1, 1, 2, 5, 30))):
        _mutate(data, chance)
    return bytes(data)


def _mutate(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data)) if data else 0
    kind = chance.randrange(7)
    if kind == 0 and data:
        data[at] ^= 1 << chance.randrange(8)
    elif kind == 1 and data:
        data[at] = chance.randrange(256)
    elif kind == 2:
        del data[at:]
    elif kind == 3:
        data[at:at] = chance.randbytes(chance.randrange(1, 9))
    elif kind == 4:
        del data[at : at + chance.randrange(1, 9)]
    elif kind == 5:
        width = chance.choice((2, 4, 8))
        data[at : at + width] = (chance.choice(EDGES) % (1 << 8 * width)).to_bytes(
            width, chance.choice(("big", "little"))
        )
    else:
        other = chance.randrange(len(data) + 1)
        data[at : at + 12] = data[other : other + 12]


# ------------------------------------------------------------------------------------------------------------ messages


def fuzz_messages(seed: int, inputs: int) -> Outcome:
    """Into the inputs of a node (envelope, counting, decoding), with slots in the messages, and without."""
    chance, outcome = random.Random(seed), Outcome()
    with tempfile.TemporaryDirectory() as text, Bench(Listening) as bench, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        folder = Path(text)
        pool, maps = SlotPool(folder, "source.out.1"), SlotMaps(folder)
        good = list(_good_messages(pool, chance))
        decoder = MessageDecoder(Rich, maps)
        for number in range(inputs):
            message = chance.choice(good)
            if number % 50 == 0:
                message = chance.randbytes(chance.randrange(200))
            elif number % 4 == 0:
                message = mutated(message, chance)
            else:
                message = message[:HEADER_SIZE] + mutated(message[HEADER_SIZE:], chance)
            with outcome.judged(f"seed {seed}, message {message.hex()}"):
                outcome.count(_received(bench, decoder, message, chance))
        maps.close()
        pool.close()
    return outcome


def _good_messages(pool: SlotPool, chance: random.Random) -> Iterator[bytes]:
    schema = MessageEncoder(Rich).schema
    for spill_from in (64 * 1024, 8):
        for slots in (pool, None):
            for size in (0, 3, 100):
                parts = [Part(name="a" * size, weights=[0.5] * size)]
                image = np.zeros((size, 2), np.uint16)
                value = Rich(number=size, ratio=0.25, data=bytes(size), parts=parts, pair=(1, "x"), image=image)
                payload = MessageEncoder(Rich, slots, spill_from).encode(value)
                now_ns = MonotonicClock().now_ns()
                yield pack(chance.randrange(9), now_ns, now_ns, schema, 1, valid=True) + payload


def _received(bench: Bench[Listening], decoder: MessageDecoder[Rich], message: bytes, chance: random.Random) -> str:
    node = bench.node
    topic = chance.choice(list(bench.plan.topics()) or ["bench/newest", "bench/all"])
    bench.wire.deliver(topic, message)
    for reader in (node.newest, node.all):
        reader.step_begins(bench.clock.now_ns())
        _ = (reader.fresh, reader.valid, reader.age_s, reader.rate_hz, reader.rate_ok, reader.intact, reader.lost)
    node.all.take()
    decoder.release()
    value = decoder.decode(message[HEADER_SIZE:])
    checksum = int(value.image.astype(np.uint64).sum()) if value.image.dtype.kind in "iub" else 0
    node.newest.step_done()
    return "taken" if checksum >= 0 or decoder.intact else "taken, reused"


# --------------------------------------------------------------------------------------------------------- descriptors


def fuzz_descriptors(seed: int, inputs: int) -> Outcome:
    """Into the maps of a reader; a view lies inside its pool, and is read to its last byte."""
    chance, outcome = random.Random(seed), Outcome()
    with tempfile.TemporaryDirectory() as text, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # names of types that numpy will forget
        folder = Path(text)
        pool, maps = SlotPool(folder, "source.out.1"), SlotMaps(folder, {"source.out": 0})
        array = pool.take((40, 30, 3), U8)
        array[...] = 7
        pool.seal(array)
        good = pool.describe(array)
        (folder / "source.out.1.9").write_bytes(chance.randbytes(9000))
        (folder / "source.out.1.8").write_bytes(chance.randbytes(100))
        size = (folder / good.file).stat().st_size
        for _ in range(inputs):
            descriptor = _descriptor(good, chance)
            with outcome.judged(f"seed {seed}, {descriptor}"):
                outcome.count(_viewed(maps, descriptor, size))
        maps.close()
        pool.close()
    return outcome


SHAPES: tuple[tuple[int, ...], ...] = ((), (0,), (-1,), (1,) * 40, (1,) * 80, (2**31, 2**33), (0, 2**62), (3, 4))
DTYPES = (
    *("<f8", ">u2", "|O", "", "V0", "|S0", "U3", "(2,3)f4", "i4,f4", "{", "M8[ns]", "datetime64", "\0", "f99", "|b1"),
    *("|u1" * 9, "(1000000,1000000)i8", "O,O", "i4," * 50 + "i4", "é"),
)
FILES = ("", ".", "..", "/", "../r", "source.out.1.9", "source.out.1.8", "source.out.2.0", "a\0b", "x" * 300, "\ud800")


def _descriptor(good: SlotDescriptor, chance: random.Random) -> SlotDescriptor:
    near, edge = good.offset + chance.randrange(-70, 70), chance.choice(EDGES)
    dtype = mutated(good.dtype.encode(), chance).decode("latin1")
    changes: dict[str, object] = {
        "file": chance.choice(FILES),
        "offset": chance.choice((near, edge, -edge)),
        "generation": edge,
        "dtype": chance.choice(DTYPES) if chance.random() < 0.8 else dtype,
        "shape": chance.choice((*SHAPES, tuple(chance.choice(EDGES) for _ in range(3)))),
    }
    chosen = chance.sample(list(changes), chance.choice((1, 1, 2, 3)))
    return msgspec.structs.replace(good, **{name: changes[name] for name in chosen})


def _viewed(maps: SlotMaps, descriptor: SlotDescriptor, size: int) -> str:
    view = maps.view(descriptor)
    if view.flags.writeable or view.nbytes > size:
        raise AssertionError("a view that may be written, or is larger than its pool")
    view.tobytes()
    intact = maps.intact(descriptor)
    maps.release(descriptor)
    return "intact" if intact else "reused"


# -------------------------------------------------------------------------------------------------------------- images


def fuzz_rings(seed: int, inputs: int) -> Outcome:
    """Into a reader of each kind, then a publisher that goes on: it takes only messages that were once sent, each with
    its number, and after a damage what comes next arrives."""
    chance, outcome = random.Random(seed), Outcome()
    with ExitStack() as stack:
        path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "r"
        create_ring(path, "a/x", SMALL)
        sent = _fill(path, chance)
        good = path.read_bytes()
        file = stack.enter_context(path.open("r+b", buffering=0))
        for number in range(inputs):
            image = bytearray(good)
            for _ in range(chance.choice((1, 1, 2, 8))):
                _damage(image, chance)
            file.seek(0)
            file.truncate(file.write(mutated(bytes(image), chance) if number % 200 == 0 else image))
            with outcome.judged(f"seed {seed}, image {number}"):
                outcome.count(_read_image(path, sent, chance))
    return outcome


def _fill(path: Path, chance: random.Random) -> dict[int, bytes]:
    sent: dict[int, bytes] = {}
    with closing(open_ring(path, writable=True)) as ring:
        writer = RingWriter(ring)
        for number in range(100):
            sent[number] = struct.pack("<Q", number) + chance.randbytes(chance.choice((0, 24, 90, 300)))
            writer.write(sent[number])
    return sent


def _damage(image: bytearray, chance: random.Random) -> None:
    words = len(image) // 8
    at = chance.choice(
        (chance.randrange(8), chance.randrange(PAGE // 8, words), chance.randrange(PAGE // 8, PAGE // 8 + 32))
    )
    (old,) = struct.unpack_from("<Q", image, at * 8)
    new = chance.choice(
        (chance.choice(EDGES), old + chance.randrange(-64, 64), old ^ (1 << chance.randrange(64)), ~old)
    )
    struct.pack_into("<Q", image, at * 8, new % 2**64)


def _read_image(path: Path, sent: dict[int, bytes], chance: random.Random) -> str:
    with closing(open_ring(path, writable=True)) as ring:
        start = chance.choice((None, 0, 70, 99, max(0, min(2**63, ring.words[COUNT]) - 20)))
        in_order, newest = RingReader(ring, start), RingReader(ring, start)
        took = list(in_order.take(TAKEN_AT_MOST))
        one = newest.take_newest()
        for arrival in [*took, *([one] if one is not None else [])]:
            if sent.get(arrival.number) != arrival.message:
                raise AssertionError(f"message {arrival.number} was never sent like that")
        if ring.words[COUNT] < 2**62 and ring.words[RESERVED] < 2**62:
            _go_on(RingWriter(ring), newest)
    return "read" if took or one is not None else "nothing to read"


def _go_on(writer: RingWriter, newest: RingReader) -> None:
    if newest.next > newest.count:
        return  # COUNT went back: this reader waits until it is reached again
    writer.write(b"the next one")
    arrival = newest.take_newest()
    if arrival is None or arrival.message != b"the next one":
        raise AssertionError("what was sent after the damage does not arrive")


def fuzz_python_rings(seed: int, inputs: int) -> Outcome:
    """The same with the records in Python."""
    with patch.object(ring_file, "Records", PythonRecords):
        return fuzz_rings(seed, inputs)


KINDS: dict[str, Callable[[int, int], Outcome]] = {
    "messages": fuzz_messages,
    "descriptors": fuzz_descriptors,
    "rings": fuzz_rings,
    "rings in python": fuzz_python_rings,
}
