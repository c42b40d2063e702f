"""Write docs/comparison.md and docs/pictures/comparison.svg from the documents in docs/benchmarks.

python docs/make_comparison.py [FOLDER]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

DOCS = Path(__file__).resolve().parent
HEAD = """\
# Beside others

What cardan takes, and what others take for the same in the same run, by turns, on the same machine (a virtual one with
two processors). Every line is measured by the script behind it; `python benches/report.py NAME` measures it again on
yours, and writes this page anew. Peers are installed from PyPI or Debian (`make .venv-peers/.installed`).

![Bars: cardan beside others](pictures/comparison.svg)

"""
TAIL = """
Not here, since they cannot be installed as a package on such a machine: openpilot's manager, Apollo's Cyber RT, ROS 2
and Autoware. How each figure is taken, and all others: [benchmarks](benchmarks/README.md).
"""
OURS = "cardan"


class Bar(NamedTuple):
    """One of those that are compared, and the row that says what it takes."""

    who: str
    row: str
    is_peer: bool = False
    """The figure is what the row says of its peer."""


class Question(NamedTuple):
    """What is compared. The first bar is ours."""

    what: str
    unit: str
    bench: str
    bars: tuple[Bar, ...]
    less_is_better: bool = True
    note: str = ""


class Answer(NamedTuple):
    """A question with its figures."""

    question: Question
    values: list[float]

    @property
    def best(self) -> int:
        """Number of the bar that takes least, or does most."""
        choose = min if self.question.less_is_better else max
        return self.values.index(choose(self.values))


def beside(row: str, *peers: str) -> tuple[Bar, ...]:
    """Ours and its peers where each pair has a row of its own, `ROW, beside PEER`."""
    ours = Bar(OURS, f"{row} beside {peers[0]}")
    return (ours, *(Bar(peer, f"{row} beside {peer}", is_peer=True) for peer in peers))


def pair(row: str, peer: str) -> tuple[Bar, ...]:
    return Bar(OURS, row), Bar(peer, row, is_peer=True)


SMALL, FRAME = "64 B, 1 reader: p50", "6.2 MB, 1 reader: p50"
QUESTIONS = (
    Question(
        "A node is killed: until its successor has its first input, p50", "ms", "supervise",
        beside("SIGKILL to the successor's first input, p50", "dora", "supervisord", "circus"),
    ),
    Question(
        "A loop of 100 Hz while both processors are busy: lateness, p99", "us", "loop",
        pair("100 Hz, SCHED_FIFO, both cores loaded: lateness p99", "cyclictest"),
        note="cyclictest (C) sleeps until it is time; the loop wakes up a little before and waits awake",
    ),
    Question(
        "A message of 64 bytes to another process, p50", "us", "bus",
        (
            *pair(SMALL, "iceoryx2"),
            Bar("pyzmq", f"{SMALL}, pyzmq"), Bar("zenoh", f"{SMALL}, zenoh"), Bar("dora", f"{SMALL}, dora"),
            Bar("cardan (node to node)", f"{SMALL}, port to port"),
        ),
        note="bytes in and bytes out, as the peers; node to node has codec, counters and age too",
    ),
    Question(
        "A camera frame of 6.2 MB to another process, p50", "us", "bus",
        (
            Bar(OURS, "6.2 MB filled in place, 1 reader: p50"),
            Bar("iceoryx2 (loan)", "6.2 MB filled in place, 1 reader: p50", is_peer=True),
            Bar("iceoryx2 (copied)", f"{FRAME}, iceoryx2"), Bar("zenoh", f"{FRAME}, zenoh"),
            Bar("pyzmq", f"{FRAME}, pyzmq"), Bar("dora", f"{FRAME}, dora"),
            Bar("cardan (node to node)", f"{FRAME}, port to port"),
        ),
        note="filled in place where the peer can",
    ),
    Question(
        "One period of the bridge on SocketCAN: 4 frames received, 3 sent, 3 confirmed", "us", "socketcan",
        pair("a period of the bridge: 4 received, 3 sent, 3 confirmed", "python-can"),
        note="in an emulated guest: read the ratio",
    ),
    Question(
        "Ten signals to a frame with counter and CRC, p50", "us", "can_codec",
        pair("encode 10 signals with counter and CRC, p50", "cantools"),
    ),
    Question(
        "Deadlines missed by networks at 90 % load", "%", "engines",
        pair("simulated misses at 90 % load", "FIFO, latest frame"),
        note="simulated",
    ),
    Question(
        "Recording small messages: processor time", "ms/MB", "recorder",
        pair("small messages: processor time of the writer", "mcap's writer"),
    ),
    Question(
        "Records made durable", "1/s", "outbox",
        pair("durable ingest, 256 B records", "nats-server"), less_is_better=False,
    ),
    Question(
        "A sample of telemetry on the wire", "B", "uplink",
        pair("parquet, 100 signals, 1000 ticks: bytes a sample", "OTLP+zstd"),
        note="100 signals, a thousand of each; of pure noise OTLP takes less",
    ),
    Question(
        "Supervisor at rest, ten nodes: memory (PSS)", "MiB", "supervise",
        beside("at rest, memory (PSS),", "supervisord", "circus", "dora"),
    ),
    Question(
        "Supervisor at rest, ten nodes: processor time", "% of a core", "supervise",
        beside("at rest, CPU,", "supervisord", "circus", "dora"),
        note="as they come, supervisord and circus look for no hung node",
    ),
)  # fmt: skip


def answers(documents: Iterable[dict[str, Any]]) -> list[Answer]:
    """Every question with its figures. SystemExit for a figure that no document has."""
    rows = {(document["bench"], row["name"]): row for document in documents for row in document["rows"]}
    return [Answer(asked, [_value(rows, asked.bench, bar) for bar in asked.bars]) for asked in QUESTIONS]


def _value(rows: dict[tuple[str, str], dict[str, Any]], bench: str, bar: Bar) -> float:
    row = rows.get((bench, bar.row))
    value = None if row is None else row["peer_value" if bar.is_peer else "value"]
    if value is None:
        raise SystemExit(f'{bench}.json has no figure of {bar.who} in a row "{bar.row}": was the peer installed?')
    return float(value)


def shown(value: float) -> str:
    """Three digits, and no more zeros than needed."""
    if value >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.3g}"


# ------------------------------------------------------------------------------------------------------------- the page


def page(found: list[Answer]) -> str:
    lines = [HEAD + "| what | cardan | others | measured by |", "|---|---|---|---|"]
    for answer in found:
        question, cells = answer.question, []
        for number, (bar, value) in enumerate(zip(question.bars, answer.values, strict=True)):
            text = f"{shown(value)} {question.unit}" if number == 0 else f"{bar.who} {shown(value)}"
            cells.append(f"**{text}**" if number == answer.best else text)
        what = question.what + (f" ({question.note})" if question.note else "")
        lines.append(f"| {what} | {cells[0]} | {', '.join(cells[1:])} | `benches/{question.bench}.py` |")
    return "\n".join(lines) + "\n" + TAIL


# ---------------------------------------------------------------------------------------------------------- the picture

WIDTH, LEFT, RIGHT = 860, 190, 150
TITLE, ROW, GAP = 22, 18, 14
LONGEST = WIDTH - LEFT - RIGHT
CLIPPED = 12.0
"""So many times ours, and a bar ends at the edge with an arrow: the others would not be seen beside it."""
UNCLIPPED = 0.92
"""Length of the longest other bar."""


def picture(found: list[Answer]) -> str:
    """Bars of equal scale within a question; ours are green."""
    height = GAP + sum(TITLE + ROW * len(answer.values) + GAP for answer in found)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
        ' font-family="system-ui, sans-serif" font-size="12">',
        "<title>cardan beside others</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    top = GAP
    for answer in found:
        parts += _group(answer, top)
        top += TITLE + ROW * len(answer.values) + GAP
    return "\n".join([*parts, "</svg>"]) + "\n"


def _group(answer: Answer, top: int) -> Iterator[str]:
    question = answer.question
    better = "" if question.less_is_better else " - more is better"
    yield (
        f'<text x="12" y="{top + 14}" font-weight="600" fill="#1c2733">{escape(question.what)}'
        f'<tspan font-weight="400" fill="#66727f"> - {escape(question.unit)}{better}</tspan></text>'
    )
    most = min(max(answer.values), CLIPPED * answer.values[0])
    for number, (bar, value) in enumerate(zip(question.bars, answer.values, strict=True)):
        y = top + TITLE + ROW * number
        is_clipped = value > most
        length = LONGEST if is_clipped else max(1, round(LONGEST * UNCLIPPED * value / most))
        colour = "#2e9e63" if bar.who.startswith(OURS) else "#b7c0ca"
        yield f'<text x="{LEFT - 8}" y="{y + 12}" text-anchor="end" fill="#1c2733">{escape(bar.who)}</text>'
        yield f'<rect x="{LEFT}" y="{y + 2}" width="{length}" height="{ROW - 5}" rx="2" fill="{colour}"/>'
        arrow = "→ " if is_clipped else ""
        yield f'<text x="{LEFT + length + 6}" y="{y + 12}" fill="#1c2733">{arrow}{shown(value)}</text>'


def write(docs: Path, documents: Iterable[dict[str, Any]]) -> None:
    """Both files, into a folder such as docs/."""
    found = answers(documents)
    (docs / "comparison.md").write_text(page(found))
    (docs / "pictures").mkdir(exist_ok=True)
    (docs / "pictures" / "comparison.svg").write_text(picture(found))


def read_documents(folder: Path = DOCS / "benchmarks") -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS, read_documents())
