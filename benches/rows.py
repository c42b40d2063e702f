"""How every benchmark reports: rows with a value, a bar, and a peer measured in the same run."""

from __future__ import annotations

import argparse
import json
import os
import platform
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Row:
    """One measured figure. `bar` is what it is held to, as text; `ok` says whether it was met."""

    name: str
    value: float | None
    unit: str
    bar: str
    ok: bool
    peer: str | None = None
    peer_value: float | None = None
    ratio: float | None = None


def at_most(name: str, value: float | None, limit: float, unit: str) -> Row:
    """A figure that must not exceed `limit`; None (not measured) is not ok."""
    return Row(name, value, unit, f"<= {limit:g}", value is not None and value <= limit)


def exactly(name: str, value: float | None, wanted: float, unit: str) -> Row:
    """A figure that must equal `wanted`."""
    return Row(name, value, unit, f"= {wanted:g}", value == wanted)


def parse_arguments(description: str) -> argparse.Namespace:
    """`--quick` (within 50 s) and `--json`, as every benchmark has them."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="end within 50 s")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser.parse_args()


def report(bench: str, rows: list[Row], *, as_json: bool) -> int:
    """Print the rows; 1 when one of them is not ok."""
    machine = {
        "cpus": os.cpu_count(),
        "machine": platform.machine(),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }
    if as_json:
        print(json.dumps({"bench": bench, "rows": [asdict(row) for row in rows], "machine": machine}, indent=1))
    else:
        width = max(len(row.name) for row in rows)
        for row in rows:
            value = row.unit if row.value is None else f"{row.value:.4g} {row.unit}"
            ratio = "" if row.ratio is None else f", ratio {row.ratio:.3g}"
            peer = "" if row.peer_value is None else f" ({row.peer} {row.peer_value:.4g}{ratio})"
            print(f"{'ok  ' if row.ok else 'FAIL'} {row.name:<{width}}  {value:<16} bar {row.bar}{peer}")
    return 0 if all(row.ok for row in rows) else 1
