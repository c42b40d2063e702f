"""The recorder: processor time beside the `mcap` package, pictures beside plain writes, a whole vehicle, and kills.

    python benches/recorder.py            # about 2 minutes
    python benches/recorder.py --quick    # within 50 s

Small messages: the same JSON into chunks of the same length, by our writer and by the package's, in turns. Pictures:
6.2 MB each through channel, chunk, thread and file, beside `write` of the same bytes; both are synced after every
seven, in turns, and the ratio is the median of those of neighbours, since disks are faster at one time than at another;
as root, both come before whatever else the computer does.
The vehicle: the reference vehicle with sensors and a camera of 1920 x 1080 beside it, every topic recorded to this
computer's disk. The control loop beside all that is in `recorder_loop.py`.
"""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from mcap.writer import Writer
from recorder_nodes import Reading
from recorder_vehicle import Folder, Running, cpu_s, driving, reference, wait_for
from rows import Row, at_most, exactly, parse_arguments, report

from cardan.runtime.bus.envelope import Sample
from cardan.runtime.messages import CameraFrame
from cardan.runtime.plan import read_plan
from cardan.runtime.record.archive import Archive, ArchiveSettings
from cardan.runtime.record.channels import Channels
from cardan.runtime.record.files import recording_paths
from cardan.runtime.record.mcap_chunk import ChunkBuilder
from cardan.runtime.record.mcap_file import read_messages
from cardan.runtime.record.mcap_writer import ChunkFile, McapWriter
from cardan.runtime.record.worker import Worker
from cardan.runtime.vitals import SeriesKind, open_vitals

HERE = Path(__file__).resolve().parent
CHUNK = 200
"""Messages in a chunk: what 20 topics at 100 Hz say in 100 ms, between two steps of the recorder."""
FRAME = (1080, 1920, 3)
FRAMES_A_SYNC = 7
Rate = Callable[[list[np.ndarray], Path, int], float]


# ------------------------------------------------------------------------------------------------------ small messages


def telemetry(count: int) -> list[bytes]:
    """What a small sensor says, as JSON, with numbers that change."""
    random = np.random.default_rng(1)
    readings = (
        Reading(
            stamp_ns=int(number * 1e7),
            counter=number,
            value=float(random.normal()),
            rate_radps=tuple(random.normal(size=3).tolist()),
            accel_mps2=tuple(random.normal(size=3).tolist()),
            temp_c=20.0,
            status="ok",
        )
        for number in range(count)
    )
    return [msgspec.json.encode(reading) for reading in readings]


def our_cpu_s(messages: list[bytes], path: Path) -> float:
    begin = time.process_time()
    writer = McapWriter(path, {}, wall_offset_ns=0)
    channels = [writer.add_channel(f"s{number}/reading", "Reading", b'{"type":"object"}', {}) for number in range(20)]
    for number, data in enumerate(messages):
        writer.write(channels[number % 20], sent_ns=number * 500_000, sequence=number, data=data)
        if number % CHUNK == CHUNK - 1:
            writer.end_chunk()
    writer.finish()
    return time.process_time() - begin


def package_cpu_s(messages: list[bytes], path: Path) -> float:
    begin = time.process_time()
    with path.open("wb", buffering=0) as file:
        writer: Any = Writer(file, chunk_size=1 << 20)
        writer.start()
        schema = writer.register_schema("Reading", "jsonschema", b'{"type":"object"}')
        channels = [writer.register_channel(f"s{number}/reading", "json", schema) for number in range(20)]
        for number, data in enumerate(messages):
            writer.add_message(channels[number % 20], number * 500_000, data, number * 500_000, number)
            if number % CHUNK == CHUNK - 1:
                writer.flush()
        writer.finish()
    return time.process_time() - begin


def small_messages(folder: Path, rounds: int, count: int) -> list[Row]:
    messages = telemetry(count)
    megabytes = sum(map(len, messages)) / 1e6
    ours: list[float] = []
    peer: list[float] = []
    for number in range(rounds):
        for measure, into in [(our_cpu_s, ours), (package_cpu_s, peer)][:: 1 if number % 2 else -1]:
            path = folder / "small.mcap"
            into.append(measure(messages, path) / megabytes * 1e3)
            path.unlink()
    value, other = statistics.median(ours), statistics.median(peer)
    name = "small messages: processor time of the writer"
    ratio = value / other
    return [Row(name, value, "ms/MB", "<= 0.5 x mcap", ratio <= 0.5, "mcap's writer", other, ratio)]


# ------------------------------------------------------------------------------------------------------------ pictures


def our_rate(frames: list[np.ndarray], folder: Path, count: int, channels: Channels) -> float:
    """MB/s through channel, chunk, thread and file, until all is on the disk. channels: kept, as a recorder does."""
    settings = ArchiveSettings(
        data_dir=folder, run_id="bench", metadata={}, file_bytes=1 << 40, quota_bytes=1 << 40,
        clip_quota_bytes=1 << 40, preroll_ns=0, preroll_bytes=0,
    )  # fmt: skip
    archive = Archive(settings, lambda path, metadata: ChunkFile(path, metadata, channels.records))
    errors: list[OSError] = []
    worker = Worker("bench", 64 << 20, errors.append)
    begin = time.perf_counter()
    worker.put(archive.begin)
    for number in range(count):
        chunk = ChunkBuilder()
        value = CameraFrame(frame_id=number, image=frames[number % len(frames)])
        channels.add(chunk, Sample(value, "wide/frame", number, 1, number, number, True))
        closed = chunk.close(compress=False)
        while not worker.put(lambda closed=closed: archive.add(closed, of_run=True), closed.size):  # type: ignore[misc]
            time.sleep(0.002)  # ten pictures wait for the disk, which takes longer than that for one
        if number % FRAMES_A_SYNC == FRAMES_A_SYNC - 1:
            worker.put(archive.sync)
    worker.put(archive.finish)
    worker.close(60.0)
    seconds = time.perf_counter() - begin
    if errors:
        raise errors[0]
    return count * frames[0].nbytes / 1e6 / seconds


def raw_rate(frames: list[np.ndarray], folder: Path, count: int) -> float:
    """MB/s of `write` and `fdatasync`."""
    begin = time.perf_counter()
    descriptor = os.open(folder / "raw", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number in range(count):
        left = frames[number % len(frames)].data.cast("B")
        while left:
            left = left[os.write(descriptor, left) :]
        if number % FRAMES_A_SYNC == FRAMES_A_SYNC - 1:
            os.fdatasync(descriptor)
    os.fdatasync(descriptor)
    os.close(descriptor)
    return count * frames[0].nbytes / 1e6 / (time.perf_counter() - begin)


@contextmanager
def before_others() -> Iterator[None]:
    """While this lasts, this process and its new threads have the processors before ordinary programs, if allowed."""
    if os.geteuid():
        yield
        return
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(5))
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def pictures(folder: Path, rounds: int, count: int) -> list[Row]:
    random = np.random.default_rng(1)
    frames = [random.integers(0, 256, FRAME, np.uint8) for _ in range(8)]
    channels = Channels(wall_offset_ns=0, jpeg_quality=80, is_raw=lambda topic: True)
    mine: Rate = partial(our_rate, channels=channels)
    ours: list[float] = []
    raw: list[float] = []
    for number in range(rounds):
        for measure, into in [(mine, ours), (raw_rate, raw)][:: 1 if number % 2 else -1]:
            with tempfile.TemporaryDirectory(dir=folder) as name, before_others():
                into.append(measure(frames, Path(name), count))
    value, other = statistics.median(ours), statistics.median(raw)
    ratio = statistics.median(one / other for one, other in zip(ours, raw, strict=True))
    name = "raw pictures of 6.2 MB: recorded as fast as possible"
    return [Row(name, value, "MB/s", ">= 0.8 x write", ratio >= 0.8, "write + fdatasync", other, ratio)]


# --------------------------------------------------------------------------------------------------------- the vehicle


def whole_vehicle(path: Path, folder: Folder, seconds: float) -> list[Row]:
    with driving(path, folder) as run:
        wait_for(lambda: run.steps("wide") > 20, "pictures")
        pid = run.pid("recorder")
        begin, cpu = _written(run), cpu_s(pid)
        time.sleep(seconds)
        end, cpu = _written(run), cpu_s(pid) - cpu
        elapsed = end.s - begin.s
        rate = (end.bytes - begin.bytes) / 1e6 / elapsed
        nodes = len(run.plan.nodes)
        summary = run.stop()
    dropped, unrecorded = _accounts(folder, Path(summary["recording"]).stem)
    name = f"{nodes} nodes, every topic and raw pictures"
    return [
        Row(f"{name}: to the disk", rate, "MB/s", ">= 200", rate >= 200),
        exactly(f"{name}: published and not recorded, of {summary['published']}", unrecorded, 0, "messages"),
        exactly(f"{name}: lost or dropped by the recorder", dropped, 0, "messages"),
        Row(f"{name}: processor time of the recorder", cpu / elapsed * 100, "% of a core", "shown", True),
    ]


class Written(NamedTuple):
    """How many bytes were in the files at a moment."""

    s: float
    bytes: float


def _written(run: Running) -> Written:
    """As of the recorder's next step, which tells of all that was written by then."""
    before = _bytes(run)
    wait_for(lambda: _bytes(run) != before, "bytes")
    return Written(time.monotonic(), _bytes(run))


def _bytes(run: Running) -> float:
    series = run.vitals.nodes["recorder"].find(SeriesKind.METRIC, "written")
    return 0.0 if series is None else series.words[series.SUM] / 1e6


def _accounts(folder: Folder, run_id: str) -> tuple[float, float]:
    """What the recorder lost or dropped, and what was published and is in no file."""
    plan = read_plan(folder.data / "last" / "plan.json")
    vitals = open_vitals(folder.data / "last" / "vitals", plan)
    recorder = vitals.nodes["recorder"]
    pairs = list(zip(recorder.plans, recorder.series, strict=True))
    losses = sum(
        series.words[series.LOST] + series.words[series.DROPPED]
        for entry, series in pairs
        if entry.kind is SeriesKind.INPUT
    )
    dropped = recorder.find(SeriesKind.METRIC, "dropped")
    counts: dict[str, int] = {}
    for path in recording_paths(folder.data, run_id):
        for message in read_messages(path):
            counts[message.topic] = counts.get(message.topic, 0) + 1
    missing = sum(
        abs(counts.get(entry.topic, 0) - series.words[series.COUNT])
        for node in vitals.nodes.values()
        for entry, series in zip(node.plans, node.series, strict=True)
        if entry.kind is SeriesKind.OUTPUT
    )
    return losses + (0.0 if dropped is None else dropped.words[dropped.SUM] / 1e6), missing


# --------------------------------------------------------------------------------------------------------------- kills


def kills(path: Path, folder: Folder, count: int) -> list[Row]:
    """SIGKILL of the recorder, again and again, while everything is recorded."""
    killed_ns: list[int] = []
    with driving(path, folder) as run:
        wait_for(lambda: run.steps("wide") > 20, "pictures")
        for number in range(count):
            before = run.steps("recorder")
            wanted = before + 11 + number % 3
            wait_for(lambda wanted=wanted: run.steps("recorder") > wanted, "steps")  # type: ignore[misc]
            killed_ns.append(time.monotonic_ns())
            os.kill(run.pid("recorder"), signal.SIGKILL)
        wait_for(lambda before=before: run.steps("recorder") > before + 30, "steps")  # type: ignore[misc]
        run_id = Path(run.stop()["recording"]).stem
    sent_ns: dict[str, list[int]] = {}
    for part in recording_paths(folder.data, run_id):
        for message in read_messages(part):
            if message.topic.startswith(("sensor", "control/command", "bridge/verdict")):
                sent_ns.setdefault(message.topic, []).append(message.sent_ns)
    gaps = [gap_ms(sorted(stamps), killed) for killed in killed_ns for stamps in sent_ns.values()]
    name = f"{count} x SIGKILL of the recorder: the longest stretch that a topic at 100 Hz lost"
    return [at_most(name, max(gaps), 250.0, "ms")]


def gap_ms(stamps_ns: list[int], killed_ns: int) -> float:
    """The longest stretch without a message that ends within a second of the kill, less a period of 10 ms."""
    around = [(early, late) for early, late in pairwise(stamps_ns) if abs(late - killed_ns) < 1e9]
    return max((late - early) / 1e6 for early, late in around) - 10.0


def main() -> int:
    arguments = parse_arguments(__doc__ or "")
    quick = arguments.quick
    with tempfile.TemporaryDirectory(prefix="cr", dir="/dev/shm") as short, tempfile.TemporaryDirectory() as name:
        folder, runs = Path(name), Path(short)
        rows = small_messages(folder, 5 if quick else 9, 20_000)
        rows += pictures(folder, 5 if quick else 15, 30 if quick else 50)
        path = reference(folder)
        rows += whole_vehicle(path, Folder(runs, folder / "whole"), 5.0 if quick else 12.0)
        shutil.rmtree(folder / "whole")
        rows += kills(path, Folder(runs, folder / "kills"), 3 if quick else 8)
        shutil.rmtree(folder / "kills")
    return report("recorder", rows, as_json=arguments.json)


if __name__ == "__main__":
    sys.exit(main())
