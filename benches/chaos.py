"""Kill nodes, supervisors and guardians at random; everything recovers or stops as declared, and nothing is left over.

python benches/chaos.py                      # 1000 kills, within 5 minutes
python benches/chaos.py --quick              # 120 kills
python benches/chaos.py --kills N --seed S   # another number, or a run again

SIGKILL, SIGSEGV and SIGSTOP go to random nodes of a vehicle of light nodes, also to several at once and to nodes that
are just starting; now and then the supervisor or the guardian gets one, which ends the run, and the next run begins.
After SIGSTOP to a supervisor its guardian notices by itself, or gets the signal of a service manager's watchdog that
was not fed (SIGABRT).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from light import LightRun, folders, node, plan_of
from rows import Row, at_most, exactly, report

from cardan.runtime.plan import Plan
from cardan.runtime.run import new_run
from cardan.runtime.supervise.delegation import find_delegation
from cardan.runtime.vitals import NodeState, NodeVitals, RunState

SIGNALS = (signal.SIGKILL, signal.SIGSEGV, signal.SIGSTOP)
KILLS_IN_A_RUN = (20, 60)
PAUSE_S = (0.0, 0.12)
BACK_WITHIN_S = 12.0
"""The longest back-off is 6 s, a start may take 2 s until it counts as late, and the machine may be loaded."""
GONE_WITHIN_S = 15.0
"""A hung supervisor is given up after 3 s of its guardian's looks, and has 2 s to stop in order; on a busy machine the
looks themselves come late."""
SEVERAL = 0.2
"""How often the next kill follows at once."""


def chaos_plan() -> Plan:
    """Two publishers, real-time and ordinary readers, and two nodes that may restart twice only."""
    settings: dict[str, Any] = {"max_restarts": 100_000, "start_timeout_s": 2.0}
    few: dict[str, Any] = {"max_restarts": 2, "window_s": 600.0, "start_timeout_s": 2.0}
    readers = [node(f"sink{n}", "Sink", reads="source/tick", realtime=n < 3, **settings) for n in range(6)]
    return plan_of(
        [
            node("source", "Source", sends="tick", critical=True, **settings),
            node("eye", "Eye", sends="frame", **settings | {"rate_hz": 50.0}),
            *readers,
            node("viewer", "Viewer", reads="eye/frame", **settings | {"rate_hz": 50.0}),
            node("spare", "Sink", reads="source/tick", **few),
            node("heart", "Sink", reads="source/tick", critical=True, **few),
        ]
    )


@dataclass
class Tally:
    """What happened so far."""

    kills: Counter[str] = field(default_factory=Counter)
    recovered: int = 0
    gave_up: int = 0
    runs: int = 0
    back_ms: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    growth: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        return sum(self.kills.values())


@dataclass(frozen=True)
class Holdings:
    """What a run holds of the machine."""

    processes: int
    supervisor_descriptors: int
    node_descriptors: int
    sockets: int
    shared_files: int
    control_groups: int

    @classmethod
    def of(cls, run: LightRun) -> Holdings:
        """Counted from outside, while every node runs."""
        guardian, supervisor = run.process.pid, run.supervisor_pid
        nodes = [run.pid(item.name) for item in run.plan.nodes if run.pid(item.name)]
        return cls(
            processes=len(children(guardian)) + len(children(supervisor)) - len(nodes),
            supervisor_descriptors=descriptors(guardian) + descriptors(supervisor) - 3 * len(nodes),
            node_descriptors=sum(map(descriptors, nodes)) if len(nodes) == len(run.plan.nodes) else 0,
            sockets=len(list(run.paths.bus.glob("*.sock"))),
            shared_files=sum(len(files) for _, _, files in os.walk(run.paths.run_dir)),
            control_groups=sum(1 for _ in os.walk(groups_of(run))),
        )


def groups_of(run: LightRun) -> Path:
    """The control groups of a run; a folder that is not there where it has none."""
    return (find_delegation().folder or Path("/nowhere")) / f"cardan-{run.paths.run_id}"


def children(pid: int) -> list[int]:
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += map(int, path.read_text().split())
    return found


def descriptors(pid: int) -> int:
    with suppress(OSError):
        return len(os.listdir(f"/proc/{pid}/fd"))
    return 0


def settled_holdings(run: LightRun) -> Holdings:
    """What a run holds once it is the same twice, 0.1 s apart: after the start connections still come in."""
    last = Holdings.of(run)
    while True:
        time.sleep(0.1)
        last, before = Holdings.of(run), last
        if last == before:
            return last


def opened(pid: int) -> list[str]:
    """What the descriptors of a process stand for, without the numbers of sockets and pipes."""
    names = []
    with suppress(OSError):
        names = [os.readlink(f"/proc/{pid}/fd/{number}").partition(":[")[0] for number in os.listdir(f"/proc/{pid}/fd")]
    return sorted(names)


class Havoc:
    """One run of the vehicle under fire."""

    def __init__(self, folder: Path, dice: random.Random, tally: Tally) -> None:
        self._dice = dice
        self._tally = tally
        self._run = LightRun(chaos_plan(), new_run(folder / "d", "run"))
        self._names = [item.name for item in self._run.plan.nodes]
        self._limits = {item.name: item.max_restarts for item in self._run.plan.nodes}
        self._killed: Counter[str] = Counter()
        self._pending: dict[str, int] = {}
        self._last_pid: dict[str, int] = {}
        self._pids: set[int] = set()
        tally.runs += 1
        self._run.wait_for_inputs()
        self._before, self._open_before = settled_holdings(self._run), self._open()

    def fire(self, kills: int) -> None:
        """So many kills of nodes."""
        while kills > 0 and not self._tally.wrong:
            kills -= self._kill_a_node()
            if self._dice.random() > SEVERAL:
                self._pause(self._dice.uniform(*PAUSE_S))

    def _kill_a_node(self) -> int:
        name = self._dice.choice(self._names)
        pid, number = self._run.pid(name), self._dice.choice(SIGNALS)
        stopped = self._pending.get(name) and self._last_pid.get(name) == pid
        if not pid or stopped:
            self._pause(0.005)
            return 0
        begin_ns = time.monotonic_ns()
        with suppress(ProcessLookupError):
            os.kill(pid, number)
            self._pids.add(pid)
            self._last_pid[name], self._pending[name] = pid, begin_ns
            self._killed[name] += 1
            self._tally.kills[number.name] += 1
            return 1
        return 0

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while True:
            self._look()
            if time.monotonic() >= end:
                return
            time.sleep(0.001)

    def _look(self) -> None:
        """Strike those that are back off the list; one that stays away is wrong."""
        for name, begin_ns in list(self._pending.items()):
            if self._is_settled(name, begin_ns):
                del self._pending[name]
            elif time.monotonic_ns() - begin_ns > BACK_WITHIN_S * 1e9:
                del self._pending[name]
                self._wrong(f"{name} is {self._run.vitals.nodes[name].state.name}, not back after {BACK_WITHIN_S:g} s")

    def _is_settled(self, name: str, begin_ns: int) -> bool:
        run = self._run
        if run.vitals.nodes[name].state is NodeState.FAILED:
            if self._killed[name] <= self._limits[name]:
                self._wrong(f"{name} was given up after {self._killed[name]} kills")
            self._tally.gave_up += 1
            return True
        back = run.word(name, NodeVitals.STARTED_NS) > begin_ns and run.runs(name)
        if back and run.pid(name) != self._last_pid[name]:
            self._tally.recovered += 1
            self._tally.back_ms.append((time.monotonic_ns() - begin_ns) / 1e6)
            return True
        return False

    def come_to_rest(self) -> None:
        """Wait for all that were killed, and compare what the run holds with what it held."""
        while self._pending and not self._tally.wrong:
            self._pause(0.01)
        failed = {name for name in self._names if self._run.vitals.nodes[name].state is NodeState.FAILED}
        self._check_states(failed)
        self._check_starts(failed)
        self._check_holdings()

    def _check_states(self, failed: set[str]) -> None:
        expected = RunState.FAILED if "heart" in failed else RunState.DEGRADED if failed else RunState.RUNNING
        with_time = lambda: self._run.vitals.run_state is expected  # noqa: E731
        if not holds(with_time, 2.0):
            self._wrong(f"the run is {self._run.vitals.run_state.name}, expected {expected.name}; failed: {failed}")

    def _check_starts(self, failed: set[str]) -> None:
        for name in self._names:
            expected = self._killed[name] + (0 if name in failed else 1)
            starts = self._run.word(name, NodeVitals.STARTS)
            if starts != expected:
                story = f"{self._story(name)}; {self._run.vitals.nodes[name].fault or 'no fault'}"
                self._wrong(f"{name} started {starts} times after {self._killed[name]} kills: {story}")

    def _story(self, name: str) -> str:
        """What the supervisor noted about the ends of a node."""
        lines = map(json.loads, (self._run.paths.logs / "supervisor.log").read_text().splitlines())
        ends = ("node-crash", "node-exit", "node-hung", "node-late", "node-start-failed")
        return ", ".join(line["text"] for line in lines if line["node"] == name and line["code"] in ends)

    def _check_holdings(self) -> None:
        def grown() -> Counter[str]:
            now = Holdings.of(self._run)
            names = Holdings.__dataclass_fields__
            return Counter({name: max(0, getattr(now, name) - getattr(self._before, name)) for name in names})

        if not holds(lambda: not +grown(), 3.0):
            names = [name for name, now in self._open().items() if len(now) > len(self._open_before[name])]
            print(
                f"grown: {dict(+grown())}: {[(n, self._open()[n], self._open_before[n]) for n in names]}",
                file=sys.stderr,
            )
        self._tally.growth += grown()

    def _open(self) -> dict[str, list[str]]:
        """What each node has open."""
        return {name: opened(self._run.pid(name)) for name in self._names}

    def end(self) -> None:
        """End the run in a random way; nothing of it may be left."""
        run, (how, blow) = self._run, self._dice.choice(ENDS)
        pids = {run.process.pid, run.supervisor_pid, *children(run.supervisor_pid), *self._pids}
        failed = run.vitals.run_state is RunState.FAILED
        self._tally.kills[how] += 1
        blow(run)
        left = [run.paths.run_dir, groups_of(run)]
        gone = holds(lambda: not any(path.exists() for path in left) and not any(map(alive, pids)), GONE_WITHIN_S)
        if run.process.poll() is None and not holds(lambda: run.process.poll() is not None, 1.0):
            run.process.kill()
        exit_code = run.process.wait()
        if not gone:
            alive_still, there_still = (
                [pid for pid in pids if alive(pid)],
                [str(path) for path in left if path.exists()],
            )
            self._wrong(f"after {how}: left are processes {alive_still} and {there_still}")
        if how == ORDERLY and exit_code != int(failed):
            self._wrong(f"after {how}: exit code {exit_code}, expected {int(failed)}")
        run.vitals.close()

    def _wrong(self, what: str) -> None:
        self._tally.wrong.append(f"run {self._tally.runs}, kill {self._tally.total}: {what}")


def holds(what: Callable[[], object], within_s: float) -> bool:
    """True as soon as it is so; False when it is not in time."""
    deadline = time.monotonic() + within_s
    while not what():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


def alive(pid: int) -> bool:
    """True for a process that is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _stop_and_tell(run: LightRun) -> None:
    """A hung supervisor, as a service manager sees it."""
    os.kill(run.supervisor_pid, signal.SIGSTOP)
    time.sleep(0.1)
    os.kill(run.process.pid, signal.SIGABRT)


ORDERLY = "orderly stop"
ENDS: list[tuple[str, Callable[[LightRun], None]]] = [
    ("SIGKILL to the supervisor", lambda run: os.kill(run.supervisor_pid, signal.SIGKILL)),
    ("SIGSEGV to the supervisor", lambda run: os.kill(run.supervisor_pid, signal.SIGSEGV)),
    ("SIGSTOP to the supervisor", lambda run: os.kill(run.supervisor_pid, signal.SIGSTOP)),
    ("SIGSTOP to the supervisor, SIGABRT to the guardian", _stop_and_tell),
    ("SIGKILL to the guardian", lambda run: os.kill(run.process.pid, signal.SIGKILL)),
    (ORDERLY, lambda run: os.kill(run.process.pid, signal.SIGTERM)),
]


def wreak(kills: int, seed: int, folder: Path) -> Tally:
    """Run after run until so many signals are spent, or something is wrong."""
    dice, tally = random.Random(seed), Tally()
    begin = time.monotonic()
    while tally.total < kills and not tally.wrong:
        havoc = Havoc(folder, dice, tally)
        try:
            havoc.fire(min(kills - tally.total - 1, dice.randint(*KILLS_IN_A_RUN)))
            if dice.random() < 0.6:
                havoc.come_to_rest()
        finally:
            havoc.end()
        seconds = time.monotonic() - begin
        print(f"{tally.total:5} kills, {tally.runs} runs, {seconds:.0f} s {tally.wrong or ''}", file=sys.stderr)
    return tally


def rows_of(tally: Tally, left_over: int, seconds: float) -> list[Row]:
    """The figures of all runs together."""
    wrong = "; ".join(tally.wrong) or "none"
    ordered = sorted(tally.back_ms) or [0.0]
    rows = [
        exactly(f"{tally.total} kills in {tally.runs} runs: not as declared ({wrong})", len(tally.wrong), 0, "kills"),
        Row("recovered", tally.recovered, "nodes", "shown", True),
        Row("given up, as declared", tally.gave_up, "nodes", "shown", True),
        Row("back after any signal, back-off included, p50", round(statistics.median(ordered), 1), "ms", "shown", True),
        Row("back after any signal, back-off included, worst", round(ordered[-1], 1), "ms", "shown", True),
        exactly("files of ended runs left in shared memory", left_over, 0, "files"),
        at_most("seconds for 1000 kills", seconds * 1000 / max(1, tally.total), 300, "s"),
    ]
    names = Holdings.__dataclass_fields__
    return rows + [exactly(f"growth of {name.replace('_', ' ')}", tally.growth[name], 0, "") for name in names]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="120 kills")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--kills", type=int, help="how many")
    parser.add_argument("--seed", type=int, default=1, help="the same choices again")
    arguments = parser.parse_args()
    kills = arguments.kills or (120 if arguments.quick else 1000)
    with folders() as folder:
        begin = time.monotonic()
        tally = wreak(kills, arguments.seed, folder)
        left_over = sum(len(files) for _, _, files in os.walk(folder / "r"))
        rows = rows_of(tally, left_over, time.monotonic() - begin)
    return report("chaos", rows, as_json=arguments.json)


if __name__ == "__main__":
    sys.exit(main())
