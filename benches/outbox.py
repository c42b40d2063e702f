"""The outbox: how much it makes durable beside nats-server, how often it writes each byte, and what trouble costs.

Device bytes are counted, and power is cut, on ext4 on a disk that remembers every write (`log_disk.py`); that needs
root, /dev/fuse and loop devices, and the rows say so where it cannot run.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import outbox_nats
from log_disk import CannotRun, check, fresh_image, logged_file_system, run
from rows import Row, at_most, exactly, parse_arguments, report

from cardan.runtime.clock import NS_PER_S, FakeClock, MonotonicClock
from cardan.runtime.outbox.claims import Claims
from cardan.runtime.outbox.door_messages import PutRecord
from cardan.runtime.outbox.folder import class_dir, sealed_path
from cardan.runtime.outbox.ledger import read_ledgers
from cardan.runtime.outbox.limits import MIB, ClassLimits, SpoolLimits
from cardan.runtime.outbox.producer import Producer
from cardan.runtime.outbox.queue import Queue, QueueLimits
from cardan.runtime.outbox.segment import RecordClass
from cardan.runtime.outbox.spool import TOMBSTONE_TOPIC, NotTaken, Spool, Stamp
from cardan.runtime.outbox.state import read_state_or_none
from cardan.runtime.outbox.testing import serve_for_ever
from cardan.runtime.outbox.wall_clock import WallWatch

HERE = Path(__file__).resolve().parent
SIZE = 256
ROUNDS = 5
BACKLOG_FILES, BACKLOG_FILE_BYTES = 50_000, MIB
TREND = RecordClass.TREND
CLOCK = MonotonicClock()
PAYLOAD = b'{"topic":"bench/row","message":{"fill":"%s"}}' % (b"x" * (SIZE - 45))


# --------------------------------------------------------------------------------------------------------- child parts


def serve(folder: Path) -> None:
    """An outbox with its door, until it is killed."""
    serve_for_ever(Spool(folder, vehicle="bench", boot="b", limits=SpoolLimits()))


def ingest(folder: Path, size: int) -> None:
    """Write `size` bytes of payload in commits of 64 KiB; nothing else."""
    queue = Queue(
        class_dir(folder, TREND), vehicle="v", boot="b", stream="trend", limits=QueueLimits(max_bytes=1 << 40)
    )
    queue.open()
    for _ in range(size // SIZE):
        queue.append(PAYLOAD, kind=TREND, mono_ns=1, wall_ns=1)
        if queue.batch_bytes >= 64 << 10:
            queue.commit()
    queue.commit()
    queue.close()


def whole_life(folder: Path, size: int) -> None:
    """The same through all of it: put, commit, seal, claim, deliver, collect."""
    spool, claims = Spool(folder, vehicle="v", boot="b", limits=SpoolLimits(reserve_bytes=0)), Claims(folder)
    spool.open()
    claims.open()
    for number in range(size // SIZE):
        now = Stamp(number * 100_000, 1)
        spool.put(TREND, PAYLOAD, now, now_ns=now.mono_ns)
        if spool.full(TREND):
            spool.step(now)
            claim = claims.oldest_or_none()
            if claim is not None:
                claim.delivered()
    spool.close(Stamp(0, 0))


def start(folder: Path) -> None:
    """Open an outbox with a backlog; prints how long that took since the process began, and its memory."""
    limits = ClassLimits(max_bytes=1 << 40, segment_bytes=MIB, commit_s=0.05, seal_s=5.0)
    spool = Spool(folder, vehicle="v", boot="b", limits=SpoolLimits(trend=limits, max_bytes=1 << 41, reserve_bytes=0))
    spool.open()
    spool.put(TREND, PAYLOAD, Stamp(0, 0), now_ns=0)
    spool.commit_all(Stamp(0, 0))
    began = float(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19]) / os.sysconf("SC_CLK_TCK")
    took = time.clock_gettime(time.CLOCK_BOOTTIME) - began
    status = Path("/proc/self/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
    print(json.dumps([took, peak, spool.ledgers()[TREND].pending]))


def command(what: str, *arguments: object) -> list[str]:
    return [sys.executable, str(HERE / "outbox.py"), "--child", what, *map(str, arguments)]


# ---------------------------------------------------------------------------------------------------------------- rows


def ingest_rows(folder: Path, seconds: float) -> list[Row]:
    """Records of 256 bytes that a producer is told are durable, ours and the peer's by turns on the same disk."""
    process = subprocess.Popen(command("serve", folder / "outbox"))
    ours: list[float] = []
    theirs: list[float] = []
    try:
        with peer_or_none(folder) as peer, Producer(folder / "outbox", "bench", timeout_s=30.0) as producer:
            producer.put(TREND, PAYLOAD)
            for _ in range(ROUNDS):
                ours.append(put_for(producer, seconds))
                if peer is not None:
                    theirs.append(peer.publish_for(seconds, SIZE))
            late = latency_row(producer, folder, round(40 * seconds))
    finally:
        process.kill()
        process.wait()
    value, bar = statistics.median(ours), ">= 10 x nats-server, sync always"
    if not theirs:
        return [Row("durable ingest, 256 B records", value, "1/s (nats-server is not installed)", bar, False), late]
    other = statistics.median(theirs)
    name = "nats-server"
    rate = Row("durable ingest, 256 B records", value, "1/s", bar, value >= 10 * other, name, other, value / other)
    return [rate, late]


def latency_row(producer: Producer, folder: Path, count: int) -> Row:
    """A critical record from `put` to its answer, and a bare write and fdatasync on the same disk by turns."""
    ours, bare = [], []
    descriptor = os.open(folder / "bare", os.O_WRONLY | os.O_CREAT)
    for _ in range(count):
        begin = time.monotonic()
        producer.put(RecordClass.CRITICAL, PAYLOAD)
        middle = time.monotonic()
        os.write(descriptor, PAYLOAD)
        os.fdatasync(descriptor)
        ours.append((middle - begin) * 1e3)
        bare.append((time.monotonic() - middle) * 1e3)
    os.close(descriptor)
    value, other = statistics.median(ours), statistics.median(bare)
    bar = "<= fdatasync + 10 ms"
    return Row("a critical record is durable after", value, "ms", bar, value <= other + 10, "fdatasync", other)


@contextmanager
def peer_or_none(folder: Path) -> Iterator[outbox_nats.Client | None]:
    if outbox_nats.program() is None:
        yield None
        return
    with outbox_nats.server(folder) as port:
        client = outbox_nats.Client(port)
        try:
            yield client
        finally:
            client.close()


def put_for(producer: Producer, seconds: float) -> float:
    """Durable records a second, one behind the other in a stream of `put_many`; the last is durable when it ends."""
    record = PutRecord(1, 1, PAYLOAD)
    begin = time.monotonic()
    count = 0

    def stream() -> Iterator[PutRecord]:
        nonlocal count
        while time.monotonic() - begin < seconds:
            count += 1
            yield record

    producer.put_many(TREND, stream())
    return count / (time.monotonic() - begin)


def writing_rows(folder: Path, payload_bytes: int) -> list[Row]:
    """What reaches the device for each byte of payload, with the file system's own writes."""
    bars = {"ingest": ("commits of 64 KiB", 1.5), "life": ("from put to removal", 2.0)}
    rows = []
    for what, (name, limit) in bars.items():
        image = fresh_image(folder, 192 * MIB)
        with logged_file_system(folder, image) as (disk, mounted):
            before = disk.written_bytes
            subprocess.run(command(what, mounted / "outbox", payload_bytes), check=True)
            run("sync", "-f", str(mounted))
            written = disk.written_bytes - before
        rows.append(at_most(f"device bytes per payload byte, {name}", written / payload_bytes, limit, "x"))
    return rows


def cut_rows(cuts: int) -> list[Row]:
    """Power cuts, see power_cut.py; a life for each hundred."""
    wrong: list[str] = []
    again = 0
    for seed in range(max(1, cuts // 100)):
        options = ["--cuts", str(min(cuts, 100)), "--rounds", "400" if cuts >= 100 else "150", "--seed", str(seed + 1)]
        done = subprocess.run(
            [sys.executable, str(HERE / "power_cut.py"), *options], capture_output=True, text=True, check=False
        )
        found = json.loads(done.stdout)
        wrong += found["wrong"]
        again += found["cuts_during_recovery"]
    lost = sum("lost" in what for what in wrong)
    stuck = sum(what.startswith("unmountable") for what in wrong)
    person = sum(what.startswith("needs a person") for what in wrong)
    return [
        exactly(f"{cuts} power cuts ({again} of them twice): acknowledged lost", lost, 0, "images"),
        exactly(f"{cuts} power cuts: cannot be mounted", stuck, 0, "images"),
        exactly(f"{cuts} power cuts: need a person", person, 0, "images"),
        exactly(f"{cuts} power cuts: account wrong or stored twice", len(wrong) - lost - stuck - person, 0, "images"),
    ]


def full_disk_rows(folder: Path) -> list[Row]:
    """A real full disk for ten minutes of the outbox's time; critical records come beside the others."""
    with mounted_image(folder, 32 * MIB) as mounted:
        return _full_disk(mounted)


FULL_S, FULL_RATE, STEPS = 600, 400, 10
"""Twice what the reference vehicle makes, in steps of 0.1 s."""


def _full_disk(mounted: Path) -> list[Row]:
    spool = Spool(mounted / "outbox", vehicle="v", boot="b", limits=SpoolLimits(reserve_bytes=2 * MIB))
    spool.open()
    life = FullDiskLife(spool)
    life.second()
    fill(mounted / "filler")
    before = life.durable()
    for _ in range(FULL_S):
        life.second()
    critical = life.durable()[RecordClass.CRITICAL] - before[RecordClass.CRITICAL]
    (mounted / "filler").unlink()
    os.sync()
    before = life.durable()
    life.second()
    resumed = life.durable()[TREND] - before[TREND]
    ledgers = spool.ledgers()
    exact = all(ledger.exact for ledger in ledgers.values()) and read_ledgers(spool.folder) == ledgers
    what, wanted = f"disk full for {FULL_S} s", FULL_S * STEPS
    spool.close(Stamp(life.now_ns, life.now_ns))
    ledgers = spool.ledgers()
    return [
        exactly(f"{what}: account exact", int(exact), 1, "yes"),
        exactly(
            f"{what}: given up for critical ones and not told", untold(spool, ledgers[TREND].evicted), 0, "records"
        ),
        Row(f"{what}: critical kept from the reserve", critical, f"of {wanted}", ">= 2000", critical >= 2000),
        Row(f"{what}: kept in the first second after it", resumed, f"of {FULL_RATE}", "> 0", resumed > 0),
    ]


def untold(spool: Spool, evicted: int) -> int:
    """How many evicted records neither a tombstone nor the state speaks of."""
    claims, told = Claims(spool.folder), 0
    claims.open()
    while (claim := claims.oldest_or_none([RecordClass.CRITICAL])) is not None:
        for record in claim.records():
            item = json.loads(record.payload)
            told += item["message"]["records"] if item["topic"] == TOMBSTONE_TOPIC else 0
    claims.close()
    state = read_state_or_none(class_dir(spool.folder, TREND))
    waiting = sum(item.records for item in state.untold) if state is not None and spool.queue(TREND).has_untold else 0
    return evicted - told - waiting


class FullDiskLife:
    """Puts records at a steady rate of its own clock, whatever the disk says."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self.now_ns = 0

    def second(self) -> None:
        for _ in range(STEPS):
            self.now_ns += 1_000_000_000 // STEPS
            now = Stamp(self.now_ns, self.now_ns)
            for kind, count in ((TREND, FULL_RATE // STEPS), (RecordClass.CRITICAL, 1)):
                for _ in range(count):
                    try:
                        self._spool.put(kind, PAYLOAD, now, now_ns=self.now_ns)
                    except NotTaken:
                        continue
            self._spool.step(now)

    def durable(self) -> dict[RecordClass, int]:
        return {kind: ledger.produced for kind, ledger in self._spool.ledgers().items()}


def fill(path: Path) -> None:
    """Take every block that is free."""
    for size in (1 << 16, SIZE):
        try:
            with path.open("ab", buffering=0) as file:
                while file.write(bytes(size)):
                    continue
        except OSError:
            continue


def broken_disk_rows(folder: Path) -> list[Row]:
    """A disk that fails every write (EIO) from some moment on: what was acknowledged is there after a remount."""
    image = fresh_image(folder, 32 * MIB)
    with logged_file_system(folder, image) as (disk, mounted):
        child = subprocess.run(
            command("broken", mounted / "outbox", folder / "fuse" / "marks"),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        disk.broken = False
        marks = [event.data.decode() for event in disk.log if event.offset < 0 and event.data is not None]
        content = bytes(disk.disk)
    kept = max(int(mark.split()[1]) for mark in marks if mark.startswith("kept"))
    path, again = folder / "broken.img", folder / "broken"
    again.mkdir()
    path.write_bytes(content)
    run("mount", "-o", "loop", "-t", "ext4", str(path), str(again))
    try:
        spool = Spool(again / "outbox", vehicle="v", boot="b", limits=SpoolLimits(reserve_bytes=0))
        spool.open()
        found = spool.ledgers()[TREND].pending
        spool.close(Stamp(0, 0))
    finally:
        run("umount", str(again))
    return [
        exactly("EIO on every write: exceptions that left the outbox", child.returncode, 0, ""),
        exactly("EIO on every write: acknowledged before and gone afterwards", max(0, kept - found), 0, "records"),
    ]


def broken(folder: Path, marks: Path) -> None:
    """A life on a disk that breaks in the middle; `marks` tells the disk when."""
    told = os.open(marks, os.O_WRONLY)
    spool = Spool(folder, vehicle="v", boot="b", limits=SpoolLimits(reserve_bytes=0))
    spool.open()
    troubled = False
    for number in range(400):
        now = Stamp(number * 100_000_000, 1)
        for _ in range(20):
            try:
                spool.put(TREND, PAYLOAD, now, now_ns=now.mono_ns)
            except NotTaken:
                break
        spool.step(now)
        os.write(told, b"kept %d" % spool.queue(TREND).acknowledged)
        troubled = troubled or bool(dict(spool.troubles()))
        if number == 200:
            os.write(told, b"break")
    if not troubled:
        sys.exit("the disk did not break")


def clock_row() -> Row:
    """-20 years, +22 years, 100 steps of an hour: nothing is lost or given up, and each is written down."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        clock = FakeClock()
        watch = WallWatch(clock, "b")
        spool = Spool(Path(name), vehicle="v", boot="b", limits=SpoolLimits(reserve_bytes=0))
        spool.open()
        told = 0
        for jump_s in (-20 * 31_557_600.0, 22 * 31_557_600.0, *[3600.0] * 100):
            clock.jump_wall_s(jump_s)
            clock.advance_s(2.0)
            now = watch.stamp()
            told += watch.news_or_none(now) is not None
            spool.put(TREND, PAYLOAD, now, now_ns=now.mono_ns)
            spool.step(now)
        spool.close(watch.stamp())
        ledger = read_ledgers(Path(name))[TREND]
    return exactly(
        "102 jumps of the clock: lost, given up, or not written down", 102 * 2 - ledger.pending - told, 0, ""
    )


def flip_rows(trials: int) -> list[Row]:
    """One flipped bit in a random place of each kind of file: what is given back is right, and nobody has to help."""
    chance = Random(1)
    wrong = most_lost = person = 0
    kinds = ("open", "sealed", "leaving", "state", "producers", "synced", "reserve")
    for kind in kinds:
        for _ in range(trials):
            with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
                try:
                    lost, wrong_ones = flip(Path(name), kind, chance)
                    most_lost, wrong = max(most_lost, lost), wrong + wrong_ones
                except Exception as error:
                    person += 1
                    print(f"{kind}: {type(error).__name__}: {error}", file=sys.stderr)
    what = f"one flipped bit, {len(kinds)} kinds of files x {trials}"
    return [
        exactly(f"{what}: records given back wrong", wrong, 0, "records"),
        at_most(f"{what}: records lost by one", most_lost, 1, "records"),
        exactly(f"{what}: needed a person", person, 0, "times"),
    ]


def flip(folder: Path, kind: str, chance: Random) -> tuple[int, int]:
    """Lost and wrong records after one flip and a restart."""
    limits = SpoolLimits(reserve_bytes=1 << 16)
    spool = Spool(folder, vehicle="v", boot="b", limits=limits)
    spool.open()
    row = spool.queue(TREND).producers.standing("p")
    want = []
    for number in range(1, 13):
        want.append(b'{"n":%d}' % number)
        spool.put(TREND, want[-1], Stamp(0, 0), now_ns=0, producer=row.id, number=number)
        spool.commit_all(Stamp(0, 0))
        if number in (4, 8):
            spool.queue(TREND).seal()
    claims = Claims(folder)
    claims.open()
    claims.oldest_or_none()
    claims.close()
    for other in RecordClass:  # killed
        lock = spool.queue(other)._lock
        if lock is not None:
            lock.release()
    trend = class_dir(folder, TREND)
    paths = {
        "open": trend / "00000000000000000009.open",
        "sealed": sealed_path(trend, 5, 8),
        "leaving": trend / "leaving" / sealed_path(trend, 1, 4).name,
        "state": trend / "state",
        "producers": trend / "producers",
        "synced": trend / "synced",
        "reserve": folder / "reserve",
    }
    data = bytearray(paths[kind].read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    paths[kind].write_bytes(data)
    spool = Spool(folder, vehicle="v", boot="b", limits=limits)
    spool.open()
    claims.open()
    found: list[bytes] = []
    for second in range(20):
        claim = claims.oldest_or_none([TREND])
        found += [] if claim is None else [record.payload for record in claim.records()]
        spool.step(Stamp(second * NS_PER_S, 0))  # time goes on: what cannot be read is examined ten times a second
    claims.close()
    exact = spool.ledgers()[TREND].exact
    spool.close(Stamp(0, 0))
    return len(set(want) - set(found)), len([item for item in found if item not in want]) + int(not exact)


def backlog_rows(folder: Path) -> list[Row]:
    """50 GB that wait, as sparse files on ext4: what a start costs, with the folder in the page cache."""
    make_backlog(class_dir(folder / "outbox", TREND))
    figures = []
    for _ in range(3):
        done = subprocess.run(command("start", folder / "outbox"), capture_output=True, text=True, check=True)
        figures.append(json.loads(done.stdout))
    took, peak = statistics.median(row[0] for row in figures), max(row[1] for row in figures)
    what = f"start with {BACKLOG_FILES * BACKLOG_FILE_BYTES / 1e9:.0f} GB waiting"
    return [
        at_most(f"{what}, from exec to the first durable record", took, 2.0, "s"),
        at_most(f"{what}, peak memory", peak, 100.0, "MiB"),
    ]


def make_backlog(trend: Path) -> None:
    queue = Queue(trend, vehicle="v", boot="b", stream="trend", limits=QueueLimits())
    queue.open()
    queue.close()
    for number in range(BACKLOG_FILES):
        first = number * 1000 + 1
        descriptor = os.open(sealed_path(trend, first, first + 999), os.O_WRONLY | os.O_CREAT)
        os.ftruncate(descriptor, BACKLOG_FILE_BYTES)
        os.close(descriptor)


@contextmanager
def mounted_image(folder: Path, size: int) -> Iterator[Path]:
    """A fresh ext4 in memory."""
    path, mounted = folder / "disk.img", folder / "mounted-image"
    mounted.mkdir(exist_ok=True)
    path.write_bytes(fresh_image(folder, size))
    run("mount", "-o", "loop", "-t", "ext4", str(path), str(mounted))
    try:
        yield mounted
    finally:
        run("umount", str(mounted))
        path.unlink()


def disk_rows(folder: Path, quick: bool) -> list[Row]:
    """Everything that needs a disk of our own."""
    try:
        check()
        rows = writing_rows(folder, 8 * MIB if quick else 32 * MIB)
        with mounted_image(folder, 256 * MIB) as mounted:
            rows += backlog_rows(mounted)
        rows += full_disk_rows(folder)
        rows += broken_disk_rows(folder)
        return rows + cut_rows(20 if quick else 500)
    except CannotRun as error:
        return [
            Row(
                "write amplification, power cuts, full and broken disks",
                None,
                f"cannot run here: {error}",
                "run",
                False,
            )
        ]


CHILDREN: dict[str, Callable[..., None]] = {
    "serve": serve,
    "ingest": ingest,
    "life": whole_life,
    "start": start,
    "broken": broken,
}


def main() -> int:
    if sys.argv[1:2] == ["--child"]:
        what, folder, *rest = sys.argv[2:]
        CHILDREN[what](Path(folder), *[int(word) if word.isdecimal() else Path(word) for word in rest])
        return 0
    arguments = parse_arguments(str(__doc__))
    with tempfile.TemporaryDirectory(prefix="cardan-outbox-") as on_disk:
        rows = ingest_rows(Path(on_disk), 0.5 if arguments.quick else 3.0)
    with tempfile.TemporaryDirectory(prefix="cardan-outbox-", dir="/dev/shm") as in_memory:
        rows += disk_rows(Path(in_memory), arguments.quick)
    rows += [clock_row(), *flip_rows(5 if arguments.quick else 50)]
    return report("outbox", rows, as_json=arguments.json)


if __name__ == "__main__":
    sys.exit(main())
