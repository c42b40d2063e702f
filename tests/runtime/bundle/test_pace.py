"""A collector rests until its share of a processor is kept, and not for ever."""

from __future__ import annotations

import pytest

from cardan.runtime.bundle import pace as pacing
from cardan.runtime.bundle.pace import Pace, used_ns
from cardan.runtime.clock import FakeClock, ns


def test_it_rests_until_the_share_is_kept_and_at_most_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    used_s, clock = 5.0, FakeClock()
    monkeypatch.setattr(pacing, "used_ns", lambda: ns(used_s))
    began_ns, pace = clock.now_ns(), Pace(clock)
    for used_s, waited_s in ((5.0, 0.0), (5.1, 1.0), (5.1, 1.0), (5.5, 5.0), (7.0, 9.0), (9.0, 9.0)):  # noqa: B007
        pace.rest()
        assert clock.now_ns() - began_ns == pytest.approx(ns(waited_s), abs=2)


def test_processor_time_only_grows() -> None:
    before = used_ns()
    sum(range(200_000))
    assert used_ns() >= before
