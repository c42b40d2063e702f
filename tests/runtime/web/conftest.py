"""A run of the small vehicle whose vitals a test fills by hand, as the page finds it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.runtime.small_vehicle import make_plan

from cardan.runtime.cli.runs import FoundRun
from cardan.runtime.clock import FakeClock
from cardan.runtime.plan import Plan
from cardan.runtime.vitals import NodeState, NodeVitals, RunState, Vitals, create_vitals


@pytest.fixture
def plan() -> Plan:
    """camera -> control <-> bridge, and a recorder of everything."""
    return make_plan(loop=True)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def vitals(plan: Plan, clock: FakeClock, tmp_path: Path) -> Iterator[Vitals]:
    page = create_vitals(tmp_path / "vitals", plan, now_ns=clock.now_ns(), wall_ns=clock.wall_ns())
    page.words[Vitals.RUN_STATE] = RunState.RUNNING
    for node in page.nodes.values():
        node.words[NodeVitals.STATE], node.words[NodeVitals.STARTS] = NodeState.RUNNING, 1
        node.words[NodeVitals.STARTED_NS] = clock.now_ns()
    clock.advance_s(10.0)
    yield page
    page.close()


@pytest.fixture
def found(plan: Plan, vitals: Vitals, tmp_path: Path) -> FoundRun:
    """The run, as active; none of its topics has a ring."""
    return FoundRun(plan, vitals, "20260101-000000-abcd", tmp_path / "data", tmp_path / "bus")
