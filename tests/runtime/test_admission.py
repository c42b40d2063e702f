"""Response times against worked examples, and what admission promises of cores and priorities."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime import admission
from cardan.runtime.admission import Placement, Task, admit, priorities


@pytest.fixture
def ideal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The textbook's computer: no blocking, no overhead."""
    monkeypatch.setattr(admission, "BLOCKING_S", 0.0)
    monkeypatch.setattr(admission, "OVERHEAD_S", 0.0)


def task(name: str, period_ms: float, budget_ms: float | None, cores: tuple[int, ...] = (0,), **others: object) -> Task:
    base = Task(
        name=name,
        group="control",
        cores=cores,
        period_s=period_ms / 1000,
        budget_s=None if budget_ms is None else budget_ms / 1000,
        realtime=True,
    )
    return replace(base, **others)  # type: ignore[arg-type]  # fields by name


def response_ms(placements: dict[str, Placement], name: str) -> float:
    return placements[name].response_s * 1000


@pytest.mark.usefixtures("ideal")
def test_the_response_times_of_the_textbook_are_found() -> None:
    """Burns and Wellings, Real-Time Systems and Programming Languages, 4th edition, section 11.5: task set B."""
    found = admit([task("c", 80, 40), task("b", 40, 10), task("a", 20, 5)], 50)
    assert [response_ms(found, name) for name in "abc"] == pytest.approx([5, 15, 80])
    assert all(placement.fits for placement in found.values())


@pytest.mark.usefixtures("ideal")
def test_release_jitter_of_a_source_is_counted() -> None:
    found = admit([task("source", 10, 3), task("sink", 10, 2, stepped_by="source"), task("slow", 100, 10)], 50)
    assert response_ms(found, "source") == pytest.approx(5)
    assert response_ms(found, "sink") == pytest.approx(5 + 5)
    assert found["slow"].fits


@pytest.mark.usefixtures("ideal")
def test_a_source_that_is_no_real_time_node_may_release_twice_in_a_row() -> None:
    alone = admit([task("fast", 10, 3), task("slow", 50, 5)], 50)
    burst = admit([task("fast", 10, 3, stepped_by="radio"), task("slow", 50, 5)], 50)
    assert response_ms(alone, "slow") == pytest.approx(8)
    assert response_ms(burst, "slow") == pytest.approx(14)


def test_blocking_and_spinning_are_counted() -> None:
    found = admit([task("control", 10, 4), task("slow", 100, 10)], 50)
    assert response_ms(found, "control") == pytest.approx(4 + 0.2 + 0.1)
    assert response_ms(found, "slow") == pytest.approx(10 + 0.1 + 2 * 4.2)


def test_priorities_follow_the_rate_unless_they_are_given() -> None:
    tasks = [task("slow", 50, 1), task("fast", 1, 0.1), task("also-fast", 1, 0.1), task("set", 100, 1, priority=80)]
    assert priorities(tasks, 50) == {"fast": 50, "also-fast": 50, "slow": 49, "set": 80}
    many = [task(f"n{rate}", rate, 0.001) for rate in range(1, 10)]
    assert min(priorities(many, 3).values()) == 1


def test_each_real_time_node_gets_a_core_of_its_own_while_there_are_enough() -> None:
    found = admit([task("control", 10, 2, (2, 3)), task("bridge", 10, 2, (2, 3)), task("slow", 50, 5, (2, 3))], 50)
    assert {found["control"].core, found["bridge"].core} == {2, 3}
    assert found["slow"].core in (2, 3)


def test_groups_that_share_a_core_count_against_each_other() -> None:
    found = admit([task("a", 10, 6, (0,)), task("b", 10, 6, (0,), group="other")], 50)
    assert not found["a"].fits
    assert not found["b"].fits


def test_a_node_without_a_budget_may_take_its_whole_period_and_fits_only_alone() -> None:
    assert admit([task("only", 10, None)], 50)["only"].fits
    found = admit([task("silent", 10, None), task("other", 10, 1)], 50)
    assert not found["other"].fits
    apart = admit([task("silent", 10, None, (0, 1)), task("other", 10, 1, (0, 1))], 50)
    assert apart["silent"].core != apart["other"].core
    assert all(placement.fits for placement in apart.values())


def test_without_core_numbers_nodes_are_judged_as_if_on_one_core_and_pinned_to_none() -> None:
    found = admit([task("control", 10, 4, ()), task("bridge", 10, 4, ()), task("free", 10, None, ())], 50)
    assert {placement.core for placement in found.values()} == {None}
    assert response_ms(found, "control") == pytest.approx(8.5)


def test_other_nodes_and_those_of_unknown_period_are_left_alone() -> None:
    assert admit([task("recorder", 100, 10, realtime=False), task("hidden", 10, 1, period_s=None)], 50) == {}


budgets = st.lists(st.tuples(st.sampled_from([5, 10, 20, 50, 100]), st.floats(0.1, 20.0)), min_size=1, max_size=6)


@given(budgets)
def test_whatever_is_admitted_survives_a_simulation_of_its_worst_moment(pairs: list[tuple[int, float]]) -> None:
    """Every node released at once, each with its whole cost, run by priority: no one ends later than its R."""
    tasks = [task(f"n{index}", period, budget) for index, (period, budget) in enumerate(pairs)]
    found = list(admit(tasks, 50).values())
    if not all(placement.fits for placement in found):
        return
    for own in found:
        if sum(other.priority == own.priority for other in found) == 1:
            assert simulated_s(own, found) <= own.response_s + 1e-9


def simulated_s(own: Placement, placed: list[Placement]) -> float:
    """End of the first step of `own`, by running the queue event by event."""
    above = [item for item in placed if item.priority > own.priority]
    work, now, pending = own.task.cost_s, 0.0, {item.task.name: 0.0 for item in above}
    releases = {item.task.name: 0.0 for item in above}
    while True:
        for item in above:
            if releases[item.task.name] <= now + 1e-12:
                pending[item.task.name] += item.task.cost_s
                releases[item.task.name] += item.task.period_s or 0.0
        following = min(releases.values(), default=math.inf)
        busy = next((item.task.name for item in above if pending[item.task.name] > 1e-12), None)
        left = work if busy is None else pending[busy]
        ran = min(left, following - now)
        if busy is None:
            work -= ran
            if work <= 1e-12:
                return now + ran
        else:
            pending[busy] -= ran
        now += ran
