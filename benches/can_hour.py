"""An hour of a recorded bus, asked by a field engineer: is it healthy, and how soon is the first frame on the screen?

    python benches/can_hour.py             # an hour of the reference vehicle's bus, 2.5 million frames: about 2 minutes
    python benches/can_hour.py --quick     # a tenth of it

The recording has the bus and as many messages a second of other topics as the vehicle has, in chunks of 250 ms. Wall
time of the whole command; the processor time is beside it, because the commands use one core.
"""

from __future__ import annotations

import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rows import Row, at_most, parse_arguments, report

from cardan.firmware_bridge.dbc import load_dbc
from cardan.firmware_bridge.vehicle_map import reference_dbc_path
from cardan.runtime.messages import CanFrame, CanFrames, type_name
from cardan.runtime.record.json_form import PlainForm, with_envelope
from cardan.runtime.record.mcap_writer import McapWriter

CARDAN = [sys.executable, "-m", "cardan.runtime.cli.main", "can"]
HOUR_S = 3600
PERIOD_NS = 10_000_000
PERIODS_IN_A_CHUNK = 25
OTHER_TOPICS = 7
ANSWER_S, FIRST_S = 5.0, 1.0
WALL_NS = 1_700_000_000_000_000_000


def main() -> int:
    arguments = parse_arguments(__doc__ or "")
    seconds, rounds = (HOUR_S // 10, 3) if arguments.quick else (HOUR_S, 5)
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="hour") as name:
        path = Path(name) / "hour.mcap"
        os.environ |= {"CARDAN_RUN_DIR": f"{name}/r", "CARDAN_DATA_DIR": f"{name}/d", "XDG_CACHE_HOME": f"{name}/c"}
        frames = record(path, seconds)
        what = f"recording of {seconds} s ({frames / 1e6:.2g} million frames)"
        rows = health_rows(path, what, rounds)
        rows += [first_row(path, what, verb, rounds) for verb in ("dump", "decode", "sniff --count 1000")]
    return report("can_hour", rows, as_json=arguments.json)


def record(path: Path, seconds: int) -> int:
    """A healthy bus as the recorder keeps it, beside other topics; how many frames it has."""
    form = PlainForm(CanFrames)
    writer = McapWriter(path, {"run_id": "bench"}, wall_offset_ns=WALL_NS)
    channel = writer.add_channel("can/frames", form.schema_name, form.schema, {"type": type_name(CanFrames)})
    others = [
        writer.add_channel(f"node{number}/state", "State", b"{}", {"type": "bench:State"})
        for number in range(OTHER_TOPICS)
    ]
    periods = bus_periods()
    frames = 0
    for number in range(1, 100 * seconds + 1):
        now_ns = number * PERIOD_NS
        sent = periods[number % len(periods)]
        frames += len(sent)
        batch = CanFrames(frames=[CanFrame("vehicle", key, data, now_ns) for key, data in sent])
        body = with_envelope(form.encode(batch, now_ns), now_ns, True, 1)
        writer.write(channel, sent_ns=now_ns, sequence=number, data=body)
        for other in others:
            text = f'{{"stamp_ns":{now_ns},"speed_mps":{10 + math.sin(number / 100):.6f},"valid":true,"n":{number}}}'
            writer.write(other, sent_ns=now_ns, sequence=number, data=text.encode())
        if number % PERIODS_IN_A_CHUNK == 0:
            writer.end_chunk()
    writer.finish()
    return frames


def bus_periods() -> list[list[tuple[int, bytes]]]:
    """Each message of the reference vehicle once a period, until every counter is where it began."""
    dbc = load_dbc(reference_dbc_path())
    codecs = [dbc.message(name) for name in dbc.names]
    cycle = math.lcm(*(codec.modulus or 1 for codec in codecs))
    filled_in = ("CRC", "COUNTER")
    contents = [{name: float(name == "VALID") for name in codec.signals if name not in filled_in} for codec in codecs]
    return [
        [
            (codec.frame_id, codec.encode(content, number % (codec.modulus or 1)))
            for codec, content in zip(codecs, contents, strict=True)
        ]
        for number in range(cycle)
    ]


def health_rows(path: Path, what: str, rounds: int) -> list[Row]:
    """Wall and processor time of the whole command. SystemExit when it does not find the bus healthy."""
    wall, spent = [], []
    for _ in range(rounds):
        before, began_s = cpu_s(), time.monotonic()
        done = subprocess.run(
            [*CARDAN, "health", str(path), "--vehicle", "reference"], capture_output=True, text=True, check=False
        )
        wall.append(time.monotonic() - began_s)
        spent.append(cpu_s() - before)
        if done.returncode != 0:
            raise SystemExit(f"cardan can health: {done.stdout}{done.stderr}")
    return [
        at_most(f"{what}: cardan can health", statistics.median(wall), ANSWER_S, "s"),
        Row(f"{what}: cardan can health, processor time", statistics.median(spent), "s", "shown", True),
    ]


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def first_row(path: Path, what: str, words: str, rounds: int) -> Row:
    """From the start of the command to its first line."""
    verb, *others = words.split()
    meaning = [] if verb == "dump" else ["--vehicle", "reference"]
    took = []
    for _ in range(rounds):
        began_s = time.monotonic()
        command = [*CARDAN, verb, str(path), *meaning, *others]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            first = process.stdout.readline() if process.stdout is not None else b""
            took.append(time.monotonic() - began_s)
            process.kill()
        if not first:
            raise SystemExit(f"cardan can {words} printed nothing")
    return at_most(f"{what}: cardan can {words}, first line", statistics.median(took), FIRST_S, "s")


if __name__ == "__main__":
    sys.exit(main())
