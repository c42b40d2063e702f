"""The spare process of a node, with real processes in place of nodes."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec
import pytest

from cardan.runtime.birth import TakeOver
from cardan.runtime.supervise.sources import Sources
from cardan.runtime.supervise.spare import AFTER_NS, AGAIN_NS, Spare
from cardan.runtime.supervise.spawn import NodeProcessHandle
from cardan.runtime.vitals import NodeState, NodeVitals

if TYPE_CHECKING:
    from tests.runtime.supervise.conftest import Up


class Maker:
    """Makes processes that wait, and remembers them."""

    def __init__(self) -> None:
        self.handles: list[NodeProcessHandle] = []
        self.told: list[int] = []
        self.fails = False

    def __call__(self) -> NodeProcessHandle:
        if self.fails:
            raise OSError("no process")
        process = subprocess.Popen(["sleep", "60"], start_new_session=True)
        process.returncode = 0  # it is the handle that waits for it
        ready_fd, own_ready_fd = os.pipe()
        told_fd, go_fd = os.pipe()
        os.close(own_ready_fd)
        self.told.append(told_fd)
        self.handles.append(NodeProcessHandle(process.pid, os.pidfd_open(process.pid), ready_fd, go_fd))
        return self.handles[-1]


@pytest.fixture
def maker() -> Iterator[Maker]:
    maker = Maker()
    yield maker
    for told_fd in maker.told:
        os.close(told_fd)


@pytest.fixture
def sources() -> Iterator[Sources]:
    sources = Sources()
    yield sources
    sources.close()


def test_it_is_started_when_the_node_has_run_for_a_while(maker: Maker, sources: Sources) -> None:
    spare = Spare(True, maker, sources)
    for now_ns, runs in ((0, False), (1, True), (AFTER_NS, True)):
        spare.look(now_ns, runs)
        assert spare.pid == 0
    spare.look(AFTER_NS + 1, True)
    assert spare.pid == maker.handles[0].pid
    spare.close()
    sources.wait(5.0)
    assert spare.pid == 0


def test_nothing_is_started_for_a_node_that_wants_none(maker: Maker, sources: Sources) -> None:
    spare = Spare(False, maker, sources)
    spare.look(0, True)
    spare.look(AFTER_NS, True)
    assert maker.handles == []


def test_it_is_handed_over_and_told_its_birth(maker: Maker, sources: Sources) -> None:
    spare = Spare(True, maker, sources)
    spare.look(0, True)
    spare.look(AFTER_NS, True)
    handle = spare.take_or_none(3, None)
    assert handle == maker.handles[0]
    assert msgspec.json.decode(os.read(maker.told[0], 4096), type=TakeOver) == TakeOver(starts=3, group="")
    assert spare.pid == 0
    assert spare.take_or_none(4, None) is None
    handle.kill()
    handle.reap()


def test_one_that_has_died_is_replaced_later(maker: Maker, sources: Sources) -> None:
    spare = Spare(True, maker, sources)
    spare.look(0, True)
    spare.look(AFTER_NS, True)
    os.kill(spare.pid, signal.SIGKILL)
    sources.wait(5.0)
    assert spare.pid == 0
    spare.look(AFTER_NS + AGAIN_NS - 1, True)
    assert spare.pid == 0
    spare.look(AFTER_NS + AGAIN_NS, True)
    assert spare.pid == maker.handles[1].pid
    spare.close()
    sources.wait(5.0)


def test_when_there_is_no_process_for_it_the_node_goes_on(maker: Maker, sources: Sources) -> None:
    maker.fails = True
    spare = Spare(True, maker, sources)
    spare.look(0, True)
    spare.look(AFTER_NS, True)
    assert spare.pid == 0
    assert spare.take_or_none(2, None) is None


@pytest.mark.slow
def test_a_killed_node_is_continued_by_its_spare_process(up: Up) -> None:
    run = up(up.node("Idle", process="exec", standby=True))
    run.wait_running()
    first = run.pid("idle")

    def spare() -> int | None:
        others = [pid for pid in up.processes_of(run.paths) if _name(pid) == "spare-idle"]
        return others[0] if others else None

    up.wait_until(spare)
    expected = spare()
    os.kill(first, signal.SIGKILL)
    up.wait_until(lambda: run.word("idle", NodeVitals.STARTS) == 2, 1.0)
    run.wait_state("idle", NodeState.RUNNING, 5.0)
    run.wait_steps("idle")
    assert run.pid("idle") == expected
    assert run.events("node-start")[-1]["process"] == "the spare process"
    assert _name(run.pid("idle")) == "cardan-idle"
    assert run.stop() == 0


def _name(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()
    except OSError:
        return ""
