"""Run every benchmark, keep what each printed as docs/benchmarks/NAME.json, and make docs/benchmarks/README.md of them.

The figures in docs/safety.md and docs/comparison.md are taken from the same documents.

python benches/report.py                 # all, one after the other: about an hour on a quiet machine
python benches/report.py --quick         # all, each within a minute or so
python benches/report.py loop chaos      # these only; the table takes the others as they are
python benches/report.py --table         # the table only
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parent / "docs" / "benchmarks"
SAFETY = HERE.parent / "docs" / "safety.md"
COMPARISON = HERE.parent / "docs" / "make_comparison.py"
FIGURE = re.compile(r"(?m)^\| (?P<what>[^|]+?) \|[^|]*\|[^|]*\| \[(?P<bench>\w+)\]\(benchmarks/(?P=bench)\.json\) \|$")
"""A line of a page that shows a row of a document: how its name begins, value, bar, and the document."""
MARK = "from rows import"
"""A benchmark is a script here that reports rows."""


def benches() -> list[str]:
    """The names of all benchmarks."""
    own = Path(__file__).stem
    return sorted(path.stem for path in HERE.glob("*.py") if path.stem != own and _reports_rows(path))


def _reports_rows(path: Path) -> bool:
    text = path.read_text()
    return MARK in text and "__main__" in text


def measure(name: str, quick: bool) -> bool:
    """Run one and keep its document; True when every row is ok. A bench that prints no document leaves the old one."""
    load, options = os.getloadavg()[0], ["--quick"] if quick else []
    print(f"{name} ... (load {load:.1f} before it)", file=sys.stderr, flush=True)
    done = subprocess.run(
        [sys.executable, str(HERE / f"{name}.py"), "--json", *options], stdout=subprocess.PIPE, text=True, check=False
    )
    try:
        document = json.loads(done.stdout)
    except ValueError:
        print(f"{name}: no document, exit code {done.returncode}", file=sys.stderr)
        return False
    document["machine"] |= {"load_before": round(load, 2), "quick": quick}
    (FOLDER / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
    return done.returncode == 0


def table(documents: list[dict[str, Any]]) -> str:
    """All documents as one page of tables."""
    parts = [
        "# Benchmarks\n",
        "Made by `make bench` from the documents beside this page; do not edit it. A peer is measured in the same run,",
        "by turns. Read ratios: a figure in milliseconds belongs to the machine named under its table, and one taken",
        "while the load exceeded its processors is too high, because others were at work.\n",
    ]
    for document in documents:
        parts += [f"## {document['bench']}\n", "| what | value | bar | met | peer |", "|---|---|---|---|---|"]
        parts += [_line(row) for row in document["rows"]]
        parts += ["", _machine(document["machine"]), ""]
    return "\n".join(parts)


def with_figures(page: str, documents: Sequence[dict[str, Any]]) -> str:
    """The page, its figures as the documents have them now. SystemExit for a figure that none of them has."""
    known = {document["bench"]: document for document in documents}

    def line(found: re.Match[str]) -> str:
        what, bench = found["what"], found["bench"]
        rows = [row for row in known[bench]["rows"] if row["name"].startswith(what)] if bench in known else []
        if len(rows) != 1:
            raise SystemExit(f'{len(rows)} rows of {bench}.json begin with "{what}", expected one')
        (row,) = rows
        rest = row["name"][len(what) :].strip(" ,")
        short = "short run" if known[bench]["machine"].get("quick") else ""
        notes = ", ".join(note for note in (rest, short) if note)
        value = _figure(row) + (f" ({notes})" if notes else "")
        return f"| {what} | {value} | {row['bar']} | [{bench}](benchmarks/{bench}.json) |"

    return FIGURE.sub(line, page)


def _figure(row: dict[str, Any]) -> str:
    """Ratio where one is asked for; counts with all their digits."""
    if row["ratio"] is not None and row["bar"].startswith("ratio"):
        return f"{row['ratio']:.1f} x"
    value = row["value"]
    whole = isinstance(value, int) or (value is not None and float(value).is_integer())
    text = "not measured" if value is None else f"{value:,.0f}".replace(",", " ") if whole else f"{value:.4g}"
    return f"{text} {row['unit']}".strip()


def _line(row: dict[str, Any]) -> str:
    value = row["unit"] if row["value"] is None else f"{row['value']:.4g} {row['unit']}"
    ratio = "" if row["ratio"] is None else f" (ratio {row['ratio']:.3g})"
    peer = "" if row["peer_value"] is None else f"{row['peer']} {row['peer_value']:.4g}{ratio}"
    met = ("yes" if row["ok"] else "**no**") if row["bar"] != "shown" else ""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in (row["name"], value, row["bar"], met, peer)) + " |"


def _machine(machine: dict[str, Any]) -> str:
    size = "short run, " if machine.get("quick") else ""
    load = f", load {machine['load_before']} before it" if "load_before" in machine else ""
    what = f"{machine['cpus']} x {machine['machine']}, Linux {machine['kernel']}, Python {machine['python']}"
    note = f" {machine['note']}" if "note" in machine else ""
    return f"Measured: {size}{what}{load}.{note}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="benchmarks; all when none is named")
    parser.add_argument("--quick", action="store_true", help="short runs")
    parser.add_argument("--table", action="store_true", help="measure nothing")
    arguments = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    names = [] if arguments.table else arguments.names or benches()
    missed = [name for name in names if not measure(name, arguments.quick)]
    documents = [json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))]
    (FOLDER / "README.md").write_text(table(documents))
    SAFETY.write_text(with_figures(SAFETY.read_text(), documents))
    subprocess.run([sys.executable, str(COMPARISON)], check=True)
    if missed:
        print(f"not every bar is met: {', '.join(missed)}", file=sys.stderr)
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
