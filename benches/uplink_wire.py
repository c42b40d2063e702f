"""How many bytes a sample of a signal takes on the wire, beside OpenTelemetry's protocol with zstd.

The same samples go both ways: signals as a vehicle bus has them (an integer times a factor, walking at random, a third
of them mostly still), one message a tick with a field for each signal. Ours carries more: sequence, stamps, validity.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import time
from collections.abc import Sequence
from typing import NamedTuple

from peers import python_with

FACTORS = [1.0, 0.5, 0.1, 0.05, 0.01, 0.001, 1 / 256]
TICK_NS = 100_000_000
PEER = """
import json, sys, time
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest as Request
data = json.load(sys.stdin)
begin = time.process_time()
request = Request()
metrics = request.resource_metrics.add().scope_metrics.add().metrics
for name, values in data["signals"].items():
    metric = metrics.add()
    metric.name = name
    points = metric.gauge.data_points
    for stamp, value in zip(data["wall_ns"], values):
        point = points.add()
        point.time_unix_nano = stamp
        point.as_double = value
body = request.SerializeToString()
sys.stderr.write(str(time.process_time() - begin))
sys.stdout.buffer.write(body)
"""


class Drive(NamedTuple):
    """Samples of all signals at the same moments."""

    wall_ns: list[int]
    signals: dict[str, list[float]]

    @property
    def samples(self) -> int:
        return len(self.wall_ns) * len(self.signals)


class Cost(NamedTuple):
    """Of one way to write a drive."""

    bytes_per_sample: float
    cpu_us_per_sample: float


def drive(signals: int, ticks: int, seed: int, *, noise: bool = False) -> Drive:
    """noise: every value is a new random double, which nothing compresses."""
    chance = random.Random(seed)
    wall_ns = [1_795_616_897 * 10**9 + tick * TICK_NS + chance.randrange(2_000_000) for tick in range(ticks)]
    found = {}
    for number in range(signals):
        factor, value, values = chance.choice(FACTORS), chance.randrange(2000), []
        for _ in range(ticks):
            value += chance.randint(-3, 3) if number % 3 else chance.choice([-1, 1]) * (chance.random() < 0.1)
            values.append(chance.random() if noise else value * factor)
        found[f"Vehicle.Group{number % 7}.Signal{number}"] = values
    return Drive(wall_ns, found)


def ours(data: Drive, form: str) -> Cost:
    """As the uplink writes a segment of the outbox."""
    from cardan.runtime.outbox.segment import Record, RecordClass, SegmentHeader
    from cardan.runtime.uplink.forms import form_of, forms_with

    header = SegmentHeader(vehicle="van-7", boot="4b1c", stream="trend", log="0a1b2c3d", policy="f" * 16)
    records = []
    for tick, wall_ns in enumerate(data.wall_ns):
        message = {name: values[tick] for name, values in data.signals.items()}
        head = {"topic": "state/vehicle", "type": "demo:State", "topic_seq": tick, "epoch": 1}
        mono_ns = wall_ns - data.wall_ns[0]
        payload = {**head, "origin_ns": mono_ns - 3_000_000 - tick % 7, "valid": True, "message": message}
        records.append(Record(tick + 1, mono_ns, wall_ns, RecordClass.TREND, json.dumps(payload).encode()))
    encode = form_of(forms_with({}), form).encode
    encode(header, records[:1])  # loads the library
    begin = time.process_time()
    size = len(encode(header, records))
    return Cost(size / data.samples, (time.process_time() - begin) / data.samples * 1e6)


def otlp_or_none(data: Drive) -> Cost | None:
    """OTLP metrics, compressed by zstd at the level that is best for them; None where it is not installed."""
    import zstandard

    python = python_with("opentelemetry.proto")
    if python is None:
        return None
    text = json.dumps(data._asdict()).encode()
    done = subprocess.run([python, "-c", PEER], input=text, capture_output=True, check=True)
    sizes, begin = [], time.process_time()
    for level in (3, 9):
        sizes.append(len(zstandard.ZstdCompressor(level=level).compress(done.stdout)))
    cpu_s = float(done.stderr) + (time.process_time() - begin) / 2
    return Cost(min(sizes) / data.samples, cpu_s / data.samples * 1e6)


def compared(
    forms: Sequence[str], signals: int, ticks: int, rounds: int, *, noise: bool = False
) -> tuple[dict[str, Cost], Cost | None]:
    """By form, and of the peer: medians over drives of different seeds, all of them by turns."""
    mine: dict[str, list[Cost]] = {form: [] for form in forms}
    theirs = []
    for seed in range(rounds):
        data = drive(signals, ticks, seed, noise=noise)
        for form in forms:
            mine[form].append(ours(data, form))
        peer = otlp_or_none(data)
        if peer is not None:
            theirs.append(peer)
    return {form: _median(costs) for form, costs in mine.items()}, _median(theirs) if theirs else None


def _median(costs: list[Cost]) -> Cost:
    columns = zip(*costs, strict=True)
    return Cost(*(statistics.median(column) for column in columns))
