"""dora as a peer of the bus: a dataflow of one sender and one receiver, both Python nodes, as its documentation shows.

python bus_dora.py source BYTES MESSAGES RATE_HZ     (these two are started by dora)
python bus_dora.py sink RESULT_FILE
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from bus_cell import STAMP, quantile
from peers import python_with

WARM_UP = 20
LIMIT_S = 40.0
FLOW = """\
nodes:
  - id: source
    path: {python}
    args: {script} source {size} {messages} {rate_hz}
    outputs: [data]
  - id: sink
    path: {python}
    args: {script} sink {result}
    inputs:
      data:
        source: source/data
        queue_size: 100
"""


def dora_rounds(size: int, messages: int, rate_hz: float, rounds: int) -> dict[str, float] | None:
    """p50 and p99 in microseconds, medians over the rounds; None where dora is not installed or did not run."""
    program, python = shutil.which("dora"), python_with("dora")
    if program is None or python is None:
        return None
    found = [_one_round(program, python, size, messages, rate_hz) for _ in range(rounds)]
    ordered = [sorted(latencies) for latencies in found if latencies]
    if not ordered:
        return None
    return {
        name: statistics.median(quantile(latencies, at) / 1000 for latencies in ordered)
        for name, at in (("p50", 0.5), ("p99", 0.99))
    }


def _one_round(program: str, python: str, size: int, messages: int, rate_hz: float) -> list[int]:
    with tempfile.TemporaryDirectory(prefix="cb") as text:
        folder = Path(text)
        result = folder / "result"
        flow = FLOW.format(
            python=python, script=Path(__file__).resolve(), size=size, messages=messages, rate_hz=rate_hz, result=result
        )
        (folder / "flow.yml").write_text(flow)
        process = subprocess.Popen(
            [program, "run", "flow.yml"], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        latencies: list[int] = json.loads(result.read_text()) if result.exists() else []
        return latencies


def source(size: int, messages: int, rate_hz: float) -> None:
    arrow, node = import_module("pyarrow"), import_module("dora").Node()
    data = bytearray(os.urandom(size))
    time.sleep(0.5)
    next_s = time.monotonic()
    for number in range(WARM_UP + messages):
        next_s += 1 / rate_hz
        time.sleep(max(0.0, next_s - time.monotonic()))
        STAMP.pack_into(data, 0, number, time.monotonic_ns())
        node.send_output("data", arrow.array(memoryview(data), type=arrow.uint8()))


def sink(result: Path) -> None:
    node: Any = import_module("dora").Node()
    latencies = []
    for event in node:
        if event["type"] == "INPUT":
            data = event["value"].to_numpy(zero_copy_only=True)
            number, sent_ns = STAMP.unpack_from(data)
            if number >= WARM_UP:
                latencies.append(time.monotonic_ns() - sent_ns)
    result.write_text(json.dumps(latencies))


if __name__ == "__main__":
    if sys.argv[1] == "source":
        source(int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
    else:
        sink(Path(sys.argv[2]))
