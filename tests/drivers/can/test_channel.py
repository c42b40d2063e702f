from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardan.drivers.can.channel import ReceptionClock, check_frame
from cardan.runtime.clock import NS_PER_S
from cardan.runtime.errors import DeviceError

WALL_NS = 1_800_000_000 * NS_PER_S


@pytest.mark.parametrize(
    ("frame_id", "length", "extended", "fd"),
    [
        (0x800, 8, False, False),
        (-1, 8, False, False),
        (0x2000_0000, 8, True, False),
        (1, 9, False, False),
        (1, 9, False, True),
        (1, 65, False, True),
    ],
)
def test_a_frame_that_no_controller_could_send_is_refused(frame_id: int, length: int, extended: bool, fd: bool) -> None:
    with pytest.raises(DeviceError, match="channel vehicle: "):
        check_frame("vehicle", frame_id, bytes(length), extended=extended, fd=fd, fd_channel=True)


def test_an_fd_frame_on_a_classic_channel_is_refused_and_the_setting_named() -> None:
    with pytest.raises(DeviceError) as error:
        check_frame("vehicle", 1, b"", extended=False, fd=True, fd_channel=False)
    assert error.value.hint == "set fd = true in [can.vehicle] of the profile"


@pytest.mark.parametrize(
    ("frame_id", "length", "extended", "fd"), [(0x7FF, 8, False, False), (0x1FFFFFFF, 64, True, True)]
)
def test_the_longest_frames_are_fine(frame_id: int, length: int, extended: bool, fd: bool) -> None:
    check_frame("vehicle", frame_id, bytes(length), extended=extended, fd=fd, fd_channel=True)


def test_a_frame_keeps_its_age_when_it_moves_to_the_monotonic_clock() -> None:
    reception = ReceptionClock(now_ns=0)
    reception.begin(now_ns=NS_PER_S, wall_ns=WALL_NS)
    assert reception.stamp_ns(WALL_NS - 300_000) == NS_PER_S - 300_000


@given(
    jumps_ns=st.lists(st.integers(-(10**15), 10**15), min_size=1, max_size=20),
    ages_ns=st.lists(st.integers(-(10**6), 10**9), min_size=1, max_size=5),
)
def test_a_jump_of_the_wall_clock_never_moves_a_stamp_out_of_its_window(
    jumps_ns: list[int], ages_ns: list[int]
) -> None:
    reception = ReceptionClock(now_ns=0)
    previous_ns = emptied_ns = 0
    for batch, jump_ns in enumerate(jumps_ns, start=1):
        now_ns = batch * NS_PER_S // 100
        reception.begin(now_ns, WALL_NS + jump_ns)
        for age_ns in ages_ns:
            stamp_ns = reception.stamp_ns(WALL_NS - age_ns)
            assert max(emptied_ns, previous_ns) <= stamp_ns <= now_ns
            previous_ns = stamp_ns
        reception.drained()
        emptied_ns = now_ns
