"""Power cuts: nothing that the outbox acknowledged is lost, whatever it was doing, and no image needs a person.

An outbox lives a busy life (four classes, seals, evictions, deliveries) on a disk that remembers every write. For each
cut the disk is put together as it may be afterwards, mounted (ext4 replays its journal), and opened by an outbox; every
acknowledged record must wait, be at the store, or be reported as given up. A quarter of the cuts come during that
recovery, and are recovered from again. Needs root, /dev/fuse and loop devices: exit code 77 and the reason without.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from random import Random

import msgspec
from log_disk import CannotRun, Cuts, check, fresh_image, logged_file_system, marks_before, run

from cardan.runtime.outbox.claims import Claims
from cardan.runtime.outbox.folder import class_dir
from cardan.runtime.outbox.limits import ClassLimits, SpoolLimits
from cardan.runtime.outbox.segment import RecordClass
from cardan.runtime.outbox.spool import TOMBSTONE_TOPIC, Spool, Stamp
from cardan.runtime.outbox.state import read_state_or_none

IMAGE_BYTES = 24 << 20
CUT_AGAIN = 0.25
CANNOT_RUN_HERE = 77
KINDS = {kind.name: kind for kind in RecordClass}


def limits() -> SpoolLimits:
    """Small, so that a short life has many seals and evictions."""
    small = ClassLimits(max_bytes=256 << 10, segment_bytes=16 << 10, commit_s=0.0, seal_s=0.02)
    return SpoolLimits(
        critical=small, event=small, trend=small, bulk=small, max_bytes=700 << 10, reserve_bytes=64 << 10
    )


def opened(folder: Path, boot: str) -> Spool:
    spool = Spool(folder, vehicle="v", boot=boot, limits=limits())
    spool.open()
    return spool


# ---------------------------------------------------------------------------------------------------- lives (children)


def live(folder: Path, marks: Path, rounds: int, seed: int, *, sync: bool) -> None:
    """What is cut: put, commit, acknowledge, seal, evict, deliver, collect. Marks say what was promised.

    sync: False breaks the promise on purpose, so that it shows whether the cuts would find that.
    """
    if not sync:
        for call in ("fdatasync", "fsync"):
            setattr(os, call, lambda descriptor: None)
    chance, told = Random(seed), os.open(marks, os.O_WRONLY)
    spool, claims = opened(folder, f"boot{seed}"), Claims(folder)
    claims.open()

    def mark(text: str) -> None:
        os.write(told, text.encode())

    for number in range(rounds):
        now = Stamp(number * 1_000_000, 10**18 + number)
        for _ in range(chance.randrange(1, 30)):
            kind = chance.choice(list(RecordClass))
            payload = b'{"n":%d,"fill":"%s"}' % (number, b"x" * chance.randrange(400))
            spool.put(kind, payload, now, now_ns=now.mono_ns)
        spool.step(now)
        for kind in RecordClass:
            mark(f"kept {kind.name} {spool.queue(kind).acknowledged}")
        if chance.random() < 0.4:
            claim = claims.oldest_or_none(chance.sample(list(RecordClass), 4))
            if claim is not None:
                for record in claim.records():
                    for stream, first, last in tombstones([record.payload]):
                        mark(f"evicted {stream} {first} {last}")
                mark(f"stored {claim.kind.name} {claim.first} {claim.last}")
                claim.delivered()


def recover(folder: Path) -> None:
    """What is cut the second time."""
    spool = opened(folder, "recovery")
    spool.step(Stamp(0, 0))
    spool.close(Stamp(0, 0))


def tombstones(payloads: list[bytes]) -> list[tuple[str, int, int]]:
    found = []
    for payload in payloads:
        item = msgspec.json.decode(payload)
        if item.get("topic") == TOMBSTONE_TOPIC:
            message = item["message"]
            found.append((message["stream"].upper(), message["first"], message["last"]))
    return found


# --------------------------------------------------------------------------------------------------------- the verdict


class Found:
    """What an outbox makes of an image, and what is wrong with that."""

    def __init__(self, folder: Path, marks: list[str]) -> None:
        self.lost = 0
        self.wrong: list[str] = []
        self._kept = dict.fromkeys(KINDS, 0)
        self._gone: dict[str, set[int]] = {name: set() for name in KINDS}
        self._stored: dict[str, list[tuple[int, int]]] = {name: [] for name in KINDS}
        for mark in marks:
            word, name, *numbers = mark.split()
            if word == "kept":
                self._kept[name] = max(self._kept[name], int(numbers[0]))
            else:
                first, last = map(int, numbers)
                self._gone[name].update(range(first, last + 1))
                if word == "stored":
                    self._stored[name].append((first, last))
        self._look(folder)

    def _look(self, folder: Path) -> None:
        spool = opened(folder, "look")
        for kind in RecordClass:
            state = read_state_or_none(class_dir(folder, kind))
            for eviction in state.untold if state is not None else ():
                self._gone[kind.name].update(range(eviction.first, eviction.last + 1))
        claims = Claims(folder)
        claims.open()
        waiting: dict[str, set[int]] = {name: set() for name in KINDS}
        while (claim := claims.oldest_or_none()) is not None:
            numbers = set(range(claim.first, claim.last + 1))
            self._judge_claim(claim.kind.name, claim.first, claim.last, numbers & waiting[claim.kind.name])
            waiting[claim.kind.name] |= numbers
            for stream, first, last in tombstones([record.payload for record in claim.records()]):
                self._gone[stream].update(range(first, last + 1))
        claims.close()
        for name, ledger in ((kind.name, ledger) for kind, ledger in spool.ledgers().items()):
            if not ledger.exact or ledger.unknown or ledger.damaged:
                self.wrong.append(f"{name}: {ledger}")
            missing = set(range(1, self._kept[name] + 1)) - waiting[name] - self._gone[name]
            self.lost += len(missing)
            if missing:
                self.wrong.append(f"{name}: {len(missing)} acknowledged records lost, {min(missing)} first")
        spool.close(Stamp(0, 0))

    def _judge_claim(self, name: str, first: int, last: int, double: set[int]) -> None:
        if double:
            self.wrong.append(f"{name}: {min(double)} waits twice")
        for start, end in self._stored[name]:
            if first <= end and start <= last and (first, last) != (start, end):
                self.wrong.append(f"{name}: {first}-{last} would go beside {start}-{end}, which is at the store")


def judge(folder: Path, image: bytes | bytearray, marks: list[str]) -> list[str]:
    """Mount an image and look; what is wrong."""
    path, mounted = folder / "cut.img", folder / "cut"
    mounted.mkdir(exist_ok=True)
    path.write_bytes(image)
    try:
        run("mount", "-o", "loop", "-t", "ext4", str(path), str(mounted))
    except CannotRun as error:
        return [f"unmountable: {error}"]
    try:
        outbox = mounted / "outbox"
        return Found(outbox, marks).wrong if outbox.is_dir() or marks else []
    except Exception as error:
        return [f"needs a person: {type(error).__name__}: {error}"]
    finally:
        run("umount", str(mounted))


def child(*arguments: object) -> None:
    subprocess.run([sys.executable, __file__, *map(str, arguments)], check=True, timeout=240)


def measure(cuts: int, rounds: int, seed: int, *, sync: bool = True) -> dict[str, object]:
    """All cuts of one life."""
    chance = Random(seed)
    wrong: list[str] = []
    again = 0
    with tempfile.TemporaryDirectory(prefix="cardan-cut-", dir="/dev/shm") as name:
        folder = Path(name)
        image = fresh_image(folder, IMAGE_BYTES)
        with logged_file_system(folder, image) as (disk, mounted):
            life = [
                "--live",
                mounted / "outbox",
                "--marks",
                folder / "fuse" / "marks",
                "--rounds",
                rounds,
                "--seed",
                seed,
            ]
            child(*life, *([] if sync else ["--no-sync"]))
        log = disk.log
        images = Cuts(image, log)
        for position in sorted(chance.randrange(1, len(log)) for _ in range(cuts)):
            cut, marks = images.image(position, chance), marks_before(log, position)
            if chance.random() < CUT_AGAIN:
                again += 1
                cut = cut_during_recovery(folder, bytes(cut), chance)
            wrong += judge(folder, cut, marks)
    return {"cuts": cuts, "cuts_during_recovery": again, "writes": sum(e.data is not None for e in log), "wrong": wrong}


def cut_during_recovery(folder: Path, image: bytes, chance: Random) -> bytearray:
    """The disk after a second cut, while an outbox recovered from the first."""
    with logged_file_system(folder, image) as (disk, mounted):
        child("--recover", mounted / "outbox")
    return Cuts(image, disk.log).image(chance.randrange(1, len(disk.log) + 1), chance)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuts", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-sync", action="store_true", help="break the promise: the cuts must find it")
    parser.add_argument("--live", type=Path)
    parser.add_argument("--marks", type=Path)
    parser.add_argument("--recover", type=Path)
    arguments = parser.parse_args()
    if arguments.live:
        live(arguments.live, arguments.marks, arguments.rounds, arguments.seed, sync=not arguments.no_sync)
        return 0
    if arguments.recover:
        recover(arguments.recover)
        return 0
    try:
        check()
        found = measure(arguments.cuts, arguments.rounds, arguments.seed, sync=not arguments.no_sync)
    except CannotRun as error:
        print(error, file=sys.stderr)
        return CANNOT_RUN_HERE
    print(json.dumps(found, indent=1))
    return int(bool(found["wrong"]))


if __name__ == "__main__":
    sys.exit(main())
