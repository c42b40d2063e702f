"""From a fault to the first safe frame on the bus: real processes, three busy ones beside them, SCHED_FIFO.

    python benches/faults.py                       # 200 trials of each fault, about 15 minutes
    python benches/faults.py --trials 5            # fewer; --quick is 3, within 50 s
    python benches/faults.py --only brake,silent   # some of them
    python benches/faults.py --healthy 3600        # drive the reference vehicle for so long under the same load
    python benches/faults.py --healthy 600 --log F # the same in pieces: each adds its drive to F, and tells the sum

Controller, bridge and recorder are processes of a real run; the bench is the vehicle on the other end of the bus
(fault_vehicle.py). Times are those of the kernel's stamps on the bus. The worst trial counts.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fault_nodes import Switch, Wanted
from fault_vehicle import (
    DISABLED,
    ENABLED,
    MOTION,
    PERIOD_NS,
    SAFE_STOP,
    SENSORS,
    SOFT_DISABLING,
    STEERING,
    Faults,
    Said,
    VehicleEnd,
    take_realtime,
)
from light import LightRun, folders
from rows import Row, at_most, exactly, report

from cardan.firmware_bridge.sim_ecu import Pedals
from cardan.runtime.cli.up import with_free_ports
from cardan.runtime.control_port import Ask, ask, port_path
from cardan.runtime.errors import RunError
from cardan.runtime.graph import load_plan
from cardan.runtime.run import new_run
from cardan.runtime.vitals import NodeState, NodeVitals

HERE = Path(__file__).resolve().parent
BUSY = 3
TRIALS_IN_A_RUN = 20
KILLS_IN_A_RUN = 5
AT_ONCE = 2
"""A node that dies more often is started again later and later: so many restarts of the bridge in a run are timed."""
ENGAGE_S = 5.0
WATCH_S = 0.5
HEALTHY_H = 1.0
"""So much driving without a false safe stop is asked for."""
PERIOD_MS = 10.0
STEP_MS = 1.0
"""A frame that comes just after a step has begun is read in the next one, and the answer is out when that ends."""
SETTLE_CYCLES = (2, 12)


@dataclass
class Measured:
    """What the trials of one fault gave."""

    ms: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    """Periods, or frames, that the fault needed."""
    missed: int = 0
    """Trials in which the reaction never came."""


class Track:
    """One run with its vehicle end, from which trials are taken."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        plan = with_free_ports(load_plan(str(HERE / "faults.toml")))
        self.rng = rng
        data = folder / "d"
        data.mkdir(exist_ok=True)
        self.switch = Switch(data)
        self.switch.set(Wanted.GOOD)
        (data / "bridge.latched").unlink(missing_ok=True)
        self.vehicle = VehicleEnd(next(iter(plan.profile.can.values())), rng)
        self.run = LightRun(plan, new_run(data, "run"))
        self._port = port_path(self.run.paths.run_dir, "bridge")

    def engage(self) -> None:
        """Whatever has happened: reset, let the driver take over, and engage; then some good periods."""
        vehicle = self.vehicle
        vehicle.faults = Faults()
        self.switch.set(Wanted.GOOD)
        vehicle.shift_phase()
        ends_ns = time.monotonic_ns() + round(ENGAGE_S * 1e9)
        while time.monotonic_ns() < ends_ns:
            if self._engaged():
                vehicle.wait(self.rng.randint(*SETTLE_CYCLES))
                if self._engaged():
                    return
            elif not vehicle.said or vehicle.said[-1].stamp_ns < time.monotonic_ns() - 3 * PERIOD_NS:
                self._press(Pedals(engage=True))
            elif vehicle.said[-1].engagement in (SOFT_DISABLING, SAFE_STOP):
                self._press(Pedals(brake=0.5))
            else:
                vehicle.cycle()
        raise SystemExit(f"not engaged within {ENGAGE_S:g} s: {self.ask('check')}")

    def _press(self, pedals: Pedals) -> None:
        for shown in (pedals, pedals, Pedals(), Pedals(), Pedals()):
            self.vehicle.cycle(shown)

    def _engaged(self) -> bool:
        said = self.vehicle.said
        fresh = bool(said) and said[-1].stamp_ns > time.monotonic_ns() - 2 * PERIOD_NS
        return fresh and said[-1].engagement == ENABLED

    def ask(self, verb: Any) -> str:
        """Ask the bridge as a person does, while the vehicle goes on; its engagement."""
        with suppress(RunError):
            return ask(self._port, Ask(verb=verb, who="bench"), 0.05).engagement
        return "no answer"

    def close(self) -> None:
        self.vehicle.close()
        self.run.stop()


Trial = Callable[[Track, Measured], None]


def killed(number: int) -> Trial:
    """The controller gets a signal at any moment of its period."""

    def trial(track: Track, measured: Measured) -> None:
        pid = track.run.pid("control")
        track.vehicle.pause_inside_a_period()
        began_ns = time.monotonic_ns()
        os.kill(pid, number)
        found = track.vehicle.first_after(began_ns, is_slowing, WATCH_S)
        record(measured, began_ns, found)
        if number == signal.SIGSTOP:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        drive_until(track, lambda: runs_again(track, "control", began_ns), 8.0)

    return trial


def bad_command(wanted: Wanted) -> Trial:
    """The controller sends a command that must not reach the bus; the next frames carry the held or clamped value."""

    def trial(track: Track, measured: Measured) -> None:
        outside = track.vehicle.outside
        track.switch.set(wanted)
        drive_until(track, lambda: track.switch.read()[1] > 0, 0.2)
        sent_ns = track.switch.read()[1]
        found = track.vehicle.first_after(sent_ns, lambda said: True, WATCH_S)
        track.vehicle.wait(1)
        track.switch.set(Wanted.GOOD)
        record(measured, sent_ns, found)
        measured.counts.append(track.vehicle.outside - outside)

    return trial


def brake(track: Track, measured: Measured) -> None:
    """The driver brakes; how long the steering still belongs to the bridge."""
    vehicle = track.vehicle
    vehicle.cycle(Pedals(brake=0.5))
    began_ns = vehicle.sent[SENSORS[0]][0]
    for _ in range(4):
        vehicle.cycle(Pedals(brake=0.5))
    after = [said for said in vehicle.said if said.stamp_ns > began_ns]
    record(measured, began_ns, next((said for said in after if not said.steering), None))
    measured.counts.append(sum(said.steering for said in after))
    vehicle.wait(3)


def silent(track: Track, measured: Measured) -> None:
    """MOTION is sent no more: from its last frame on."""
    vehicle = track.vehicle
    began_ns = vehicle.sent[MOTION][0]
    vehicle.faults = Faults(silent=frozenset({MOTION}))
    record(measured, began_ns, vehicle.first_after(began_ns, is_slowing, WATCH_S))
    vehicle.faults = Faults()


def spoiled(how: str) -> Trial:
    """MOTION comes with a wrong checksum, or always with the same counter: three such frames are enough."""

    def trial(track: Track, measured: Measured) -> None:
        vehicle = track.vehicle
        before = vehicle.spoiled
        data = vehicle.sent[MOTION][1]
        vehicle.faults = Faults(corrupt=frozenset({MOTION})) if how == "crc" else Faults(frozen={MOTION: data})
        vehicle.cycle()
        began_ns = vehicle.sent[MOTION][0]
        stamps = [began_ns]
        found: Said | None = None
        while found is None and len(stamps) < 20:
            vehicle.cycle()
            found = next((said for said in vehicle.said if said.stamp_ns > began_ns and is_slowing(said)), None)
            stamps.append(vehicle.sent[MOTION][0])
        record(measured, began_ns, found)
        third_ns = stamps[min(2, len(stamps) - 1)]
        late = [said for said in vehicle.said if said.stamp_ns > third_ns and not is_slowing(said)]
        measured.counts.append(len(late))
        measured.missed += vehicle.spoiled == before
        vehicle.faults = Faults()

    return trial


def second_sender(track: Track, measured: Measured) -> None:
    """Somebody else sends our steering command once; how long the bridge goes on."""
    vehicle = track.vehicle
    vehicle.pause_inside_a_period()
    vehicle.look()
    began_ns = vehicle.channel.send(STEERING, bytes(8))
    vehicle.wait(5)
    after = [said for said in vehicle.said if said.stamp_ns > began_ns]
    measured.counts.append(len(after))
    measured.ms.append((after[-1].stamp_ns - began_ns) / 1e6 if after else 0.0)
    for _ in range(100):
        vehicle.cycle()
        if track.ask("reset") == "disabled":
            return
    measured.missed += 1


def guard_killed(track: Track, measured: Measured, restarted: Measured) -> None:
    """The bridge itself is killed: the control units let go, and it comes back closed."""
    vehicle = track.vehicle
    vehicle.pause_inside_a_period()
    began_ns = time.monotonic_ns()
    os.kill(track.run.pid("bridge"), signal.SIGKILL)
    let_go_ns = back_ns = 0
    while time.monotonic_ns() < began_ns + 8 * 10**9 and not (let_go_ns and back_ns):
        vehicle.cycle()
        now_ns = time.monotonic_ns()
        let_go_ns = let_go_ns or (now_ns if vehicle.let_go else 0)
        if not back_ns and runs_again(track, "bridge", began_ns):
            back_ns = track.run.word("bridge", NodeVitals.STEP_END_NS)
    measured.ms.append((let_go_ns - began_ns) / 1e6 if let_go_ns else 1e9)
    restarted.ms.append((back_ns - began_ns) / 1e6 if back_ns else 1e9)
    vehicle.wait(5)
    late = [said for said in vehicle.said if said.stamp_ns > back_ns]
    if late:
        say(f"killed at {began_ns}, back at {back_ns}, but {late}")
    restarted.counts.append(len(late))


def recorder_killed(track: Track, measured: Measured) -> None:
    """The recorder dies; how many of the next 30 periods are not as before."""
    began_ns = time.monotonic_ns()
    os.kill(track.run.pid("recorder"), signal.SIGKILL)
    track.vehicle.wait(30)
    after = [said for said in track.vehicle.said if said.stamp_ns > began_ns]
    measured.counts.append(sum(said.engagement != ENABLED for said in after) + (len(after) < 20))
    drive_until(track, lambda: runs_again(track, "recorder", began_ns), 8.0)


def disk_full(track: Track, measured: Measured, seconds: float) -> None:
    """Nothing can be written any more; how many periods are not as before."""
    began_ns = time.monotonic_ns()
    filler = track.run.paths.data_dir / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    track.vehicle.wait(round(seconds * 100))
    after = [said for said in track.vehicle.said if said.stamp_ns > began_ns]
    measured.counts.append(sum(said.engagement != ENABLED for said in after))
    measured.ms.append(os.statvfs(track.run.paths.data_dir).f_bavail * 4.096)
    filler.unlink()


def is_slowing(said: Said) -> bool:
    return said.engagement in (SOFT_DISABLING, SAFE_STOP, DISABLED)


def record(measured: Measured, began_ns: int, found: Said | None) -> None:
    if found is None:
        measured.missed += 1
    else:
        measured.ms.append((found.stamp_ns - began_ns) / 1e6)


def runs_again(track: Track, name: str, since_ns: int) -> bool:
    """A successor that was started after `since_ns` has ended a step."""
    vitals = track.run.vitals.nodes[name]
    started = vitals.words[NodeVitals.STARTED_NS] > since_ns and vitals.state is NodeState.RUNNING
    return started and vitals.words[NodeVitals.STEP_END_NS] > vitals.words[NodeVitals.READY_NS]


def drive_until(track: Track, what: Callable[[], bool], within_s: float) -> None:
    """Let the vehicle go on until something holds; ends the bench when it does not come."""
    ends_ns = time.monotonic_ns() + round(within_s * 1e9)
    while not what():
        track.vehicle.cycle()
        if time.monotonic_ns() > ends_ns:
            raise SystemExit(f"waited {within_s:g} s in vain")


# ------------------------------------------------------------------------------------------------------------ the runs


FAULTS: dict[str, tuple[Trial, int]] = {
    "killed": (killed(signal.SIGKILL), KILLS_IN_A_RUN),
    "hung": (killed(signal.SIGSTOP), KILLS_IN_A_RUN),
    "nan": (bad_command(Wanted.NAN), TRIALS_IN_A_RUN),
    "range": (bad_command(Wanted.OUT_OF_RANGE), TRIALS_IN_A_RUN),
    "brake": (brake, TRIALS_IN_A_RUN),
    "silent": (silent, TRIALS_IN_A_RUN),
    "crc": (spoiled("crc"), TRIALS_IN_A_RUN),
    "counter": (spoiled("counter"), TRIALS_IN_A_RUN),
    "sender": (second_sender, TRIALS_IN_A_RUN),
    "recorder": (recorder_killed, KILLS_IN_A_RUN),
}
"""Each fault with its trial, and how many of them one run bears."""


def measure(names: list[str], trials: int, folder: Path) -> dict[str, Measured]:
    """Every fault `trials` times, a share of each in one run."""
    rng = random.Random(1)
    found = {name: Measured() for name in (*FAULTS, "guard", "restarted")}
    left = dict.fromkeys(names, trials)
    while any(left.values()):
        say(", ".join(f"{name} {count}" for name, count in left.items() if count) + " left")
        with tracks(folder, rng) as track:
            for name, (trial, share) in FAULTS.items():
                for _ in range(min(share, left.get(name, 0))):
                    track.engage()
                    trial(track, found[name])
                    left[name] -= 1
            for number in range(min(KILLS_IN_A_RUN, left.get("guard", 0))):
                track.engage()
                guard_killed(track, found["guard"], found["restarted"] if number < AT_ONCE else Measured())
                left["guard"] -= 1
    return found


@contextmanager
def tracks(folder: Path, rng: random.Random) -> Iterator[Track]:
    track = Track(folder, rng)
    try:
        yield track
    finally:
        track.close()


@contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that do nothing but take processor time."""
    spinners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.wait(5)


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """The data folder on a file system of 8 MB; False where this user may not mount one."""
    data = folder / "d"
    data.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(data)]
    mounted = subprocess.run(command, check=False, capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(data)], check=False, capture_output=True)


def rows_of(found: dict[str, Measured], names: list[str], trials: int) -> list[Row]:
    rows: list[Row] = []
    for name, text, bar_ms in (
        ("killed", "controller killed: first safe frame, worst", 40.0),
        ("hung", "controller hung (SIGSTOP): first safe frame, worst", 40.0),
        ("nan", "NaN sent: next frame, worst", PERIOD_MS),
        ("range", "out-of-range command sent: next frame, worst", PERIOD_MS),
        ("brake", "driver brakes: first frame that releases, worst", PERIOD_MS + STEP_MS),
        ("silent", "MOTION silent: first safe frame after its last one, worst", 40.0),
        ("crc", "MOTION with wrong CRC: first safe frame after the first bad one, worst", 40.0),
        ("counter", "MOTION with frozen counter: first safe frame after the first repeated one, worst", 40.0),
        ("sender", "second sender: last frame of the bridge after its frame, worst", PERIOD_MS),
        ("guard", "guard killed: control units have let go, worst", 100.0),
    ):
        if name in names:
            rows += time_rows(text, found[name], bar_ms, trials)
    if "guard" in names:
        restarted = found["restarted"]
        rows += time_rows("guard killed: it has started again, worst", restarted, 300.0, len(restarted.ms))
        rows.append(exactly("guard killed: frames that it sent by itself then", sum(restarted.counts), 0, "frames"))
    for name, text, bar in (
        ("nan", "NaN sent: frames outside the envelope", 0),
        ("range", "out-of-range command sent: frames outside the envelope", 0),
        ("brake", "driver brakes: periods in which the bridge still steered, worst", 1),
        ("crc", "MOTION with wrong CRC: periods after the third bad frame without reaction, worst", 1),
        ("counter", "MOTION with frozen counter: periods after the third without reaction, worst", 1),
        ("sender", "second sender: periods of the bridge after its frame, worst", 1),
        ("recorder", "recorder killed: periods that were not as before", 0),
        ("disk", "disk full: periods that were not as before", 0),
    ):
        if name in names and found[name].counts:
            rows.append(at_most(text, max(found[name].counts), bar, "periods" if "periods" in text else "frames"))
    return rows


def time_rows(text: str, measured: Measured, bar_ms: float, trials: int) -> list[Row]:
    good = len(measured.ms) == trials and not measured.missed
    worst = max(measured.ms) if measured.ms else None
    row = at_most(f"{text} of {len(measured.ms)}", worst, bar_ms, "ms")
    rows = [row if good else Row(row.name, row.value, row.unit, row.bar, False)]
    if measured.ms:
        ordered = sorted(measured.ms)
        middle = ordered[len(ordered) // 2]
        rows.append(Row(f"{text.removesuffix(', worst')}, p50", middle, "ms", "shown", True))
    return rows


def healthy_rows(seconds: float, log: Path | None) -> list[Row]:
    """The reference vehicle, with its camera and network, under the same load; with those drives that `log` holds."""
    command = [sys.executable, "-m", "cardan.runtime.cli.main", "up", "--for", f"{seconds:g}s", "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=seconds + 60, check=False)
    drives = [json.loads(done.stdout) | {"load": os.getloadavg()[1]}]
    if log is not None:
        with log.open("a") as file:
            file.write(json.dumps(drives[0]) + "\n")
        drives = [json.loads(line) for line in log.read_text().splitlines()]
    hours = sum(drive["duration_s"] for drive in drives) / 3600
    errors = [drive["lane_error_m"]["max"] for drive in drives if drive["lane_error_m"]]
    return [
        at_most("healthy driving: drives whose verdict is not ok", sum(d["verdict"] != "ok" for d in drives), 0, ""),
        exactly("healthy driving: safe stops", sum(drive["safe_stops"] for drive in drives), 0, "stops"),
        Row("healthy driving: together", hours, "h", f">= {HEALTHY_H:g}", hours >= HEALTHY_H),
        Row("healthy driving: drives", len(drives), "", "shown", True),
        Row("healthy driving: messages", sum(drive["published"] for drive in drives), "", "shown", True),
        Row("healthy driving: messages lost", sum(drive["lost"] for drive in drives), "", "shown", True),
        Row("healthy driving: distance to the lane centre, max", max(errors), "m", "shown", True),
        Row("healthy driving: load of the computer, highest", max(d["load"] for d in drives), "", "shown", True),
    ]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200, metavar="N", help="of each fault (default: 200)")
    parser.add_argument("--only", default="", metavar="NAMES", help=f"of {', '.join([*FAULTS, 'guard', 'disk'])}")
    parser.add_argument("--healthy", type=float, default=0.0, metavar="SECONDS", help="only drive, for so long")
    parser.add_argument("--log", type=Path, metavar="FILE", help="with --healthy: add this drive to those in FILE")
    parser.add_argument("--quick", action="store_true", help="3 trials, within 50 s")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # nothing of ours may be left over
    names = arguments.only.split(",") if arguments.only else [*FAULTS, "guard", "disk"]
    trials = 3 if arguments.quick else arguments.trials
    with folders() as folder, busy(BUSY):
        if arguments.healthy:
            return report("healthy", healthy_rows(arguments.healthy, arguments.log), as_json=arguments.json)
        policy = take_realtime()
        gc.disable()
        say(f"{BUSY} busy processes, {policy}")
        found = measure([name for name in names if name != "disk"], trials, folder)
        found["disk"] = Measured()
        if "disk" in names:
            with small_disk(folder) as mounted:
                if mounted:
                    with tracks(folder, random.Random(2)) as track:
                        track.engage()
                        disk_full(track, found["disk"], 3.0 if arguments.quick else 20.0)
        rows = rows_of(found, names, trials)
    return report("faults", rows, as_json=arguments.json)


if __name__ == "__main__":
    sys.exit(main())
