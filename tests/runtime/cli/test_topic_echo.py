"""`cardan topic echo`: messages as they come, and the last ones of a publisher that says nothing any more."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from cardan.runtime.bus.codec import MessageEncoder
from cardan.runtime.bus.slots import SlotPool
from cardan.runtime.cli.exits import NoDataError
from cardan.runtime.cli.main import main
from cardan.runtime.cli.runs import find_run
from cardan.runtime.cli.tap import Tap, last_messages, newest_or_none
from cardan.runtime.cli.topic_echo import Echo
from cardan.runtime.clock import FakeClock
from cardan.runtime.messages import CanFrame, CanFrames
from cardan.runtime.plan import Plan, write_plan
from cardan.runtime.run import RunPaths, keep_last
from cardan.runtime.vitals import NodeState, NodeVitals, Vitals


class Run(Protocol):
    """The fixture `active`."""

    paths: RunPaths

    def make_ring(self, topic: str, data_bytes: int = 1 << 16) -> None: ...
    def send(self, topic: str, value: Any = None, *, sent_ns: int = 1, origin_ns: int = 1) -> None: ...
    def end(self) -> None: ...


class Busy(FakeClock):
    """While somebody sleeps, something happens."""

    def __init__(self, happens: Callable[[], None]) -> None:
        super().__init__()
        self._happens = happens

    def sleep_until_ns(self, deadline_ns: int, *, spin: bool = False) -> None:
        super().sleep_until_ns(deadline_ns, spin=spin)
        self._happens()


@pytest.fixture
def tap(active: Run) -> Iterator[Tap]:
    active.make_ring("control/command")
    opened = Tap(find_run(None), "control/command", FakeClock())
    yield opened
    opened.close()


def test_the_last_messages_are_there_oldest_first(active: Run, capsys: pytest.CaptureFixture[str]) -> None:
    for cycle in range(9):
        active.send("control/command", {"cycle": cycle}, sent_ns=cycle + 1)
    assert main(["topic", "echo", "control/command", "--last", "3", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["seq"], line["sent_ns"], line["value"]["cycle"]) for line in lines] == [
        (6, 7, 6),
        (7, 8, 7),
        (8, 9, 8),
    ]


@pytest.mark.parametrize("state", [NodeState.HUNG, NodeState.BACKING_OFF, NodeState.FAILED])
def test_the_last_messages_of_a_publisher_that_is_away_are_shown_and_named_so(
    active: Run, driven: Vitals, state: NodeState, capsys: pytest.CaptureFixture[str]
) -> None:
    active.send("control/command", {"cycle": 41})
    driven.nodes["control"].words[NodeVitals.STATE] = state
    assert main(["topic", "echo", "control/command", "--last", "5"]) == 0
    output = capsys.readouterr()
    assert "  cycle: 41" in output.out
    word = state.name.lower().replace("_", "-")
    assert output.err == f"control is {word}; these are its last messages\n"


def test_messages_are_printed_as_they_come_and_not_those_before(
    active: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    active.send("control/command", {"cycle": 0})
    clock = Busy(lambda: active.send("control/command", {"cycle": 1}))
    assert Echo(find_run(None), "control/command", clock, as_json=True).follow(4, None) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["seq"] for line in lines] == [1, 2, 3, 4]


def test_a_silent_topic_is_said_to_be_silent_with_its_last_sign_of_life(
    active: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = FakeClock()
    active.send("control/command", {"cycle": 0}, sent_ns=clock.now_ns() - 7 * 10**9)
    echo = Echo(find_run(None), "control/command", clock, as_json=True)
    with pytest.raises(NoDataError, match="nothing arrived on control/command") as caught:
        echo.follow(None, 3.0)
    assert "the last one was sent 10.0 s ago" in str(caught.value)
    quiet, hint = capsys.readouterr().err.splitlines()
    assert quiet == "nothing on control/command for 2 s; still waiting"
    assert hint.startswith("  hint: the last one was sent 9.")
    assert hint.endswith(" s ago: `cardan topic echo control/command --last 1`")


def test_echo_ends_with_the_run(active: Run) -> None:
    found = find_run(None)
    active.send("control/command", {"cycle": 0})
    active.end()
    with pytest.raises(NoDataError, match="nothing arrived"):
        Echo(found, "control/command", FakeClock(), as_json=True).follow(None, None)


def test_a_tap_that_is_overtaken_counts_what_it_missed(active: Run, tap: Tap) -> None:
    for cycle in range(3000):
        active.send("control/command", {"cycle": cycle})
    taken = tap.take()
    assert taken[-1].header.seq == 2999
    assert tap.missed + len(taken) == 3000
    assert 0 < len(taken) < 3000


def test_a_topic_over_zeromq_is_subscribed_to_and_keeps_nothing(
    active: Run, plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    write_plan(replace(plan, bus="zmq"), active.paths.plan)
    assert main(["topic", "echo", "control/command", "--last", "1"]) == 3
    assert "goes over ZeroMQ, which keeps no messages" in capsys.readouterr().err
    assert main(["topic", "echo", "control/command", "--for", "20ms"]) == 3


def test_a_long_message_is_fetched_from_where_it_lies_as_long_as_it_is_there(
    active: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = SlotPool(active.paths.frames, "bridge.verdict.1", slots=2)
    encoder = MessageEncoder(CanFrames, pool, spill_from=10)
    for number in range(3):
        frames = CanFrames(frames=[CanFrame("long", number, b"", 1)])
        active.send("bridge/verdict", encoder.encode(frames))
    assert main(["topic", "echo", "bridge/verdict", "--last", "3", "--json"]) == 0
    values = [json.loads(line)["value"] for line in capsys.readouterr().out.splitlines()]
    assert values[0].startswith("a message of ")  # two slots: the third message took the place of the first
    assert [value["frames"][0][:2] for value in values[1:]] == [["long", 1], ["long", 2]]
    pool.close()
    assert main(["topic", "echo", "bridge/verdict", "--last", "1"]) == 0
    assert "bytes in shared memory" in capsys.readouterr().out


def test_nothing_ever_sent_is_no_data(active: Run, capsys: pytest.CaptureFixture[str]) -> None:
    active.make_ring("control/command")
    assert main(["topic", "echo", "control/command", "--last", "1"]) == 3
    assert "nothing was ever sent on control/command" in capsys.readouterr().err
    assert newest_or_none(find_run(None), "control/command", FakeClock()) is None


def test_looking_back_and_ahead_at_once_is_refused(active: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["topic", "echo", "control/command", "--last", "1", "--count", "2"]) == 2
    assert "--last shows what is there and ends" in capsys.readouterr().err


def test_a_damaged_ring_is_told_in_a_line(active: Run, capsys: pytest.CaptureFixture[str]) -> None:
    (active.paths.bus / "control.command.ring").write_bytes(b"\0" * 5000)
    assert main(["topic", "echo", "control/command", "--last", "1"]) == 1
    assert "is no ring of this release" in capsys.readouterr().err


@pytest.fixture
def kept(active: Run) -> Path:
    """The ring of control/command as it is kept of a run, with one message."""
    active.send("control/command", {"cycle": 5})
    keep_last(active.paths)
    return active.paths.last_bus / "control.command.ring"


def test_the_rings_of_a_run_that_has_ended_are_read_where_they_were_kept(active: Run, kept: Path) -> None:
    active.end()
    found = find_run(None)
    assert not found.live
    assert [heard.header.seq for heard in last_messages(found, "control/command", 9, FakeClock())] == [0]
    with pytest.raises(NoDataError, match="no message of camera/frame was kept"):
        last_messages(found, "camera/frame", 9, FakeClock())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_ring_of_the_last_run_is_told_in_a_line_never_in_a_traceback(
    data: st.DataObject, active: Run, kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    active.end()
    whole = kept.read_bytes()
    place = data.draw(st.integers(0, 64) | st.integers(0, len(whole) - 64))
    damage = data.draw(st.binary(min_size=1, max_size=64))
    cut_at = data.draw(st.none() | st.integers(0, len(whole)))
    kept.write_bytes((whole[:place] + damage + whole[place + len(damage) :])[:cut_at])
    try:
        for words in (
            ["topic", "echo", "control/command", "--last", "9"],
            ["topic", "info", "control/command"],
            ["trace"],
        ):
            assert main(words) in (0, 1, 3)
        assert "unexpectedly" not in capsys.readouterr().err
    finally:
        kept.write_bytes(whole)
