"""What CAN costs the bridge: encode, decode, a whole period, a recorded minute of traffic; and is it right?

Each message of random layout is decoded and encoded by ours and by cantools: a difference is counted. Costs are
processor time, beside cantools in the same run.

    python benches/can_codec.py --quick
    python benches/can_codec.py                        # a million random messages, 2 minutes
    python benches/can_codec.py --messages 0           # costs only
"""

from __future__ import annotations

import argparse
import gc
import gzip
import importlib.util
import math
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import cantools.database
from rows import Row, at_most, exactly, report

from cardan.firmware_bridge.bridge import Bridge
from cardan.firmware_bridge.codec import MessageCodec
from cardan.firmware_bridge.dbc import load_dbc
from cardan.firmware_bridge.envelope import envelope_hash
from cardan.firmware_bridge.sim_ecu import Pedals, SensorEcu
from cardan.firmware_bridge.testing import LIMITS, truth
from cardan.firmware_bridge.trust import TrustedMessage
from cardan.firmware_bridge.vehicle_map import reference_dbc_path
from cardan.runtime.data import find_data
from cardan.runtime.errors import CardanError
from cardan.runtime.messages import ActuatorCommand, CanFrame
from cardan.runtime.profile import CanChannelSettings
from cardan.runtime.testing import Bench

HERE = Path(__file__).resolve().parent
TESTS = HERE.parent / "tests" / "firmware_bridge"
BATCHES = 10
CALLS = 4_000
"""In each batch; the best batch counts, so that other work on the computer does not."""
MESSAGE = "DRIVER_INPUTS"
"""The message of the reference vehicle with the most signals."""
FILLED = ("CRC", "COUNTER")
"""Signals that our encoder fills in; cantools is given zeros for them, and computes neither."""
RANDOM_LAYOUTS = 200
MINUTE_S = 60.0
SCALES = ("1", "2", "-3", "0.5", "0.004", "-0.25", "2E-006", "0.1")
OFFSETS = ("0", "7", "-40", "0.5", "-327.68")


# --------------------------------------------------------------------------------------------------------------- right


def difference_rows(messages: int) -> list[Row]:
    """Random bytes of random layouts, and of the hand-made ones of test_dbc.py: multiplexed, floats, 64 bytes."""
    hand_made = load_test("test_dbc").MIXED
    rng = random.Random(1)
    compared = differences = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.dbc"
        path.write_text(hand_made + "".join(random_message(rng, 1000 + number) for number in range(RANDOM_LAYOUTS)))
        ours, theirs = load_dbc(path), cantools.database.load_file(path, strict=False)
        share = math.ceil(messages / len(ours.names))
        for name in ours.names:
            peer = theirs.get_message_by_name(name)  # type: ignore[union-attr] # a DBC is a CAN database
            differences += sum(differs(ours.message(name), peer, rng.randbytes(peer.length)) for _ in range(share))
            compared += share
    return [
        Row("random messages compared with cantools", compared, "messages", f">= {messages}", compared >= messages),
        exactly("differences to cantools", differences, 0, "messages"),
    ]


def random_message(rng: random.Random, number: int) -> str:
    """A message of 8 bytes with signals of any length, order, sign, scale and offset, where there is room."""
    taken: set[int] = set()
    lines = [f"BO_ {number} RANDOM_{number}: 8 ECU\n"]
    for index in range(rng.randrange(1, 14)):
        length, big = rng.choice((1, 1, 2, 4, 8, 12, 16, 20, 32)), rng.random() < 0.4
        start = rng.randrange(64)
        bits = bits_of(start, length, big)
        if not bits or taken & bits:
            continue
        taken |= bits
        sign, order = "-" if rng.random() < 0.4 and length > 1 else "+", 0 if big else 1
        factor = f"({rng.choice(SCALES)},{rng.choice(OFFSETS)})"
        lines.append(f' SG_ S{index} : {start}|{length}@{order}{sign} {factor} [0|0] "" ECU\n')
    return "".join(lines) + "\n"


def bits_of(start: int, length: int, big: bool) -> set[int]:
    """The bits that a signal takes; empty when they leave the message."""
    if not big:
        found = set(range(start, start + length))
    else:
        first = 8 * (start // 8) + 7 - start % 8
        found = {8 * (place // 8) + 7 - place % 8 for place in range(first, first + length)}
    return found if max(found) < 64 else set()


def differs(ours: MessageCodec, theirs: Any, data: bytes) -> bool:
    decoded = ours.decode(data)
    try:
        expected = theirs.decode(data, decode_choices=False)
    except cantools.database.DecodeError:
        return not theirs.is_multiplexed()  # an unknown selector: we give what is always there, cantools gives nothing
    same = decoded.keys() == expected.keys() and all(
        value == expected[name] or (value != value and expected[name] != expected[name])
        for name, value in decoded.items()
    )
    if not same or not all(map(math.isfinite, decoded.values())):
        return not same  # a random float may be NaN, which we never send
    encoded: bytes = theirs.encode(expected, strict=False)
    return ours.encode(decoded) != encoded


def load_test(name: str) -> Any:
    """A test module."""
    spec = importlib.util.spec_from_file_location(name, TESTS / f"{name}.py")
    if spec is None or spec.loader is None:
        raise SystemExit(f"{TESTS / name}.py is not there")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


# ---------------------------------------------------------------------------------------------------------------- cost


def codec_rows() -> list[Row]:
    ours = load_dbc(reference_dbc_path()).message(MESSAGE)
    database = cantools.database.load_file(reference_dbc_path())
    theirs: Any = database.get_message_by_name(MESSAGE)  # type: ignore[union-attr] # a DBC is a CAN database
    contents = list(random_contents(theirs))
    frames = [ours.encode(content, number % ours.modulus) for number, content in enumerate(contents)]
    filled = [{**content, **dict.fromkeys(FILLED, 0)} for content in contents]
    count = len(theirs.signals) - len(FILLED)
    encode = timed_us(lambda number: ours.encode(contents[number % 64], number % ours.modulus))
    decode = timed_us(lambda number: ours.decode(frames[number % 64]))
    their_encode = timed_us(lambda number: theirs.encode(filled[number % 64]))
    their_decode = timed_us(lambda number: theirs.decode(frames[number % 64], decode_choices=False))
    return [
        beside(f"encode {count} signals with counter and CRC, p50", encode, 5, their_encode),
        beside(f"decode {count} signals with counter and CRC, p50", decode, 3, their_decode),
    ]


def random_contents(message: Any) -> Iterator[dict[str, float]]:
    rng = random.Random(1)
    for _ in range(64):
        yield {
            signal.name: round(rng.uniform(0, 1) * (signal.maximum or 1)) if signal.length > 1 else rng.randrange(2)
            for signal in message.signals
            if signal.name not in FILLED
        }


def period_rows() -> list[Row]:
    """Four messages of the vehicle judged and decoded, the guard, three messages encoded and read back, all logged."""
    period = Period()
    spent = timed_us(period.step, before=period.prepare)
    engagement = period.bench.node._guard.engagement
    if not engagement.active or period.channel.sent < BATCHES * CALLS * 3:
        raise SystemExit(f"not engaged all the time: {engagement.cause}")
    period.bench.close()
    return [
        Row("one period of the bridge, p50", statistics.median(spent), "us", "shown", True),
        at_most("one period of the bridge, p99", percentile(spent, 99), 150, "us"),
    ]


class QuietBench(Bench[Bridge]):
    """A bench that lets go of what the node publishes: it is encoded, as for the recorder, and not kept."""

    def _receive(self, *_: Any) -> None:
        return


class MemoryChannel:
    """A CAN channel without system calls."""

    name = "vehicle"

    def __init__(self) -> None:
        self.arrived: list[CanFrame] = []
        self.sent = 0

    def receive_batch(self, limit: int) -> list[CanFrame]:
        frames, self.arrived = self.arrived, []
        return frames

    def send(self, *_: Any, **__: Any) -> int:
        self.sent += 1
        return 0

    def close(self) -> None:
        return


class Period:
    """The bridge of the reference vehicle on a fake clock: `prepare`, then `step`, is one period."""

    def __init__(self) -> None:
        limits = {name: dict(values) for name, values in LIMITS.items()}
        self._hash = envelope_hash(limits)
        bus = CanChannelSettings(name="vehicle", interface="udp_multicast", channel="239.74.163.9", port=0)
        self.bench = QuietBench(
            Bridge, envelope=limits, envelope_hash=self._hash, can_channels={"vehicle": bus}, open_node=False
        )
        self.channel = MemoryChannel()
        with mock.patch("cardan.firmware_bridge.bridge.open_channel", lambda *_: self.channel):
            self.bench.node.open()
        sensors = SensorEcu(load_dbc(reference_dbc_path()))
        self._frames = [sensors.frames(truth(20.0), Pedals()) for _ in range(15)]
        self._number = 0
        self.bench.node._guard.engage("bench")
        for number in range(5):
            self.prepare(number)
            self.step(number)

    def prepare(self, number: int) -> None:
        """What arrives in this period; its cost is the sender's."""
        clock = self.bench.clock
        clock.advance_s(0.01)
        now_ns = clock.now_ns()
        self.channel.arrived = [
            CanFrame("vehicle", frame_id, data, now_ns - 1_000_000)
            for frame_id, data in self._frames[self._number % 15]
        ]
        wiggle = self._number % 2
        command = ActuatorCommand(
            cycle=self._number, steering_rad=1e-4 * wiggle, accel_mps2=0.01 * wiggle, envelope_hash=self._hash
        )
        self.bench.send("command", command)
        self._number += 1

    def step(self, number: int) -> None:
        self.bench.node.step()


def minute_rows() -> list[Row]:
    """The recorded minute of a real car: every frame whose identifier its DBC files know, judged and decoded."""
    try:
        folder = find_data("rav4_minute", HERE)
    except CardanError as error:
        print(f"{error.message}: the recorded minute is left out", file=sys.stderr)
        return []
    messages = {
        channel: known_messages(folder / name) for channel, name in (("can0", "powertrain.dbc"), ("can1", "radar.dbc"))
    }
    frames = [
        (messages[channel].get(frame_id), data, stamp_ns) for channel, frame_id, data, stamp_ns in recorded(folder)
    ]
    known = sum(message is not None for message, _, _ in frames)
    best_s = min(judge_all(frames) for _ in range(5))
    share = 100 * best_s / MINUTE_S
    return [
        at_most(f"recorded minute: {len(frames)} frames, judged and decoded where known", share, 1.0, "% of a core"),
        at_most("recorded minute: the same if every frame were known", share * len(frames) / known, 1.0, "% of a core"),
        Row("recorded minute: frames known", known, "frames", "shown", True),
    ]


def known_messages(path: Path) -> dict[int, TrustedMessage]:
    """Every message of a DBC file that can be used, by identifier; each has a period here, as a bridge would demand."""
    dbc = load_dbc(path, additive=[])
    found = {}
    for name in dbc.names:
        try:
            codec = dbc.message(name)
        except CardanError:
            continue  # a broken definition, as vehicle makers' files have them
        found[codec.frame_id] = TrustedMessage(codec, period_s=codec.period_s or 0.1)
    return found


def recorded(folder: Path) -> Iterator[tuple[str, int, bytes, int]]:
    with gzip.open(folder / "candump.log.gz", "rt") as log:
        for line in log:
            stamp, channel, text, _ = line.split()
            number, payload = text.split("#")
            yield channel, int(number, 16), bytes.fromhex(payload), int(stamp[1:-1].replace(".", "")) * 1000


def judge_all(frames: list[tuple[TrustedMessage | None, bytes, int]]) -> float:
    """Processor seconds."""
    gc.disable()
    began = time.process_time()
    for message, data, stamp_ns in frames:
        if message is not None:
            message.receive(data, stamp_ns)
    spent = time.process_time() - began
    gc.enable()
    return spent


def beside(name: str, ours_us: list[float], limit_us: float, cantools_us: list[float]) -> Row:
    mine, peer = statistics.median(ours_us), statistics.median(cantools_us)
    return Row(name, mine, "us", f"<= {limit_us:g}", mine <= limit_us, "cantools", peer, peer / mine)


def timed_us(call: Callable[[int], object], before: Callable[[int], object] = lambda number: None) -> list[float]:
    """Microseconds of processor time of each call in the best batch; no garbage collector, as in a loop on time."""
    batches = []
    gc.disable()
    for _ in range(BATCHES):
        spent = []
        for number in range(CALLS):
            before(number)
            began = time.thread_time_ns()
            call(number)
            spent.append((time.thread_time_ns() - began) / 1e3)
        batches.append(spent)
        gc.collect()
    gc.enable()
    return min(batches, key=lambda spent: percentile(spent, 99))


def percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=1_000_000, metavar="N", help="default: 1 000 000")
    parser.add_argument("--quick", action="store_true", help="50 000 messages: end within 50 s")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parser.parse_args()
    messages = 50_000 if arguments.quick else arguments.messages
    rows = [*codec_rows(), *period_rows(), *minute_rows(), *(difference_rows(messages) if messages else [])]
    return report("can_codec", rows, as_json=arguments.json)


if __name__ == "__main__":
    sys.exit(main())
