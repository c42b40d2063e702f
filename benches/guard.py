"""The guard in large: does a byte outside the envelope ever leave, and what does one period cost?

The commands and the judge are those of tests/firmware_bridge/test_guard_fuzz.py: cantools decodes every frame, and
arithmetic of its own holds it against the limits. Cost is measured in the same run as the peer's (cantools).

    python benches/guard.py --quick
    python benches/guard.py --commands 10000000 --jobs 2 --json > docs/benchmarks/guard.json
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import multiprocessing
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cantools.database
from rows import Row, at_most, exactly, report

from cardan.firmware_bridge.dbc import load_dbc
from cardan.firmware_bridge.engage import State
from cardan.firmware_bridge.testing import GuardBench
from cardan.firmware_bridge.vehicle_map import reference_dbc_path

FUZZ = Path(__file__).resolve().parent.parent / "tests" / "firmware_bridge" / "test_guard_fuzz.py"
SHARE = 20_000
"""Commands of one guard, from a seed of their own; then a new guard starts closed."""
BATCHES = 10
CALLS = 4_000
"""In each batch; the best batch counts, so that other work on the computer does not."""
MESSAGE = "DRIVER_INPUTS"
"""The message of the reference vehicle with the most signals."""
FILLED = ("CRC", "COUNTER")
"""Signals that our encoder fills in; cantools is given zeros for them, and computes neither."""


class Judged(NamedTuple):
    """What came of one share of the commands."""

    commands: int
    frames: int
    enabled: int
    outside: int
    faults: int


def main() -> int:
    arguments = parse_arguments()
    rows = [*cost_rows(), *codec_rows(), *fuzz_rows(arguments.commands, arguments.jobs)]
    return report("guard", rows, as_json=arguments.json)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commands", type=int, default=1_000_000, metavar="N", help="default: 1 000 000")
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    parser.add_argument("--quick", action="store_true", help="40 000 commands: end within 50 s")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.commands = 40_000
    return arguments


# ---------------------------------------------------------------------------------------------------------------- fuzz


def fuzz_rows(commands: int, jobs: int) -> list[Row]:
    shares = [(seed, min(SHARE, commands - start)) for seed, start in enumerate(range(0, commands, SHARE))]
    began = time.monotonic()
    total = Judged(0, 0, 0, 0, 0)
    with multiprocessing.get_context("fork").Pool(jobs, initializer=os.nice, initargs=(5,)) as pool:
        for judged in pool.imap_unordered(judge_share, shares):
            total = Judged(*(a + b for a, b in zip(total, judged, strict=True)))
            left_s = (time.monotonic() - began) * (commands / total.commands - 1)
            progress = f"{total.commands} of {commands} commands, {total.outside} outside, {left_s:.0f} s left"
            print(progress, file=sys.stderr)
    return [
        exactly("commands tried", total.commands, commands, "commands"),
        Row("frames judged", total.frames, "frames", "> 0", total.frames > 0),
        Row("frames that moved an actuator", total.enabled, "frames", "> 0", total.enabled > 0),
        exactly("periods with a frame outside the envelope", total.outside, 0, "periods"),
        exactly("faults of the guard's own last check", total.faults, 0, "faults"),
    ]


def judge_share(share: tuple[int, int]) -> Judged:
    """Drive one guard with hostile commands, and the judge looks at every frame."""
    seed, commands = share
    fuzz = load_fuzz()
    judge, outside, faults = fuzz.Judge(), 0, 0
    for bench, decision, speed_mps, measured in fuzz.drive(random.Random(seed), commands):
        try:
            judge.look(decision, speed_mps, measured)
        except AssertionError as error:
            print(f"seed {seed}: {error}", file=sys.stderr)
            outside += 1
        faults += bench.state is State.FAULT_LATCHED
    return Judged(commands, judge.frames, judge.enabled, outside, faults)


def load_fuzz() -> Any:
    """The test module, with its `assert`s as they are."""
    spec = importlib.util.spec_from_file_location("guard_fuzz", FUZZ)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{FUZZ} is not there")
    module = importlib.util.module_from_spec(spec)
    sys.modules["guard_fuzz"] = module
    spec.loader.exec_module(module)
    return module


# ---------------------------------------------------------------------------------------------------------------- cost


def cost_rows() -> list[Row]:
    """Verdict, engagement, encode, counter, CRC, read-back of three messages: one period while enabled."""
    bench = GuardBench()
    bench.engage()
    spent = timed_us(lambda number: bench.step(0.0001 * (number % 2), 0.01 * (number % 2)))
    return [
        at_most("one period of the guard, p50", statistics.median(spent), 150, "us"),
        at_most("one period of the guard, p99", percentile(spent, 99), 150, "us"),
    ]


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


def beside(name: str, ours_us: list[float], limit_us: float, cantools_us: list[float]) -> Row:
    mine, peer = statistics.median(ours_us), statistics.median(cantools_us)
    return Row(name, mine, "us", f"<= {limit_us:g}", mine <= limit_us, "cantools", peer, peer / mine)


def timed_us(call: Callable[[int], object]) -> list[float]:
    """Microseconds of processor time of each call in the best batch; no garbage collector, as in a loop on time."""
    batches = []
    gc.disable()
    for _ in range(BATCHES):
        spent = []
        for number in range(CALLS):
            began = time.thread_time_ns()
            call(number)
            spent.append((time.thread_time_ns() - began) / 1e3)
        batches.append(spent)
    gc.enable()
    return min(batches, key=lambda spent: percentile(spent, 99))


def percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


if __name__ == "__main__":
    sys.exit(main())
