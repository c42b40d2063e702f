"""The bus beside iceoryx2, pyzmq, eclipse-zenoh and dora: one way from process to process, interleaved in one run.

    sudo python benches/bus.py             # about 8 minutes
    sudo python benches/bus.py --quick     # within 50 s; without zenoh and dora

Every transport of a group stays up, its processes asleep, and they are measured by turns, in another order in each
round. In a full run each round has processes of its own: where their memory comes to lie makes a third of the time
of a frame, for as long as they live. With the privilege for it all run under SCHED_FIFO, which keeps other work out
(zenoh and dora as they are: their own threads starve each other there). What is held to a bar is measured at the
level of the peer, bytes in and verified bytes out; the whole way between two ports, with codec, counters and age, is
shown beside it.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from awake import processors_awake
from bus_dora import dora_rounds
from peers import python_with
from rows import Row, at_most, parse_arguments, report

HERE = Path(__file__).resolve().parent
PRIORITY = 20
LIVES, QUICK_ROUNDS = 7, 5
SMALL, PAGE, FRAME = 64, 4096, 1920 * 1080 * 3
LABELS = {SMALL: "64 B", PAGE: "4 KB", FRAME: "6.2 MB"}

OURS, NEWEST, PORTS, FLOOR = "bus_ours:RingBytes", "bus_ours:RingNewest", "bus_ours:Ports", "bus_ours:Floor"
SLOTS, COPIES, COPY_ALONE, MEMCPY, PICTURES = (
    "bus_ours:Slots",
    "bus_ours:SlotCopies",
    "bus_ours:SlotCopyAlone",
    "bus_ours:MemoryCopy",
    "bus_ours:PicturePorts",
)
ICEORYX, LOAN, ZMQ, ZENOH = "bus_peers:Iceoryx", "bus_peers:IceoryxLoan", "bus_peers:RawZmq", "bus_peers:Zenoh"
NEEDS = {ICEORYX: "iceoryx2", LOAN: "iceoryx2", ZMQ: "zmq", ZENOH: "zenoh"}
NAMES = {
    OURS: "ring", NEWEST: "ring, newest alone", PORTS: "port to port", SLOTS: "slot filled in place",
    COPIES: "one copy into a slot", COPY_ALONE: "the copy into a slot alone", MEMCPY: "memcpy",
    PICTURES: "port to port", ICEORYX: "iceoryx2",
    FLOOR: "shared memory and an eventfd, no bus", LOAN: "iceoryx2's loan", ZMQ: "pyzmq", ZENOH: "zenoh",
}  # fmt: skip


class Group(NamedTuple):
    """Transports that are measured by turns."""

    size: int
    readers: int
    transports: list[str]
    messages: int
    rate_hz: float


class Figures(NamedTuple):
    """Medians over the rounds."""

    p50_us: float
    p99_us: float
    cpu_us: float
    burst_cpu_us: float | None
    missing: int
    rounds: list[dict[str, Any]]


class Running:
    """One cell process."""

    def __init__(self, transport: str, size: int, readers: int) -> None:
        python = python_with(NEEDS[transport]) if transport in NEEDS else sys.executable
        if python is None:
            raise FileNotFoundError(NEEDS[transport])
        priority = PRIORITY if may_be_fifo() and transport != ZENOH else 0
        command = [python, str(HERE / "bus_cell.py"), transport, *map(str, (size, readers, priority))]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._answer()

    def measure(self, messages: int, rate_hz: float) -> dict[str, Any]:
        if self._process.stdin is not None:
            print(json.dumps({"messages": messages, "rate_hz": rate_hz}), file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not line:
            raise SystemExit(f"{self._process.args!r} ended before it had answered")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def may_be_fifo() -> bool:
    """True where this process may use SCHED_FIFO."""
    return subprocess.run(["chrt", "-f", str(PRIORITY), "true"], capture_output=True, check=False).returncode == 0


class Found(NamedTuple):
    """What the rounds of one transport gave."""

    paced: list[dict[str, Any]]
    bursts: list[dict[str, Any]]


def measured(group: Group, rounds: int, burst: int, lives: int = 1) -> dict[str, Figures]:
    """Every installed transport of a group, so many rounds in each life of its processes.

    burst: messages sent at once, to see what each one costs; 0: none.
    """
    found = {transport: Found([], []) for transport in group.transports}
    for _ in range(lives):
        one_life(group, rounds, burst, found)
    return {transport: figures(*of) for transport, of in found.items() if of.paced}


def one_life(group: Group, rounds: int, burst: int, found: dict[str, Found]) -> None:
    with ExitStack() as closing:
        cells: dict[str, Running] = {}
        for transport in group.transports:
            try:
                cells[transport] = Running(transport, group.size, group.readers)
            except FileNotFoundError:
                continue
            closing.callback(cells[transport].close)
        for _ in range(rounds):
            for transport in random.sample(list(cells), len(cells)):
                found[transport].paced.append(cells[transport].measure(group.messages, group.rate_hz))
                if burst and transport not in (NEWEST, PORTS, FLOOR):
                    found[transport].bursts.append(cells[transport].measure(burst, 0))


def figures(paced: list[dict[str, Any]], bursts: list[dict[str, Any]]) -> Figures:
    def middle(key: str) -> float:
        return float(statistics.median(answer.get(key, 0.0) for answer in paced))

    burst = statistics.median(answer["cpu_us"] for answer in bursts) if bursts else None
    return Figures(
        middle("p50_us"), middle("p99_us"), middle("cpu_us"), burst,
        sum(answer["missing"] for answer in [*paced, *bursts]), paced,
    )  # fmt: skip


def beside(name: str, key: str, ours: Figures, peer: str, theirs: Figures | None, limit: float) -> Row:
    """A figure in microseconds that must not exceed `limit` times a peer's in the same round, in the middle of all.

    A virtual machine wakes up its processors in 4 us for half a minute, then in 8: medians may be of different times.
    """
    bar, value = f"<= {limit:g} x {peer}", round(getattr(ours, key), 1)
    if theirs is None:
        return Row(name, value, "us", f"{bar}: it is not installed", False)
    pairs = zip(ours.rounds, theirs.rounds, strict=True)
    ratio = statistics.median(one[key] / other[key] for one, other in pairs)
    return Row(name, value, "us", bar, ratio <= limit, peer, round(getattr(theirs, key), 1), round(ratio, 3))


def shown(name: str, value: float | None, unit: str = "us") -> Row:
    return Row(name, None if value is None else round(value, 2), unit, "shown", True)


def readers_of(count: int) -> str:
    return f"{count} reader" + "s" * (count > 1)


def small_rows(size: int, quick: bool) -> list[Row]:
    one = Group(size, 1, [OURS, ICEORYX, FLOOR, NEWEST, LOAN, PORTS, ZMQ], 100 if quick else 400, 1000.0)
    four = Group(size, 4, [OURS, ICEORYX] + [LOAN, PORTS] * (not quick), 100 if quick else 300, 1000.0)
    rounds, lives = (QUICK_ROUNDS, 1) if quick else (1, LIVES)
    alone = measured(one, rounds, 10_000 if size == SMALL else 0, lives)
    crowd = measured(four, rounds, 0, lives)
    label, peer = LABELS[size], alone.get(ICEORYX)
    ours, ours_of_four = alone[OURS], crowd[OURS]
    rows = [
        beside(f"{label}, 1 reader: p50", "p50_us", ours, "iceoryx2", peer, 0.5),
        beside(f"{label}, 1 reader: p99", "p99_us", ours, "iceoryx2", peer, 1.0),
        beside(f"{label}, 4 readers: p50", "p50_us", ours_of_four, "iceoryx2", crowd.get(ICEORYX), 0.8),
        at_most(f"{label}: messages that never came, 1 and 4 readers", ours.missing + ours_of_four.missing, 0, ""),
    ]
    if size == SMALL:
        burst_us = ours.burst_cpu_us
        cpu = at_most("64 B: CPU of 1000 messages, both ends, in a burst", burst_us and round(burst_us, 2), 2.0, "ms")
        rows += [cpu, *(shown(f"64 B, 1 reader: CPU of 1000 in a burst, {NAMES[t]}", f.burst_cpu_us, "ms")
                        for t, f in alone.items() if t != OURS and f.burst_cpu_us)]  # fmt: skip
        rows += [shown(f"64 B, 1 reader: CPU of 1000 at 1 kHz, {NAMES[t]}", f.cpu_us, "ms") for t, f in alone.items()]
    return rows + shown_rows(one, alone, (OURS, ICEORYX)) + shown_rows(four, crowd, (OURS, ICEORYX))


def shown_rows(group: Group, found: dict[str, Figures], left_out: tuple[str, ...]) -> list[Row]:
    label = f"{LABELS[group.size]}, {readers_of(group.readers)}"
    rows = []
    for transport, one in found.items():
        if transport not in left_out:
            rows.append(shown(f"{label}: p50, {NAMES[transport]}", one.p50_us))
            rows.append(shown(f"{label}: p99, {NAMES[transport]}", one.p99_us))
    return rows


def frame_rows(quick: bool) -> list[Row]:
    messages, rounds, lives = (40, QUICK_ROUNDS, 1) if quick else (90, 1, LIVES)
    more = [] if quick else [COPY_ALONE, ICEORYX, ZMQ]
    one = Group(FRAME, 1, [SLOTS, LOAN, COPIES, MEMCPY, PICTURES, *more], messages, 60.0)
    four = Group(FRAME, 4, [SLOTS, LOAN] + [PICTURES] * (not quick), messages, 60.0)
    alone, crowd = measured(one, rounds, 0, lives), measured(four, rounds, 0, lives)
    held = (SLOTS, LOAN, COPIES, MEMCPY)
    return [
        beside("6.2 MB filled in place, 1 reader: p50", "p50_us", alone[SLOTS], NAMES[LOAN], alone.get(LOAN), 1.2),
        beside("6.2 MB filled in place, 4 readers: p50", "p50_us", crowd[SLOTS], NAMES[LOAN], crowd.get(LOAN), 1.0),
        beside("6.2 MB with one copy, 1 reader: p50", "p50_us", alone[COPIES], "memcpy", alone[MEMCPY], 1.15),
        at_most("6.2 MB: frames that never came", sum(f[SLOTS].missing for f in (alone, crowd)), 0, ""),
        *shown_rows(one, alone, held),
        *shown_rows(four, crowd, held),
    ]  # fmt: skip


def other_peer_rows() -> list[Row]:
    """zenoh and dora, not under SCHED_FIFO."""
    rows = []
    for size in (SMALL, FRAME):
        messages, rate_hz = (200, 1000.0) if size == SMALL else (40, 60.0)
        group = Group(size, 1, [ZENOH], messages, rate_hz)
        found = measured(group, QUICK_ROUNDS, 0)
        rows += shown_rows(group, found, ()) or [missing("zenoh", LABELS[size])]
        dora = dora_rounds(size, group.messages, rate_hz, QUICK_ROUNDS)
        if dora is None:
            rows.append(missing("dora", LABELS[size]))
        else:
            rows += [shown(f"{LABELS[size]}, 1 reader: {at}, dora", dora[at]) for at in ("p50", "p99")]
    return rows


def missing(peer: str, what: str) -> Row:
    return Row(f"{what}, 1 reader: {peer}", None, f"{peer} is not installed", "shown", False)


def main() -> int:
    arguments = parse_arguments(__doc__ or "")
    os.chdir(HERE)
    quick = arguments.quick
    with processors_awake() as held:
        rows = [*small_rows(SMALL, quick), *small_rows(PAGE, quick), *frame_rows(quick)]
        rows += [] if quick else other_peer_rows()
    return report("bus", [*rows, held], as_json=arguments.json)


if __name__ == "__main__":
    sys.exit(main())
