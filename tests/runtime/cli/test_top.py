"""`cardan top` fits the terminal, and says what is wrong first."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from typing import Any

import pytest
from msgspec import structs

from cardan.runtime.can_health import CanChannelHealth
from cardan.runtime.cli.lines import Line
from cardan.runtime.cli.main import main
from cardan.runtime.cli.screen import ENTER, LEAVE
from cardan.runtime.cli.snapshot import Snapshot, Spread, take_snapshot
from cardan.runtime.cli.top_heard import Channel, Heard, Link
from cardan.runtime.cli.top_view import ROWS_OF_PARTS, render_top
from cardan.runtime.cli.view import Scene
from cardan.runtime.clock import FakeClock, ns
from cardan.runtime.histogram import BUCKETS, bucket_of
from cardan.runtime.plan import Plan
from cardan.runtime.vitals import NodeState, SeriesKind, SeriesPlan, Vitals

NOTE = "q or Ctrl-C ends this view; the vehicle goes on"


@pytest.fixture
def now(plan: Plan, driven: Vitals, clock: FakeClock) -> Snapshot:
    return take_snapshot(plan, driven, clock.now_ns())


@pytest.fixture
def scene(plan: Plan, now: Snapshot) -> Scene:
    return Scene(plan=plan, now=now, before=_a_second_ago(now), note=NOTE)


def _a_second_ago(now: Snapshot) -> Snapshot:
    nodes = [
        structs.replace(
            node,
            steps=node.steps - 100,
            series=[structs.replace(item, count=item.count - item.count // 10) for item in node.series],
        )
        for node in now.nodes
    ]
    return structs.replace(now, taken_ns=now.taken_ns - ns(1.0), nodes=nodes)


def _channel(now: Snapshot, name: str = "vehicle", trouble: str = "", age_s: float = 0.5) -> Channel:
    health = CanChannelHealth(
        channel=name,
        interface="socketcan",
        device="can0",
        trouble=trouble,
        received=1234,
        receive_dropped=0,
        ignored=0,
        malformed=0,
        error_frames=2,
        newest_error="",
        link=None,
    )
    return Channel(health, now.taken_ns - ns(age_s))


def text(lines: list[Line]) -> str:
    return "\n".join(line.text.rstrip() for line in lines)


SYNCED: dict[str, Any] = {"delivered": 90, "pending": 3, "consent": True, "problem": None}
EXPECTED = """\
small on bench  enabled                                                   10.0 s
ok
photon to CAN  p50 34.6 ms   p99 39.0 ms   max 39.0 ms   lost 0   dropped 0
BUS     vehicle       ok  1 234 frames  0 dropped  2 errors
LINK    bench         to truck  up  0 outages  0 lost
LINK    outbox        90 delivered  3 pending
NODE          STATE            RATE    AGE  STEP p99  JITTER p99  MISSED  STARTS
camera        running      100.0 Hz   5 ms   0.43 ms     0.06 ms       0       1
control       running      100.0 Hz   5 ms   0.43 ms     0.06 ms       0       1
bridge        running      100.0 Hz   5 ms   0.43 ms     0.06 ms       0       1
recorder      running      100.0 Hz   5 ms   0.43 ms     0.06 ms       0       1
TOPIC                    RATE     AGE    TOPIC                    RATE     AGE
camera/frame          20.0 Hz   10 ms    control/command      100.0 Hz   10 ms
bridge/verdict       100.0 Hz   10 ms    bridge/sent          100.0 Hz   10 ms
q or Ctrl-C ends this view; the vehicle goes on"""


def test_one_screen_has_it_all(scene: Scene, now: Snapshot) -> None:
    heard = Heard("enabled", [_channel(now)], {"bench": Link(True, "to truck  up  0 outages  0 lost")})
    assert text(render_top(scene, heard, SYNCED)) == EXPECTED


@pytest.mark.parametrize("columns", [20, 80, 200])
@pytest.mark.parametrize("rows", [8, 24, 60])
def test_it_fits_whatever_the_terminal(scene: Scene, now: Snapshot, columns: int, rows: int) -> None:
    heard = Heard("enabled", [_channel(now, f"bus{index}") for index in range(9)])
    lines = render_top(scene, heard, SYNCED, columns, rows)
    assert len(lines) <= rows and all(len(line.text) <= columns for line in lines)
    assert lines[-1].text.startswith(NOTE[: columns - 1])


def test_of_many_buses_the_bad_ones_are_shown_and_the_rest_is_counted(scene: Scene, now: Snapshot) -> None:
    channels = [_channel(now, f"bus{index}", "it is silent" if index == 7 else "") for index in range(9)]
    lines = [line for line in render_top(scene, Heard("", channels), None) if "bus" in line.text]
    assert len(lines) == ROWS_OF_PARTS
    assert lines[0].text.startswith("BUS     bus7          it is silent") and lines[0].role == "bad"
    assert lines[-1].text == "… 7 more buses"


def test_what_a_silent_reader_said_is_not_believed(scene: Scene, now: Snapshot) -> None:
    (line,) = (
        line for line in render_top(scene, Heard("", [_channel(now, age_s=9.0)]), None) if line.text.startswith("BUS")
    )
    assert "its reader is silent for 9.0 s" in line.text and line.role == "bad"


def test_an_engine_has_its_rate_its_run_time_and_what_went_wrong(scene: Scene, now: Snapshot) -> None:
    before = _with_engine(scene.before, 100, 2)
    with_engine = structs.replace(scene, now=_with_engine(now, 120, 3), before=before)
    (line,) = (line for line in render_top(with_engine, Heard(), None) if line.text.startswith("ENGINE"))
    assert line.text.startswith("ENGINE  road            20.0 Hz  run 4.") and line.text.endswith("  3 late")
    assert line.role == "warning"


def test_an_engine_that_does_not_run_is_bad(scene: Scene, now: Snapshot) -> None:
    still = structs.replace(scene, now=_with_engine(now, 100, 0), before=_with_engine(scene.before, 100, 0))
    (line,) = (line for line in render_top(still, Heard(), None) if line.text.startswith("ENGINE"))
    assert line.role == "bad" and "none late" in line.text


def _with_engine(shot: Snapshot, runs: int, late: int) -> Snapshot:
    counts = [0] * BUCKETS
    counts[bucket_of(5_000)] = runs  # millionths of a second
    base = shot.metric("safe_stops")[0]

    def metric(name: str, count: int, total: int, spread: Spread) -> Any:
        plan = SeriesPlan(kind=SeriesKind.METRIC, name=name, topic=base.plan.topic, unit="s")
        return structs.replace(base, plan=plan, count=count, sum=total, spread=spread)

    series = [
        metric("road.run", runs, runs * 5_000, Spread(counts, 5_600)),
        metric("road.released", runs, runs * 1_000_000, base.spread),
        metric("road.late", late, late * 1_000_000, base.spread),
    ]
    first, *others = shot.nodes
    return structs.replace(shot, nodes=[structs.replace(first, series=[*first.series, *series]), *others])


def test_a_troubled_node_comes_first(scene: Scene, now: Snapshot) -> None:
    nodes = [structs.replace(n, state=NodeState.HUNG) if n.plan.name == "recorder" else n for n in now.nodes]
    lines = render_top(structs.replace(scene, now=structs.replace(now, nodes=nodes)), Heard(), None, rows=9)
    assert next(line.text for line in lines if line.text.startswith(("camera", "recorder"))).startswith("recorder")


@pytest.mark.slow
def test_without_a_terminal_it_prints_one_picture(active: Any, capsys: pytest.CaptureFixture[str]) -> None:
    active.send("bridge/verdict", {"engagement": "enabled", "cause": "armed"})
    assert main(["top"]) == 0
    printed = capsys.readouterr().out
    assert "small on bench  enabled" in printed and printed.count("NODE ") == 1 and "\x1b" not in printed


def test_without_a_run_there_is_nothing_to_draw(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARDAN_RUN_DIR", str(tmp_path / "runs"))
    monkeypatch.setenv("CARDAN_DATA_DIR", str(tmp_path / "data"))
    assert main(["top"]) == 3


@pytest.mark.slow
def test_on_a_terminal_it_draws_until_q_and_gives_the_terminal_back(active: Any) -> None:
    active.send("bridge/verdict", {"engagement": "enabled", "cause": "armed"})
    master, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    before = termios.tcgetattr(terminal)
    command = [sys.executable, "-m", "cardan.runtime.cli.main", "top", "--every", "100ms"]
    environment = {**os.environ, "TERM": "xterm-256color"}
    process = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, env=environment)
    try:
        written, pressed, deadline_s = "", 0, time.monotonic() + 20.0
        while process.poll() is None or select.select([master], [], [], 0.0)[0]:
            assert time.monotonic() < deadline_s, written
            if select.select([master], [], [], 0.2)[0]:
                written += os.read(master, 65536).decode()
            if not pressed and written.count("TOPIC") >= 4:
                pressed = os.write(master, b"q")
        assert process.wait() == 0
        assert written.startswith(ENTER) and written.endswith(LEAVE)
        assert termios.tcgetattr(terminal) == before
    finally:
        process.kill()
        process.wait()
        os.close(master)
        os.close(terminal)
