"""Damaged input into everything that reads what others have written into shared memory or onto the wire.

    python benches/bus_fuzz.py                     # 1 million inputs, about five minutes
    python benches/bus_fuzz.py --inputs 5000000 --seed 7

Messages into the decoders of an input, slot descriptors into the maps of frames, images of rings into readers. Each is
a good one with some bits, bytes, words or lengths changed, or nothing but noise. What may come of it is in
tests/runtime/bus/fuzz.py, which the tests run on a small share: a value, an error of ours, or nothing.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import os
import sys
from pathlib import Path
from typing import Any

from rows import Row, exactly, report

FUZZ = Path(__file__).resolve().parent.parent / "tests" / "runtime" / "bus" / "fuzz.py"
SHARE = 10_000
"""Inputs of one seed."""


def load_fuzz() -> Any:
    """The module of the tests."""
    spec = importlib.util.spec_from_file_location("bus_fuzz_cases", FUZZ)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{FUZZ} is not there")
    module = importlib.util.module_from_spec(spec)
    sys.modules["bus_fuzz_cases"] = module
    spec.loader.exec_module(module)
    return module


def try_share(share: tuple[str, int]) -> tuple[str, dict[str, int], list[str]]:
    """What came of the inputs of one seed; runs in a process of its own, so that a crash is seen as one."""
    kind, seed = share
    outcome = load_fuzz().KINDS[kind](seed, SHARE)
    return kind, outcome.counts, outcome.findings


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=1_000_000, metavar="N", help="in all; default: 1 000 000")
    parser.add_argument("--seed", type=int, default=0, help="of the first share")
    parser.add_argument("--quick", action="store_true", help="60 000 inputs: end within 50 s")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parser.parse_args()
    kinds = list(load_fuzz().KINDS)
    rounds = max(1, -(-(60_000 if arguments.quick else arguments.inputs) // (SHARE * len(kinds))))
    shares = [(kind, arguments.seed + number) for number in range(rounds) for kind in kinds]
    counts: dict[str, dict[str, int]] = {kind: {} for kind in kinds}
    findings: list[str] = []
    with multiprocessing.get_context("spawn").Pool(os.cpu_count(), os.nice, (5,), maxtasksperchild=20) as pool:
        for done, (kind, found, texts) in enumerate(pool.imap_unordered(try_share, shares), 1):
            for name, count in found.items():
                counts[kind][name] = counts[kind].get(name, 0) + count
            findings += texts
            for text in texts[:5]:
                print(text, file=sys.stderr)
            print(f"{done * SHARE} of {len(shares) * SHARE} inputs, {len(findings)} findings", file=sys.stderr)
    tried = sum(sum(found.values()) for found in counts.values())
    rows = [
        Row("inputs tried", tried, "inputs", f">= {arguments.inputs}", arguments.quick or tried >= arguments.inputs),
        exactly("other exceptions, views outside, wrong values", len(findings), 0, "findings"),
    ]
    for kind, found in counts.items():
        rows += [Row(f"{kind}: {name}", count, "inputs", "shown", True) for name, count in sorted(found.items())]
    return report("bus_fuzz", rows, as_json=arguments.json)


if __name__ == "__main__":
    sys.exit(main())
