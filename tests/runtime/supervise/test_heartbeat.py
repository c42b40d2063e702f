"""The supervisor's heartbeat as the guardian reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cardan.runtime.clock import NS_PER_S, ns
from cardan.runtime.plan import NodePlan, Plan
from cardan.runtime.profile import Profile
from cardan.runtime.supervise.heartbeat import HEARTBEAT_AT, LIMIT_NS, LOOK_NS, START_LIMIT_NS, Heartbeat
from cardan.runtime.vitals import WORD, Vitals, create_vitals


class Watched:
    """A page of vitals, its heartbeat, and a clock."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "vitals"
        self.now_ns = 5 * NS_PER_S
        self.heartbeat = Heartbeat(self.path, self.now_ns)

    def beat(self) -> None:
        page = bytearray(self.path.read_bytes() if self.path.exists() else bytes(64))
        page[HEARTBEAT_AT : HEARTBEAT_AT + WORD] = self.now_ns.to_bytes(WORD, "little")
        self.path.write_bytes(page)

    def look(self, after_ns: int = LOOK_NS) -> bool:
        self.now_ns += after_ns
        return self.heartbeat.is_silent(self.now_ns)

    def silent_after_ns(self) -> int:
        start_ns = self.now_ns
        while not self.look():
            assert self.now_ns - start_ns < 10 * START_LIMIT_NS
        return self.now_ns - start_ns


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_the_offset_is_that_of_the_vitals(tmp_path: Path) -> None:
    node = NodePlan(name="n", index=0, use="m:C")
    plan = Plan(
        name="t",
        manifest="",
        manifest_sha256="",
        profile=Profile(name="t"),
        envelope={},
        envelope_hash="",
        nodes=[node],
    )
    page = create_vitals(tmp_path / "vitals", plan, now_ns=1, wall_ns=2)
    page.words[Vitals.HEARTBEAT_NS] = 77
    page.close()
    assert (tmp_path / "vitals").read_bytes()[HEARTBEAT_AT : HEARTBEAT_AT + WORD] == (77).to_bytes(WORD, "little")


def test_a_supervisor_that_beats_is_alive(watched: Watched) -> None:
    for _ in range(100):
        watched.beat()
        assert not watched.look()


def test_a_supervisor_that_stops_beating_is_silent_after_three_seconds(watched: Watched) -> None:
    watched.beat()
    assert not watched.look()
    assert LIMIT_NS < watched.silent_after_ns() <= LIMIT_NS + LOOK_NS


def test_a_supervisor_that_never_beats_has_a_minute(watched: Watched) -> None:
    assert START_LIMIT_NS < watched.silent_after_ns() <= START_LIMIT_NS + LOOK_NS


def test_a_computer_that_stood_still_is_not_the_supervisors_fault(watched: Watched) -> None:
    watched.beat()
    assert not watched.look()
    assert not watched.look(ns(3600))
    watched.beat()
    assert not watched.look()
    assert watched.heartbeat.silent_ns == 0
