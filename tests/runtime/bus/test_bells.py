"""A node that is awake is not woken up, and none sleeps over a message."""

from __future__ import annotations

import mmap
import os
import random
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cardan.runtime.bus import bells, native
from cardan.runtime.bus.bells import FILE, LINE, Bells, create_bells
from cardan.runtime.bus.ends import Passed
from cardan.runtime.bus.ring_ends import RingPublisher, RingSubscriber, Subscription, WakeFds, create_rings
from cardan.runtime.errors import BusError
from cardan.runtime.plan import InputPlan, NodePlan, OutputPlan, Plan
from cardan.runtime.profile import Profile

TOPIC = "source/out"
EVERY = {TOPIC: Subscription(every=True, schema=None, next_index=0)}
IN_VAIN_S = 2.0
"""A sleep of this length over a message that has come is one that nobody ended."""


@pytest.fixture
def plan() -> Plan:
    source = NodePlan(name="source", index=0, use="", outputs=[OutputPlan(port="out", topic=TOPIC, type="")])
    sink = NodePlan(name="sink", index=1, use="", stepped_by="x", inputs=[InputPlan(port="x", topics=[TOPIC])])
    return Plan(
        name="bells", manifest="", manifest_sha256="", profile=Profile(name="test"), envelope={}, envelope_hash="",
        nodes=[source, sink],
    )  # fmt: skip


@pytest.fixture
def wake_fd() -> Iterator[int]:
    descriptor = os.eventfd(0, os.EFD_NONBLOCK)
    yield descriptor
    os.close(descriptor)


class Ends:
    """A publisher and how to make readers of its only topic."""

    def __init__(self, plan: Plan, folder: Path, wake_fd: int) -> None:
        create_rings(plan, folder)
        self._plan, self._folder, self._wake_fd = plan, folder, wake_fd
        self.publisher = RingPublisher(plan, "source", folder, {TOPIC: 0}, 1, WakeFds(readers={"sink": wake_fd}))

    def reader(self) -> RingSubscriber:
        return RingSubscriber(self._plan, "sink", self._folder, EVERY, self._wake_fd)

    def send(self, payload: bytes = b"") -> None:
        self.publisher.send(TOPIC.encode(), b"", payload)

    def rings(self) -> int:
        """How often the bell was rung since the last call."""
        try:
            return os.eventfd_read(self._wake_fd)
        except BlockingIOError:
            return 0


@pytest.fixture
def ends(plan: Plan, tmp_path: Path, wake_fd: int) -> Iterator[Ends]:
    made = Ends(plan, tmp_path, wake_fd)
    yield made
    made.publisher.close()


def ignore(topic: str, message: bytes, passed: Passed | None = None) -> None:
    pass


def test_only_a_node_that_may_be_asleep_is_rung(parts: str, ends: Ends) -> None:
    ends.send()
    assert ends.rings() == 1, "nobody is there yet"
    with closing(ends.reader()) as reader:
        ends.send()
        assert ends.rings() == 1, "it has not been awake yet"
        reader.wait(0)
        for _ in range(3):
            ends.send()
        assert ends.rings() == (0 if parts == "compiled" else 3)
        assert reader.drain(ignore) == 5
    ends.send()
    assert ends.rings() == 1, "it has gone"


def test_what_has_come_since_the_last_look_ends_the_sleep_at_once(parts: str, ends: Ends) -> None:
    with closing(ends.reader()) as reader:
        reader.wait(0)
        ends.send()
        ends.rings()
        begin_s = time.monotonic()
        reader.wait(IN_VAIN_S)
        assert parts == "python" or time.monotonic() - begin_s < IN_VAIN_S
        assert reader.drain(ignore) == 1


def test_a_node_without_compiled_parts_is_not_believed_to_sleep_as_a_killed_one_did(
    ends: Ends, plan: Plan, tmp_path: Path, wake_fd: int
) -> None:
    with closing(Bells(plan, tmp_path)) as page:
        page.of("sink", wake_fd).fall_asleep()
        with (tmp_path / FILE).open("r+b") as file, mmap.mmap(file.fileno(), 2 * LINE) as whole:
            bells.PythonBell(whole, LINE, wake_fd).fall_asleep()
            assert whole[LINE : LINE + 8] == bytes(8)
    ends.rings()
    ends.send()
    assert ends.rings() == 1, "once: it was not announced"


def test_the_successor_of_a_node_that_was_killed_awake_is_rung(parts: str, ends: Ends) -> None:
    killed = ends.reader()
    killed.wait(0)
    ends.rings()
    with closing(ends.reader()):
        ends.send()
        assert ends.rings() == 1
    killed.close()


@pytest.mark.parametrize("apart", [True, False], ids=["on two processors", "anywhere"])
def test_no_message_is_slept_over(parts: str, ends: Ends, apart: bool) -> None:
    """Each message is sent a little after the one before it has been seen: it meets a reader that just falls asleep."""
    allowed = sorted(os.sched_getaffinity(0))
    try:
        _meet(ends, *([allowed[:1], allowed[-1:]] if apart else [allowed, allowed]))
    finally:
        os.sched_setaffinity(0, allowed)


def _meet(ends: Ends, ours: list[int], theirs: list[int]) -> None:
    os.sched_setaffinity(0, ours)
    seen = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("Q")
    messages, chance = 4000, random.Random(1)
    child = _fork(lambda: _follow(ends, seen, messages, theirs))
    try:
        for number in range(1, messages + 1):
            ends.send(number.to_bytes(8, "little"))
            deadline_s = time.monotonic() + IN_VAIN_S
            while seen[0] != number:
                assert time.monotonic() < deadline_s, f"message {number} was slept over"
            _dawdle(chance)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _follow(ends: Ends, seen: memoryview, messages: int, processors: list[int]) -> None:
    os.sched_setaffinity(0, processors)
    reader = ends.reader()

    def note(topic: str, message: bytes, passed: Passed | None = None) -> None:
        seen[0] = int.from_bytes(message, "little")

    chance = random.Random(2)
    while seen[0] < messages:
        reader.drain(note)
        _dawdle(chance)
        reader.wait(10 * IN_VAIN_S)


def _dawdle(chance: random.Random) -> None:
    """For a microsecond or two."""
    for _ in range(chance.randrange(40)):
        pass


def _fork(act: Callable[[], None]) -> int:
    child = os.fork()
    if child == 0:
        try:
            act()
        finally:
            os._exit(0)
    return child


# ------------------------------------------------------------------------------------------------------------ the page


def test_every_node_has_a_line_of_its_own(plan: Plan, tmp_path: Path, wake_fd: int) -> None:
    create_bells(plan, tmp_path)
    assert (tmp_path / FILE).stat().st_size == 2 * LINE
    if native.compiled is None:
        return
    with (
        closing(Bells(plan, tmp_path)) as ours,
        closing(Bells(plan, tmp_path)) as theirs,
        closing(select.epoll()) as none,
    ):
        ours.of("sink", wake_fd).sleep(none, 0)
        theirs.of("sink", wake_fd).ring(0)
        with pytest.raises(BlockingIOError):
            os.eventfd_read(wake_fd)
        theirs.of("source", wake_fd).ring(0)
        assert os.eventfd_read(wake_fd) == 1


def test_a_page_that_cannot_be_made_or_opened_says_where_and_what_to_look_at(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(BusError, match=r"cannot open .*bells.*\n.*is the run active"):
        Bells(plan, tmp_path)
    with pytest.raises(BusError, match=r"cannot make .*absent.bells.*\n.*df -h"):
        create_bells(plan, tmp_path / "absent")
    (tmp_path / FILE).write_bytes(b"")
    with pytest.raises(BusError, match=r"cannot open .*bells"):
        Bells(plan, tmp_path)


def test_the_kind_of_bell_is_that_of_this_installation() -> None:
    assert (bells.Bell is bells.PythonBell) == (native.compiled is None)
