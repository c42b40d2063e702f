"""A collector rests until its share of a processor is kept, and not for ever."""

from __future__ import annotations

import pytest

from cardan.runtime.bundle import pace as pacing
from cardan.runtime.bundle.pace import Pace, used_ns
from cardan.runtime.clock import FakeClock, ns


def test_it_rests_until_the_share_is_kept_and_at_most_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    used_s, clock = 0.0, FakeClock()
    monkeypatch.setattr(pacing, "used_ns", lambda: ns(used_s))
    began_ns = clock.now_ns()
    pace = Pace(clock, began_ns, share=0.1, longest_ns=ns(9.0))
    for used_s, more_s, waited_s in (  # noqa: B007
        (0.0, 0.0, 0.0),
        (0.1, 0.0, 1.0),
        (0.1, 0.1, 2.0),
        (0.1, 0.0, 2.0),
        (0.5, 0.0, 5.0),
        (0.7, 1.3, 9.0),
        (9.0, 0.0, 9.0),
    ):
        pace.rest(ns(more_s))
        assert clock.now_ns() - began_ns == pytest.approx(ns(waited_s), abs=2)


def test_processor_time_only_grows() -> None:
    before = used_ns()
    sum(range(200_000))
    assert used_ns() >= before
