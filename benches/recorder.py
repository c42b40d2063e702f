"""The recorder: processor time beside the `mcap` package, pictures beside plain writes, kills, and the control loop.

    sudo python benches/recorder.py            # about 4 minutes
    sudo python benches/recorder.py --quick    # within a minute

Small messages: the same JSON into chunks of the same length, by our writer and by the package's, in turns. Pictures:
6.2 MB each through channel, chunk, thread and file, beside `write` of the same bytes; both are synced after every
seven. The vehicle: the reference vehicle with sensors and a camera of 1920 x 1080 beside it, every topic recorded to
this computer's disk. The loop: 500 Hz, real-time, on a core of its own, beside such sensors and camera, without a
recorder, with one, and with one whose disk is full (a file system of 24 MB in memory; needs root), in turns.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from loop import quantile
from mcap.writer import Writer
from recorder_nodes import Reading
from rows import Row, at_most, exactly, parse_arguments, report

from cardan.runtime.bus.envelope import Sample
from cardan.runtime.manifest import find_manifest
from cardan.runtime.messages import CameraFrame
from cardan.runtime.plan import Plan, read_plan
from cardan.runtime.record.archive import Archive, ArchiveSettings
from cardan.runtime.record.channels import Channels
from cardan.runtime.record.files import recording_paths
from cardan.runtime.record.mcap_chunk import ChunkBuilder
from cardan.runtime.record.mcap_file import read_messages
from cardan.runtime.record.mcap_writer import ChunkFile, McapWriter
from cardan.runtime.record.worker import Worker
from cardan.runtime.run import RunPaths, current_run
from cardan.runtime.vitals import NodeVitals, SeriesKind, Vitals, open_vitals

HERE = Path(__file__).resolve().parent
CHUNK = 400
"""Messages in a chunk: what 20 topics at 100 Hz say in 200 ms."""
FRAME = (1080, 1920, 3)
FRAMES_A_SYNC = 7
SENSORS = 8
FULL_DISK = "24m"


class Folder(NamedTuple):
    """Where one run keeps its files."""

    runs: Path
    data: Path

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"CARDAN_RUN_DIR": str(self.runs), "CARDAN_DATA_DIR": str(self.data)}


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


def our_rate(frames: list[np.ndarray], folder: Path, count: int) -> float:
    """MB/s through channel, chunk, thread and file, until all is on the disk."""
    channels = Channels(wall_offset_ns=0, jpeg_quality=80, is_raw=lambda topic: True)
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
            time.sleep(0.0005)
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


def pictures(folder: Path, rounds: int, count: int) -> list[Row]:
    random = np.random.default_rng(1)
    frames = [random.integers(0, 256, FRAME, np.uint8) for _ in range(8)]
    ours: list[float] = []
    raw: list[float] = []
    for number in range(rounds):
        for measure, into in [(our_rate, ours), (raw_rate, raw)][:: 1 if number % 2 else -1]:
            with tempfile.TemporaryDirectory(dir=folder) as name:
                into.append(measure(frames, Path(name), count))
    value, other = statistics.median(ours), statistics.median(raw)
    name, ratio = "raw pictures of 6.2 MB: recorded as fast as possible", value / other
    return [Row(name, value, "MB/s", ">= 0.8 x write", ratio >= 0.8, "write + fdatasync", other, ratio)]


# --------------------------------------------------------------------------------------------------------- the vehicle


def extra_nodes(sensors: int) -> str:
    """Manifest of the sensors and the camera that stand beside whatever else there is."""
    parts = [f'\n[nodes.sensor{n}]\nuse = "recorder_nodes:Sensor"\ncore = "background"\n' for n in range(sensors)]
    return "".join(parts) + '\n[nodes.wide]\nuse = "recorder_nodes:WideCamera"\ncore = "perception"\n'


RAW = '\n[nodes.recorder.config.topics]\n"wide/frame" = { frames = "raw" }\n'


def reference(folder: Path) -> Path:
    """Manifest of the reference vehicle and what stands beside it, with the classes that it needs."""
    text = find_manifest(None).read_text()
    text = re.sub(r"(\[nodes\.recorder\]\n(?:[^\[\n].*\n)+)", rf"\1{RAW}\n", text)
    return manifest(folder, text + extra_nodes(SENSORS))


def manifest(folder: Path, text: str) -> Path:
    path = folder / "vehicle.toml"
    path.write_text(text)
    shutil.copy(HERE / "recorder_nodes.py", folder)
    return path


class Running:
    """A vehicle that drives, seen through its vitals."""

    def __init__(self, path: Path, folder: Folder) -> None:
        os.environ.update(folder.environment)
        command = [sys.executable, "-m", "cardan.runtime.cli.main", "up", str(path), "--json"]
        self.process = subprocess.Popen(command, env=folder.environment, stdout=subprocess.PIPE, text=True)
        try:
            self.paths = wait_for(lambda: _with_vitals(current_run(folder.data)), "a run")
            self.plan: Plan = read_plan(self.paths.plan)
            self.vitals: Vitals = open_vitals(self.paths.vitals, self.plan)
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """End the run whatever it does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.communicate(timeout=15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.communicate()

    def steps(self, name: str) -> int:
        return self.vitals.nodes[name].words[NodeVitals.STEPS]

    def pid(self, name: str) -> int:
        return self.vitals.nodes[name].words[NodeVitals.PID]

    def stop(self) -> dict[str, Any]:
        """End the run; its summary."""
        self.process.send_signal(signal.SIGINT)
        stdout, _ = self.process.communicate(timeout=30)
        summary: dict[str, Any] = json.loads(stdout)
        return summary


def _with_vitals(paths: RunPaths | None) -> RunPaths | None:
    return paths if paths is not None and paths.vitals.exists() else None


def wait_for(what: Callable[[], Any], called: str, seconds: float = 30.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := what()):
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {seconds:g} s for {called} in vain")
        time.sleep(0.01)
    return found


@contextmanager
def driving(path: Path, folder: Folder) -> Iterator[Running]:
    run = Running(path, folder)
    try:
        yield run
    finally:
        run.end()


def cpu_s(pid: int) -> float:
    """Processor time of a process, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def whole_vehicle(path: Path, folder: Folder, seconds: float) -> list[Row]:
    with driving(path, folder) as run:
        wait_for(lambda: run.steps("wide") > 20, "pictures")
        pid, begin, cpu = run.pid("recorder"), time.monotonic(), cpu_s(run.pid("recorder"))
        written = _metric(run, "written")
        time.sleep(seconds)
        elapsed, cpu = time.monotonic() - begin, cpu_s(pid) - cpu
        rate = (_metric(run, "written") - written) / 1e6 / elapsed
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


def _metric(run: Running, name: str) -> float:
    series = run.vitals.nodes["recorder"].find(SeriesKind.METRIC, name)
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


# ------------------------------------------------------------------------------------------------------------ the loop

PROFILE = """schema = 1
name = "two-cores"
[cores]
control = [{last}]
perception = [{rest}]
background = [{rest}]
[realtime]
scheduler = "fifo-if-allowed"
"""
"""The loop has the last core for itself, as a vehicle computer gives it one."""
BEAT = """
[nodes.beat]
use = "recorder_nodes:Beat"
core = "control"
realtime = true
step_budget_ms = 0.5
config = {{ file = "{file}" }}
"""
RECORDER = '\n[nodes.recorder]\nuse = "recorder"\ncore = "background"\ninputs = { everything = ["*"] }\n'


def lateness_us(path: Path, folder: Folder, file: Path, seconds: float) -> list[float]:
    """How late each step of the loop was, beside the earliest, in one run."""
    with driving(path, folder) as run:
        wait_for(lambda: run.steps("wide") > 5, "pictures")
        first = run.steps("beat")
        time.sleep(seconds)
        last = run.steps("beat")
        run.stop()
    stamps = np.array(json.loads(file.read_text())[first:last])
    period = 2_000_000
    numbers = np.round((stamps - stamps[0]) / period)
    late = stamps - numbers * period
    return ((late - late.min()) / 1e3).tolist()  # type: ignore[no-any-return]


@contextmanager
def full_disk(folder: Path) -> Iterator[Path]:
    """A folder on a file system that is full within seconds."""
    place = folder / "full"
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={FULL_DISK}", "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def control_loop(folder: Path, runs: Path, rounds: int, seconds: float) -> list[Row]:
    file = folder / "beat.json"
    last = (os.cpu_count() or 1) - 1
    profile = folder / "two_cores.toml"
    profile.write_text(PROFILE.format(last=last, rest=", ".join(map(str, range(max(1, last))))))
    head = f'schema = 1\nname = "loop"\nprofile = "{profile}"\n' + BEAT.format(file=file) + extra_nodes(4)
    late: dict[str, list[list[float]]] = {"none": [], "recording": [], "full": []}
    modes = list(late)
    for number in range(rounds):
        for mode in modes[number % 3 :] + modes[: number % 3]:
            with tempfile.TemporaryDirectory(dir=folder) as name:
                place = Path(name)
                path = manifest(place, head if mode == "none" else head + RECORDER + RAW)
                if mode == "full":
                    with full_disk(place) as full:
                        late[mode].append(lateness_us(path, Folder(runs, full), file, seconds))
                else:
                    late[mode].append(lateness_us(path, Folder(runs, place / "data"), file, seconds))
    middle = {mode: statistics.median(quantile(values, 0.999) for values in late[mode]) for mode in modes}
    names = {"recording": "while 200 MB/s are recorded", "full": "while the disk is full"}
    return [_loop_row(names[mode], middle[mode], middle["none"]) for mode in ("recording", "full")]


def _loop_row(name: str, value: float, other: float) -> Row:
    ratio = value / other
    return Row(
        f"loop at 500 Hz: lateness p99.9 {name}", value, "us", "<= 1.05 x", ratio <= 1.05, "no recorder", other, ratio
    )


def main() -> int:
    arguments = parse_arguments(__doc__ or "")
    quick = arguments.quick
    with tempfile.TemporaryDirectory(prefix="cr", dir="/dev/shm") as short, tempfile.TemporaryDirectory() as name:
        folder, runs = Path(name), Path(short)
        rows = small_messages(folder, 5 if quick else 9, 20_000)
        rows += pictures(folder, 5 if quick else 9, 30 if quick else 60)
        path = reference(folder)
        rows += whole_vehicle(path, Folder(runs, folder / "whole"), 5.0 if quick else 12.0)
        shutil.rmtree(folder / "whole")
        rows += kills(path, Folder(runs, folder / "kills"), 3 if quick else 8)
        shutil.rmtree(folder / "kills")
        if os.geteuid() == 0:
            rows += control_loop(folder, runs, 1 if quick else 7, 3.0 if quick else 4.0)
        else:
            rows.append(Row("control loop beside a full disk", None, "needs root", "measured", False))
    return report("recorder", rows, as_json=arguments.json)


if __name__ == "__main__":
    sys.exit(main())
