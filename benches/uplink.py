"""Outbox to store: nothing lost and nothing doubled under kills and cuts, bytes a sample, processor time.

    python benches/uplink.py                  # 1000 kills, about 4 minutes in all
    python benches/uplink.py --kills 10000    # about 20 minutes
    python benches/uplink.py --quick          # 60 kills

Needs Azurite (`npm install --prefix .servers azurite@3.35.0`), the extras `cloud`, `parquet` and `record`, and for the
peer opentelemetry-proto, which may be in an environment of its own on the PATH (`make bench` sees to that).
"""

from __future__ import annotations

import argparse
import sys

import uplink_kills
import uplink_load
import uplink_wire
from rows import Row, at_most, exactly, report

KILLS, QUICK_KILLS = 1000, 60
LOAD_S, QUICK_LOAD_S = 6.0, 2.0
SHARE_OF_OTLP = 0.75
SHARE_OF_A_CORE = 0.10
SETS = {
    "100 signals, 60 ticks": (100, 60, False),
    "100 signals, 1000 ticks": (100, 1000, False),
    "100 signals of noise, 60 ticks": (100, 60, True),
}


def shown(name: str, value: float, unit: str) -> Row:
    return Row(name, value, unit, "shown", True)


def kill_rows(kills: int, seed: int) -> list[Row]:
    found = uplink_kills.run(kills, seed)
    after = f"after {kills} kills"
    print(found, file=sys.stderr)
    return [
        exactly(f"acknowledged records lost {after}", found.lost, 0, "records"),
        exactly(f"records twice at the store {after}", found.duplicates, 0, "records"),
        exactly(f"numbers missing at the store {after}", found.gaps, 0, "numbers"),
        exactly(f"accounts that are not exact, of {found.looks}", found.inexact, 0, "accounts"),
        shown("records acknowledged meanwhile", found.acknowledged, "records"),
        shown("objects at the store", found.objects, "objects"),
        shown("exchanges with the store that were cut", found.cut / max(1, found.exchanges), "share"),
        shown("time of the kills", found.seconds, "s"),
    ]


def wire_rows(rounds: int) -> list[Row]:
    forms = ("parquet", "columns", "jsonl-zstd", "jsonl")
    rows = []
    for title, (signals, ticks, noise) in SETS.items():
        mine, theirs = uplink_wire.compared(forms, signals, ticks, rounds, noise=noise)
        rows += [_wire_row(form, title, mine[form], theirs, noise=noise) for form in forms]
    return rows


def _wire_row(form: str, title: str, mine: uplink_wire.Cost, theirs: uplink_wire.Cost | None, *, noise: bool) -> Row:
    ratio = mine.bytes_per_sample / theirs.bytes_per_sample if theirs is not None else None
    held = not form.startswith("jsonl") and not noise
    ok = not held or (ratio is not None and ratio <= SHARE_OF_OTLP)
    bar = f"<= {SHARE_OF_OTLP:g} x" if held else "shown"
    unit = "B" if theirs is not None else "B (opentelemetry-proto is not installed)"
    peer_value = theirs.bytes_per_sample if theirs is not None else None
    name = f"{form}, {title}: bytes a sample"
    return Row(name, mine.bytes_per_sample, unit, bar, ok, "OTLP+zstd", peer_value, ratio)


def load_rows(seconds: float) -> list[Row]:
    """Lines, the usual form, are held to the bar, by the median of three runs: processor time is noisy."""
    rows = []
    for form in ("jsonl-zstd", "jsonl", "columns", "parquet"):
        held = form.startswith("jsonl")
        runs = sorted((uplink_load.run(seconds, form) for _ in range(3 if held else 1)), key=used)
        print(form, *runs, sep="\n  ", file=sys.stderr)
        found = runs[len(runs) // 2]
        name = f"{form}: outbox and uplink at {found.records_per_s / 1000:.1f} k records/s"
        share = used(found)
        rows.append(at_most(name, share, SHARE_OF_A_CORE, "cores") if held else shown(name, share, "cores"))
        rows.append(shown(f"{form}: of it the outbox", found.outbox, "cores"))
        rows.append(shown(f"{form}: bytes at the store for each record of 240", found.wire_bytes_per_record, "B"))
    return rows


def used(load: uplink_load.Load) -> float:
    """The share of a core that durable and uploaded takes."""
    return load.outbox + load.uplink


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="end within 50 s")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--kills", type=int, help=f"how many (default: {KILLS})")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    kills = arguments.kills or (QUICK_KILLS if arguments.quick else KILLS)
    rows = kill_rows(kills, arguments.seed)
    rows += wire_rows(1 if arguments.quick else 5)
    rows += load_rows(QUICK_LOAD_S if arguments.quick else LOAD_S)
    return report("uplink", rows, as_json=arguments.json)


if __name__ == "__main__":
    sys.exit(main())
