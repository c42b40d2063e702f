"""What runs inside the guest: a supervised run with limits of memory and processor and an armed hardware watchdog.

It runs in a group that was handed over with its controllers, as a unit with Delegate= does. It judges nothing; the
tests beside it do. In the end the supervisor is stopped, and the watchdog has to reset the
guest: a second result would say that it did not.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from cardan.runtime.errors import CardanError
from cardan.runtime.plan import NodePlan, Plan, write_plan
from cardan.runtime.profile import Profile, RealtimeSettings, WatchdogSettings
from cardan.runtime.run import RunPaths, new_run
from cardan.runtime.vitals import NodeVitals, RunState, Vitals, open_vitals

HERE = Path(__file__).parent
HIERARCHY = Path("/sys/fs/cgroup")
UNIT = HIERARCHY / "vehicle.slice" / "vehicle.service"
WATCHDOG, WATCHDOG_S = "/dev/watchdog0", 2
LIMIT_MIB, WEIGHT, LATENCY_US = 48.0, 50, 20
PATIENCE_S = 60.0


def node(name: str, use: str, **settings: Any) -> NodePlan:
    return NodePlan(name=name, index=0, use=f"parts:{use}", sys_path=[str(HERE)], rate_hz=10.0, **settings)


def plan() -> Plan:
    nodes = [
        node("hog", "Hog", memory_max_mib=LIMIT_MIB, max_restarts=1000),
        node("light", "Idle", cpu_weight=WEIGHT),
        node("fast", "Idle", realtime=True, priority=50, critical=True),
    ]
    return Plan(
        name="guest",
        manifest="",
        manifest_sha256="",
        profile=Profile(
            name="guest",
            realtime=RealtimeSettings(wakeup_latency_us=LATENCY_US),
            watchdog=WatchdogSettings(device=WATCHDOG, timeout_s=WATCHDOG_S),
        ),
        envelope={},
        envelope_hash="",
        nodes=[replace(item, index=index) for index, item in enumerate(nodes)],
    )


def make_unit() -> None:
    """The group of a service; nobody is in it but who starts in it."""
    subprocess.run(["mount", "-t", "cgroup2", "cgroup2", str(HIERARCHY)], check=True, timeout=10)
    UNIT.mkdir(parents=True)
    for folder in (HIERARCHY, UNIT.parent):
        (folder / "cgroup.subtree_control").write_text("+memory +cpu")


def start_in_unit(paths: RunPaths) -> subprocess.Popen[bytes]:
    """The guardian as the main process of the service."""
    command = [sys.executable, "-m", "cardan.runtime.supervise", str(paths.run_dir), str(paths.data_dir)]
    enter = f'echo 0 > {UNIT}/cgroup.procs; exec "$@"'
    paths.logs.mkdir(parents=True)
    with (paths.logs / "supervisor.err").open("ab") as errors:
        return subprocess.Popen(["sh", "-c", enter, "sh", *command], stdin=subprocess.DEVNULL, stderr=errors)


class Run:
    """A supervised run of the plan."""

    def __init__(self) -> None:
        self.paths: RunPaths = new_run(Path("/run/data"), "guest")
        self.plan = plan()
        write_plan(self.plan, self.paths.plan)
        self.process: subprocess.Popen[bytes] = start_in_unit(self.paths)
        self.wait_until(self._has_vitals)
        self.vitals = open_vitals(self.paths.vitals, self.plan)
        self.wait_until(lambda: self.vitals.run_state in (RunState.RUNNING, RunState.DEGRADED))

    def _has_vitals(self) -> bool:
        with suppress(CardanError):
            open_vitals(self.paths.vitals, self.plan).close()
            return True
        return False

    def wait_until(self, what: Callable[[], object]) -> None:
        end_s = time.monotonic() + PATIENCE_S
        while not what():
            if time.monotonic() > end_s or self.process.poll() is not None:
                raise TimeoutError(self.story())
            time.sleep(0.05)

    def story(self) -> str:
        texts = [path.read_text() for path in sorted(self.paths.logs.iterdir())]
        return "\n".join(texts)[-3000:]

    def words(self, name: str, *fields: int) -> list[int]:
        return [self.vitals.nodes[name].words[field] for field in fields]

    def events(self, code: str) -> list[dict[str, Any]]:
        lines = map(json.loads, (self.paths.logs / "supervisor.log").read_text().splitlines())
        return [line for line in lines if line["code"] == code]


def a_run_with_limits() -> dict[str, Any]:
    """A node takes more than it may, twice; then the run is stopped in order."""
    run = Run()
    run.wait_until(lambda: len(run.events("node-out-of-memory")) >= 2)
    run.wait_until(lambda: run.words("fast", NodeVitals.READ_BACK_NS) != [0])
    fields = (NodeVitals.MEMORY_MAX_KIB, NodeVitals.CPU_WEIGHT, NodeVitals.STARTS, NodeVitals.IN_GROUP)
    seen = {name: run.words(name, *fields) for name in run.vitals.nodes}
    seen_more = {
        "groups": run.vitals.groups_text,
        "peak_kib": run.words("hog", NodeVitals.MEMORY_PEAK_KIB)[0],
        "kills": run.words("hog", NodeVitals.MEMORY_KILLS)[0],
        "cpu_us": run.words("light", NodeVitals.CPU_US)[0],
        "latency_us": run.vitals.words[Vitals.WAKEUP_LATENCY_US],
        "policy": run.words("fast", NodeVitals.POLICY)[0],
        "events": [event["text"] for event in run.events("node-out-of-memory")],
        "armed": [event["text"] for event in run.events("watchdog-armed")],
        "missing": [event["text"] for event in run.events("watchdog-missing")],
        "ran_s": (time.monotonic_ns() - run.vitals.words[Vitals.STARTED_NS]) / 1e9,
    }
    run.process.send_signal(signal.SIGTERM)
    exit_code = run.process.wait(PATIENCE_S)
    time.sleep(WATCHDOG_S + 1.0)  # a watchdog that is still armed resets the guest now
    return {"nodes": seen, **seen_more, "exit_code": exit_code, "left": groups()}


def groups() -> list[str]:
    """Every group of the unit."""
    found = [str(path.relative_to(UNIT)) for path in UNIT.rglob("*") if path.is_dir()]
    return sorted(re.sub(r"cardan-guest-\w+", "RUN", name) for name in found)


def make_unit_anew() -> None:
    """As a service manager does between two starts; a group with a process in it cannot be removed."""
    for folder, _, _ in os.walk(UNIT, topdown=False):
        os.rmdir(folder)
    UNIT.mkdir()


def hang_the_supervisor(run: Run) -> None:
    """Nobody feeds the watchdog from here on."""
    run.wait_until(lambda: run.events("watchdog-armed"))
    os.kill(run.vitals.words[Vitals.SUPERVISOR_PID], signal.SIGSTOP)
    time.sleep(3 * WATCHDOG_S)


def main() -> None:
    os.environ.update(CARDAN_RUN_DIR="/run/runs", CARDAN_DATA_DIR="/run/data")
    make_unit()
    try:
        seen = a_run_with_limits()
        make_unit_anew()
        second = Run()
        seen["while it runs"] = groups()
    except Exception:  # the test shows it
        seen, second = {"failed": traceback.format_exc()}, None
    print("CARDAN-RESULT " + json.dumps({"limits": seen}), flush=True)
    if second is not None:
        hang_the_supervisor(second)
        print('CARDAN-RESULT "the watchdog did not reset the guest"', flush=True)


if __name__ == "__main__":
    main()
