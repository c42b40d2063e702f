"""The guard in large: does a byte outside the envelope ever leave?

The commands and the judge are those of tests/firmware_bridge/test_guard_fuzz.py: cantools decodes every frame, and
arithmetic of its own holds it against the limits. What a period costs is in can_codec.py.

    python benches/guard.py --quick
    python benches/guard.py --commands 10000000 --jobs 2 --json > docs/benchmarks/guard.json
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import os
import random
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from rows import Row, exactly, report

from cardan.firmware_bridge.engage import State

FUZZ = Path(__file__).resolve().parent.parent / "tests" / "firmware_bridge" / "test_guard_fuzz.py"
SHARE = 20_000
"""Commands of one guard, from a seed of their own; then a new guard starts closed."""


class Judged(NamedTuple):
    """What came of one share of the commands."""

    commands: int
    frames: int
    enabled: int
    outside: int
    faults: int


def main() -> int:
    arguments = parse_arguments()
    return report("guard", fuzz_rows(arguments.commands, arguments.jobs), as_json=arguments.json)


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


if __name__ == "__main__":
    sys.exit(main())
