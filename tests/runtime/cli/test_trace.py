"""`cardan trace`: the way of each frame hop by hop, and a trace in the format that ui.perfetto.dev reads."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from cardan.runtime.cli.main import main
from cardan.runtime.cli.runs import find_run
from cardan.runtime.cli.trace_data import Collected, Sent, collect_last, collect_next, read_events
from cardan.runtime.cli.trace_export import taken, trace_json
from cardan.runtime.cli.trace_hops import follow
from cardan.runtime.cli.trace_path import paths_of
from cardan.runtime.clock import FakeClock
from cardan.runtime.plan import InputPlan, Plan, write_plan
from cardan.runtime.run import RunPaths
from cardan.runtime.step_log import Step
from cardan.runtime.supervise.events import Code, EventLog
from cardan.runtime.vitals import NodeVitals, Vitals

MS = 1_000_000
START_NS = 1000 * MS
WAY = ["camera/frame", "control/command", "bridge/sent"]


class Run(Protocol):
    """The fixture `active`."""

    plan: Plan
    paths: RunPaths

    def make_ring(self, topic: str) -> None: ...
    def end(self) -> None: ...
    def send(self, topic: str, value: Any = None, *, sent_ns: int = 1, origin_ns: int = 1) -> None: ...


def sent(topic: str, at_ms: float, origin_ms: float = 0.0, seq: int = 0) -> Sent:
    return Sent(topic, seq, 1, START_NS + round(at_ms * MS), START_NS + round(origin_ms * MS), True, 100)


def step(number: int, start_ms: float, end_ms: float) -> Step:
    return Step(number, START_NS + round(start_ms * MS), START_NS + round(end_ms * MS))


def drive(frames: int = 3) -> Collected:
    """A camera every 50 ms that takes 8 ms, control and bridge every 10 ms."""
    commands = [sent("control/command", 10 * n + 0.5, 50 * ((n - 1) // 5), n) for n in range(1, 5 * frames)]
    return Collected(
        START_NS,
        START_NS + 50 * frames * MS,
        steps={
            "camera": [step(n, 50 * n, 50 * n + 8) for n in range(frames)],
            "control": [step(n, 10 * n, 10 * n + 1) for n in range(5 * frames)],
            "bridge": [step(n, 10 * n + 2, 10 * n + 3) for n in range(5 * frames)],
        },
        messages={
            "camera/frame": [sent("camera/frame", 50 * n + 7.5, 50 * n, n) for n in range(frames)],
            "control/command": commands,
            "bridge/sent": [
                Sent("bridge/sent", m.seq, 1, m.sent_ns + 2 * MS, m.origin_ns, True, 100) for m in commands
            ],
        },
    )


def rows_of(plan: Plan, collected: Collected) -> list[dict[str, Any]]:
    ways = [(way, follow(way, collected.messages)) for way in paths_of(plan)]
    document = json.loads(trace_json(plan, "20260101-000000-beef", collected, ways))
    check_format(document)
    rows: list[dict[str, Any]] = document["traceEvents"]
    return rows


def check_format(document: dict[str, Any]) -> None:
    """Every rule of the Trace Event Format that the trace relies on."""
    assert isinstance(document["traceEvents"], list)
    rows = document["traceEvents"]
    for row in rows:
        assert row["ph"] in "MXisfbe"
        assert {"name", "ph", "pid", "tid", "ts"} <= row.keys()
        assert isinstance(row["pid"], int) and isinstance(row["tid"], int)
        assert row["ph"] == "M" or (row["cat"] and row["name"])
    assert [row["ts"] for row in rows] == sorted(row["ts"] for row in rows)
    named = {(row["pid"], row["tid"]) for row in rows if row["name"] == "thread_name"}
    assert {(row["pid"], row["tid"]) for row in rows if row["ph"] in "Xisf"} <= named
    _check_slices(rows)
    _check_arrows(rows)
    _check_pairs(rows)


def _check_slices(rows: list[dict[str, Any]]) -> None:
    """Slices of one track follow one another, and each instant says how far it reaches."""
    tracks = defaultdict(list)
    for row in rows:
        if row["ph"] == "X":
            assert row["dur"] >= 0
            tracks[row["tid"]].append((row["ts"], row["ts"] + row["dur"]))
        if row["ph"] == "i":
            assert row["s"] in "gpt"
    for spans in tracks.values():
        assert all(one[1] <= two[0] + 1e-6 for one, two in pairwise(spans))


def _check_arrows(rows: list[dict[str, Any]]) -> None:
    """Each arrow has one begin and one end of the same name and category, begins at an instant and ends in a slice."""
    begins = {row["id"]: row for row in rows if row["ph"] == "s"}
    ends = {row["id"]: row for row in rows if row["ph"] == "f"}
    assert begins.keys() == ends.keys()
    assert sum(row["ph"] in "sf" for row in rows) == 2 * len(begins)
    places = {(row["ph"], row["tid"], row["ts"]): at for at, row in enumerate(rows) if row["ph"] in "iX"}
    order = {id(row): at for at, row in enumerate(rows)}
    for number, begin in begins.items():
        end = ends[number]
        assert (begin["name"], begin["cat"], begin["pid"]) == (end["name"], end["cat"], end["pid"])
        assert begin["ts"] <= end["ts"]
        assert end["bp"] == "e"
        assert places["i", begin["tid"], begin["ts"]] < order[id(begin)]
        assert places["X", end["tid"], end["ts"]] < order[id(end)]


def _check_pairs(rows: list[dict[str, Any]]) -> None:
    """What begins as an overlapping slice ends, and those of one frame lie inside its whole way."""
    open_at: dict[tuple[str, str], float] = {}
    for row in rows:
        if row["ph"] in "be":
            key = row["id2"]["local"], row["name"]
            if row["ph"] == "b":
                assert key not in open_at
                open_at[key] = row["ts"]
            else:
                assert row["ts"] >= open_at.pop(key)
    assert not open_at


def test_the_way_of_a_frame_is_found_in_the_graph(plan: Plan) -> None:
    assert paths_of(plan) == [WAY]


def test_without_a_camera_the_way_begins_at_a_node_that_reads_nothing(plan: Plan) -> None:
    camera = replace(plan.nodes[0], outputs=[replace(plan.nodes[0].outputs[0], type="parts:Tick")])
    assert paths_of(replace(plan, nodes=[camera, *plan.nodes[1:]])) == [WAY]


def test_a_vehicle_without_actuators_has_no_way(plan: Plan) -> None:
    assert paths_of(replace(plan, nodes=plan.nodes[:1])) == []


def test_frames_are_followed_by_their_origin_and_the_first_message_counts() -> None:
    followed = follow(WAY, drive().messages)
    assert [frame.origin_ns for frame in followed] == [START_NS, START_NS + 50 * MS, START_NS + 100 * MS]
    first = [(time_ns - START_NS) / MS for time_ns in followed[0].sent_ns]
    assert first == [7.5, 10.5, 12.5]


def test_a_frame_that_led_to_nothing_is_not_followed() -> None:
    messages = drive().messages
    messages["control/command"] = [m for m in messages["control/command"] if m.origin_ns != START_NS]
    assert len(follow(WAY, messages)) == 2


def test_a_message_goes_to_the_first_step_that_begins_after_it() -> None:
    messages = [sent("a/b", at) for at in (1, 4, 5, 19, 31)]
    steps = [step(n, 10 * n, 10 * n + 1) for n in range(4)]
    newest = [
        ((m.sent_ns - START_NS) // MS, s.number) for m, s in taken(InputPlan(port="b", topics=["a/b"]), messages, steps)
    ]
    assert newest == [(5, 1), (19, 2)]
    queued = [s.number for _, s in taken(InputPlan(port="b", topics=["a/b"], queue=8), messages, steps)]
    assert queued == [1, 1, 1, 2]


def test_the_trace_has_a_track_for_each_node_and_arrows_from_messages_to_steps(plan: Plan) -> None:
    rows = rows_of(plan, drive())
    names = {row["tid"]: row["args"]["name"] for row in rows if row["name"] == "thread_name"}
    assert names == {1: "run", 2: "camera", 3: "control", 4: "bridge", 5: "recorder"}
    arrows = {(row["name"], names[row["tid"]]) for row in rows if row["ph"] == "f"}
    assert arrows == {("camera/frame", "control"), ("control/command", "bridge")}  # a recorder takes everything: none
    whole = [row for row in rows if row["ph"] == "b" and row["name"] == "capture to CAN"]
    assert [row["ts"] for row in whole] == [0.0, 50_000.0, 100_000.0]


def test_restarts_and_modes_of_the_supervisor_are_in_the_trace(plan: Plan, tmp_path: Path) -> None:
    clock = FakeClock(START_NS - 5 * MS)
    log = EventLog(tmp_path / "supervisor.log", clock)
    log.write(Code.RUN_MODE, mode="degraded:control", why="control is away")
    clock.advance_ns(20 * MS)
    log.write(Code.NODE_CRASH, "control", how="killed by SIGKILL")
    clock.advance_ns(20 * MS)
    log.write(Code.RUN_MODE_NORMAL, after_ms=40.0)
    log.close()
    with (tmp_path / "supervisor.log").open("a") as file:
        file.write('{"t_ns": "none"}\nno json\n[]\n{}\n')
    collected = drive()
    collected.events = read_events(tmp_path / "supervisor.log")
    assert [event.code for event in collected.events] == ["run-mode", "node-crash", "run-mode-normal"]
    rows = rows_of(plan, collected)
    mode = next(row for row in rows if row.get("cat") == "mode")
    assert (mode["name"], mode["ts"], mode["dur"]) == ("degraded:control", 0.0, 35_000.0)
    instants = [(row["name"], row["tid"], row["ts"]) for row in rows if row.get("cat") == "supervisor"]
    assert instants == [("node-crash", 3, 15_000.0), ("run-mode-normal", 1, 35_000.0)]


def test_a_step_that_has_not_ended_is_shown_up_to_the_end(plan: Plan) -> None:
    collected = drive()
    collected.unfinished = {"recorder": START_NS + 30 * MS}
    rows = rows_of(plan, collected)
    hung = [row for row in rows if row["name"] == "step that has not ended"]
    assert [(row["ts"], row["dur"], row["tid"]) for row in hung] == [(30_000.0, 120_000.0, 5)]


periods_us = st.lists(st.integers(0, 40_000), max_size=40)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    periods_us=st.fixed_dictionaries({name: periods_us for name in ("camera", "control", "bridge", "recorder")}),
    sends=st.lists(st.tuples(st.sampled_from(WAY), st.integers(0, 500), st.integers(0, 500))),
    unfinished=st.booleans(),
)
def test_whatever_happened_the_trace_keeps_the_format(
    plan: Plan, periods_us: dict[str, list[int]], sends: list[tuple[str, int, int]], unfinished: bool
) -> None:
    steps = {}
    for name, gaps in periods_us.items():
        ends_ms = [sum(gaps[: n + 1]) / 1000 for n in range(len(gaps))]
        steps[name] = [step(n, end - gap / 2000, end) for n, (end, gap) in enumerate(zip(ends_ms, gaps, strict=True))]
    messages: dict[str, list[Sent]] = {topic: [] for topic in WAY}
    for topic, at, origin in sorted(sends, key=lambda item: item[1]):
        messages[topic].append(sent(topic, at, origin))
    collected = Collected(START_NS, START_NS + 2000 * MS, steps=steps, messages=messages)
    collected.unfinished = {"camera": START_NS + 1900 * MS} if unfinished else {}
    rows_of(plan, collected)


def fill(vitals: Vitals, name: str, steps: list[Step]) -> None:
    node = vitals.nodes[name]
    for one in steps:
        node.log.note(node.words[NodeVitals.STEPS], one.start_ns, one.end_ns)
        node.words[NodeVitals.STEPS] += 1


@pytest.fixture
def driving(active: Run, driven: Vitals) -> Run:
    """The fixture `active` with what `drive` has happened in it, in rings and step logs."""
    collected = drive()
    for node in driven.nodes.values():
        node.words[NodeVitals.STEPS] = 0
    for name, steps in collected.steps.items():
        fill(driven, name, steps)
    for topic, messages in collected.messages.items():
        for message in messages:
            active.send(topic, {"seq": message.seq}, sent_ns=message.sent_ns, origin_ns=message.origin_ns)
    active.make_ring("bridge/verdict")
    return active


def test_everything_that_is_kept_becomes_a_trace(
    driving: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "trace.json"
    assert main(["trace", "--last", "24h", "--out", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "camera/frame to bridge/sent: p50 12.5 ms, p99 12.5 ms, max 12.5 ms from capture, 3 frames"
    hop = next(line.split() for line in lines if line.startswith("control/command to bridge/sent"))
    assert hop[3:] == ["2.00", "ms", "2.00", "ms", "2.00", "ms", "16", "%", "1.97", "ms", "█", "2.10", "ms"]
    assert any(line.startswith("not heard       bridge/verdict") for line in lines)
    document = json.loads(out.read_bytes())
    check_format(document)
    counts = Counter(row["ph"] for row in document["traceEvents"])
    assert counts["X"] == 33
    assert counts["s"] == 17
    assert counts["b"] == 3 * 4


def test_over_zeromq_one_is_told_to_listen(driving: Run, plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    write_plan(replace(plan, bus="zmq"), driving.paths.plan)
    assert main(["trace", "--last", "24h"]) == 0
    output = capsys.readouterr()
    assert output.out.startswith("camera/frame to bridge/sent: no frame was seen from end to end in this time\n")
    assert output.err == "messages are not kept over ZeroMQ; `cardan trace --for 5s` listens to them\n"


def test_the_same_as_one_json_document(driving: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "--last", "24h", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    (way,) = document["ways"]
    assert (way["topics"], way["frames"]) == (WAY, 3)
    assert [hop["ms"]["p50"] for hop in way["frame_hops"]] == [7.5, 3.0, 2.0]
    assert [sum(count for _, _, count in hop["histogram"]) for hop in way["frame_hops"]] == [3, 3, 3]
    assert sum(count for _, _, count in way["hops"][0]["since_capture_histogram"]) == 200
    assert document["steps"] == {"camera": 3, "control": 15, "bridge": 15, "recorder": 0}
    assert document["unheard"] == ["bridge/verdict"]


def test_only_the_last_is_shown_when_that_is_wanted(driving: Run, plan: Plan) -> None:
    clock = FakeClock(START_NS + 150 * MS)
    collected = collect_last(find_run(None), clock, 0.05)
    assert [len(collected.steps[name]) for name in ("camera", "control")] == [1, 5]
    assert len(collected.messages["camera/frame"]) == 1


def test_watching_sees_what_happens_from_now_on(driving: Run, driven: Vitals) -> None:
    class Going(FakeClock):
        """While somebody sleeps, the camera takes a step and publishes."""

        def sleep_until_ns(self, deadline_ns: int, *, spin: bool = False) -> None:
            super().sleep_until_ns(deadline_ns, spin=spin)
            now_ns = self.now_ns()
            fill(driven, "camera", [Step(0, now_ns - MS, now_ns)])
            driving.send("camera/frame", sent_ns=now_ns, origin_ns=now_ns)

    collected = collect_next(find_run(None), Going(START_NS + 200 * MS), 1.0)
    assert len(collected.messages["camera/frame"]) == 10
    assert [one.number for one in collected.steps["camera"]] == list(range(3, 13))


def test_watching_ends_with_the_run(driving: Run) -> None:
    class Ending(FakeClock):
        """While somebody sleeps, the run ends."""

        def sleep_until_ns(self, deadline_ns: int, *, spin: bool = False) -> None:
            super().sleep_until_ns(deadline_ns, spin=spin)
            driving.end()

    clock = Ending(START_NS + 200 * MS)
    collected = collect_next(find_run(None), clock, 60.0)
    assert collected.end_ns - collected.begin_ns == 100 * MS


def test_a_trace_needs_steps(active: Run, driven: Vitals, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace"]) == 3
    assert "no node has ended a step" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trace", "--for", "1s", "--last", "1s"], "--for looks ahead and --last looks back"),
        (["trace", "--last", "5"], '--last "5": expected a number and a unit'),
        (
            ["trace", "--last", "24h", "--out", "/absent/t.json"],
            "cannot write /absent/t.json: No such file or directory",
        ),
    ],
)
def test_what_cannot_be_done_is_a_line(
    driving: Run, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert said in capsys.readouterr().err
