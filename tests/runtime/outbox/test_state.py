"""The state file: the newest whole slot counts, and a full disk does not stop it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime.outbox.state import (
    MOST_BOOTS,
    MOST_RANGES,
    SLOT_BYTES,
    STATE_NAME,
    Boot,
    Eviction,
    QueueState,
    Range,
    read_state_or_none,
    with_boot,
    with_eviction,
    write_state,
)


def test_the_newest_state_is_read(tmp_path: Path) -> None:
    state = QueueState(log="l")
    for high in range(5):
        state = write_state(tmp_path, QueueState(log="l", high=high, removing=(Range(1, 2),), writes=state.writes))
        assert read_state_or_none(tmp_path) == state


def test_no_state_is_none(tmp_path: Path) -> None:
    assert read_state_or_none(tmp_path) is None
    (tmp_path / STATE_NAME).write_bytes(b"\xff" * 100)
    assert read_state_or_none(tmp_path) is None


@given(cut=st.integers(0, 200))
def test_a_torn_write_leaves_the_state_before(cut: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("state")
    first = write_state(folder, QueueState(log="l", high=1))
    before = (folder / STATE_NAME).read_bytes()
    second = write_state(folder, QueueState(log="l", high=2, writes=first.writes))
    after = (folder / STATE_NAME).read_bytes()
    start = (second.writes % 2) * SLOT_BYTES
    torn = before[:start] + after[start : start + cut] + before[start + cut :]
    (folder / STATE_NAME).write_bytes(torn)
    assert read_state_or_none(folder) in (first, second)


def test_a_write_takes_no_new_space(tmp_path: Path) -> None:
    state = write_state(tmp_path, QueueState(log="l"))
    size = (tmp_path / STATE_NAME).stat().st_blocks
    for _ in range(3):
        state = write_state(tmp_path, state)
    assert (tmp_path / STATE_NAME).stat().st_blocks == size
    assert [path.name for path in tmp_path.iterdir()] == [STATE_NAME]


def test_the_largest_state_fits(tmp_path: Path) -> None:
    big = 10**15
    state = QueueState(
        log="l" * 8,
        high=big,
        removing=tuple(Range(big, big) for _ in range(MOST_RANGES)),
        quarantining=tuple(Range(big, big) for _ in range(MOST_RANGES + 1)),
        boots=tuple(Boot("0" * 36, big) for _ in range(MOST_BOOTS)),
        untold=tuple(Eviction(big, big, big, big, "room, was leaving") for _ in range(MOST_RANGES)),
    )
    assert read_state_or_none(tmp_path) is None
    written = write_state(tmp_path, state)
    assert read_state_or_none(tmp_path) == written


def test_boots_are_kept_in_order_without_empty_ones_and_not_for_ever() -> None:
    boots = with_boot((), "a", 1)
    assert with_boot(boots, "a", 50) == boots
    assert with_boot(with_boot(boots, "b", 5), "c", 5) == (Boot("a", 1), Boot("c", 5))
    for number in range(100):
        boots = with_boot(boots, f"boot {number}", 10 + number)
    assert len(boots) == MOST_BOOTS and boots[-1] == Boot("boot 99", 109)


def test_evictions_that_follow_each_other_are_told_as_one() -> None:
    told = with_eviction((Eviction(1, 5, 5, 100),), Eviction(6, 9, 4, 50))
    assert told == (Eviction(1, 9, 9, 150),)
    assert len(with_eviction(told, Eviction(20, 21, 2, 10))) == 2


def test_there_are_never_too_many_evictions_to_tell() -> None:
    untold: tuple[Eviction, ...] = ()
    for number in range(3 * MOST_RANGES):
        untold = with_eviction(untold, Eviction(number * 10, number * 10, 1, 1))
    assert len(untold) == MOST_RANGES
    assert sum(eviction.records for eviction in untold) == 3 * MOST_RANGES
