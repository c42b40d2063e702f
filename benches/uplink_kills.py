"""Outbox, uplink and producers killed at random, half of all exchanges with the store cut: is every record there, once?

Three producers put records of three classes through the door and write down what was acknowledged; the outbox keeps
them; the uplink puts them into Azurite with a key that may write and nothing else, by way of a proxy that breaks every
other exchange. All are forked from here and killed with SIGKILL at random moments, again and again. In the end all
that is at the store is read back. Folders lie in memory: a kill does not depend on the disk, and power cuts are for
another bench.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from uplink_servers import load_servers

from cardan.runtime.clock import MonotonicClock, ns
from cardan.runtime.outbox.claims import Claims
from cardan.runtime.outbox.door_messages import PutRecord
from cardan.runtime.outbox.folder import outbox_dir
from cardan.runtime.outbox.ledger import read_ledgers, total
from cardan.runtime.outbox.limits import ClassLimits, SpoolLimits
from cardan.runtime.outbox.producer import NotKept, Producer, Unanswered
from cardan.runtime.outbox.segment import RecordClass
from cardan.runtime.outbox.spool import Spool
from cardan.runtime.outbox.testing import serve_for_ever
from cardan.runtime.uplink import backoff
from cardan.runtime.uplink.stores.choose import open_store
from cardan.runtime.uplink.sync import LET_OUT, open_sync

PRODUCERS = {"one": RecordClass.TREND, "two": RecordClass.EVENT, "three": RecordClass.CRITICAL}
SMALL = ClassLimits(max_bytes=64 << 20, segment_bytes=8 << 10, commit_s=0.005, commit_bytes=4096, seal_s=0.05)
LIMITS = SpoolLimits(critical=SMALL, event=SMALL, trend=SMALL, bulk=SMALL, reserve_bytes=1 << 20)
MEMORY = Path("/dev/shm")  # noqa: S108 - the folder in it has a random name
LOOK_EVERY = 25
"""Kills between two looks at the account from outside."""
DRAIN_S = 120.0


class Outcome(NamedTuple):
    """What a run showed."""

    kills: int
    seconds: float
    acknowledged: int
    lost: int
    duplicates: int
    gaps: int
    inexact: int
    looks: int
    objects: int
    cut: int
    exchanges: int


def run(kills: int, seed: int, share: float = 0.5) -> Outcome:
    """The whole experiment. RuntimeError when a process ends by itself, or the store is not reached in the end."""
    servers = load_servers()
    store = servers.Azurite()
    proxy = servers.Proxy(store.port, share, seed)
    try:
        with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None, prefix="cardan-kills-") as folder:
            return _run(kills, seed, Path(folder), store, proxy)
    finally:
        proxy.stop()
        store.stop()


def _run(kills: int, seed: int, folder: Path, store: Any, proxy: Any) -> Outcome:
    (folder / "key").write_text(store.sas("cw", hours=24))
    chance, begin = random.Random(seed), time.monotonic()
    roles: dict[str, Callable[[], None]] = {
        "outbox": lambda: live_outbox(folder),
        "uplink": lambda: live_uplink(folder, store.url(proxy.port)),
        **{name: partial(live_producer, folder, name) for name in PRODUCERS},
    }
    alive = {name: fork(role) for name, role in roles.items()}
    looks = inexact = 0
    for number in range(kills):
        time.sleep(chance.expovariate(1 / 0.1) % 0.6)
        name = chance.choice(["outbox", "uplink", *roles])
        kill(name, alive.pop(name))
        alive[name] = fork(roles[name])
        if number % LOOK_EVERY == 0:
            looks += 1
            inexact += not total(read_ledgers(outbox_dir(folder)).values()).exact
    for name in PRODUCERS:
        kill(name, alive.pop(name))
    seconds, stats = time.monotonic() - begin, proxy.stats()
    proxy.share(0.0)
    drain(folder)
    for name, pid in alive.items():
        kill(name, pid)
    return outcome(kills, seconds, folder, store, stats, looks=looks, inexact=inexact)


def outcome(
    kills: int, seconds: float, folder: Path, store: Any, stats: dict[str, int], *, looks: int, inexact: int
) -> Outcome:
    """What is at the store, held to what was acknowledged."""
    objects = store.objects()
    records = [json.loads(line) for data in objects.values() for line in gzip.decompress(data).splitlines()]
    places = Counter((record["log"], record["seq"]) for record in records)
    numbers = Counter((record["producer"], record["number"]) for record in records if "producer" in record)
    newest: dict[str, int] = {}
    for line in (folder / "acknowledged").read_text().splitlines():
        name, _, number = line.partition(" ")
        newest[name] = max(newest.get(name, 0), int(number))
    promised = {(name, number) for name, last in newest.items() for number in range(1, last + 1)}
    logs: dict[str, list[int]] = {}
    for log, seq in places:
        logs.setdefault(log, []).append(seq)
    account = total(read_ledgers(outbox_dir(folder)).values())
    balanced = account.exact and account.delivered == account.produced == len(records)
    return Outcome(
        kills=kills,
        seconds=seconds,
        acknowledged=len(promised),
        lost=len(promised - set(numbers)),
        duplicates=sum(count - 1 for count in (*places.values(), *numbers.values())),
        gaps=sum(max(seqs) - len(seqs) for seqs in logs.values()),
        inexact=inexact + (not balanced),
        looks=looks + 1,
        objects=len(objects),
        cut=sum(stats.get(word, 0) for word in ("cut", "lose", "refuse")),
        exchanges=sum(stats.get(word, 0) for word in ("cut", "lose", "refuse", "pass")),
    )


def drain(folder: Path) -> None:
    """Until the outbox has nothing that is not at the store."""
    limit = time.monotonic() + DRAIN_S
    while time.monotonic() < limit:
        if total(read_ledgers(outbox_dir(folder)).values()).pending == 0:
            return
        time.sleep(0.1)
    raise RuntimeError("the outbox was not emptied in the end")


def fork(role: Callable[[], None]) -> int:
    """A process that does `role` until it is killed."""
    pid = os.fork()
    if pid:
        return pid
    try:
        role()
    except BaseException:
        traceback.print_exc()
    os._exit(1)


def kill(name: str, pid: int) -> None:
    """SIGKILL. RuntimeError when it had ended by itself."""
    ended, status = os.waitpid(pid, os.WNOHANG)
    if ended:
        raise RuntimeError(f"{name} ended by itself ({status})")
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


# ------------------------------------------------------------------------------------------------------- what they do


def live_outbox(folder: Path, limits: SpoolLimits = LIMITS, period_ms: int = 5) -> None:
    """What the node does, without topics. period_ms: between two steps when nobody comes to the door."""
    serve_for_ever(Spool(outbox_dir(folder), vehicle="van-7", boot="b1", limits=limits), period_ms / 1000)


def live_uplink(folder: Path, url: str) -> None:
    """What the thread of the node does. Waits are short, since thousands of failures are wanted in minutes."""
    backoff.FIRST_WAIT_NS, backoff.LONGEST_WAIT_NS = ns(0.002), ns(0.02)
    claims = Claims(outbox_dir(folder), MonotonicClock())
    claims.open()
    store = open_store(url, default=folder, notes=folder / "blocks", access_file=str(folder / "key"))
    clock, chance = MonotonicClock(), random.Random()
    sync = open_sync(claims, store, folder / "uplink", clock=clock, random=chance, conditions=LET_OUT)
    while True:
        if not sync.step():
            time.sleep(0.002)


def live_producer(folder: Path, name: str) -> None:
    """Puts numbered records, and writes down what was acknowledged in one system call."""
    kind, chance = PRODUCERS[name], random.Random()
    acknowledged = os.open(folder / "acknowledged", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    producer = Producer(outbox_dir(folder), name, timeout_s=1.0)
    number = None
    while True:
        with suppress(NotKept, Unanswered):
            number = producer.highest(kind)  # waits until all that was put is answered
            os.write(acknowledged, b"%s %d\n" % (name.encode(), number))
            while True:
                first, count = number + 1, chance.randint(1, 8)
                payloads = [
                    b'{"topic":"kill/%s","producer":"%s","number":%d,"fill":"%s"}'
                    % (name.encode(), name.encode(), n, b"x" * chance.randint(0, 200))
                    for n in range(first, first + count)
                ]
                producer.put_many(kind, [PutRecord(1, 10**18, payload) for payload in payloads])
                number += count
                os.write(acknowledged, b"%s %d\n" % (name.encode(), number))


if __name__ == "__main__":
    print(run(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1))
