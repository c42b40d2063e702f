"""Which frames the bus has confirmed, and since when one has waited."""

from __future__ import annotations

from cardan.firmware_bridge.transmit_watch import LONGEST_FRAMES, TransmitWatch

MS = 1_000_000


def test_a_bus_that_has_confirmed_everything_owes_nothing() -> None:
    watch = TransmitWatch(50 * MS)
    assert not watch.overdue(10**15)
    watch.sent(0x120, b"a", 10 * MS)
    watch.echoed(0x120, b"a")
    assert (watch.overdue(10**15), watch.confirmed) == (False, 1)


def test_the_oldest_frame_that_waits_counts_to_the_nanosecond() -> None:
    watch = TransmitWatch(50 * MS)
    watch.sent(0x120, b"a", 10 * MS)
    watch.sent(0x121, b"b", 20 * MS)
    assert (watch.overdue(60 * MS), watch.overdue(60 * MS + 1)) == (False, True)
    watch.echoed(0x120, b"a")
    assert (watch.overdue(70 * MS), watch.overdue(70 * MS + 1)) == (False, True)


def test_echoes_may_come_in_another_order_and_a_foreign_one_confirms_nothing() -> None:
    watch = TransmitWatch(50 * MS)
    for number in range(3):
        watch.sent(0x120, bytes([number]), 0)
    for number in (2, 0):
        watch.echoed(0x120, bytes([number]))
    watch.echoed(0x121, b"\x01")
    watch.echoed(0x120, b"\x07")
    assert (watch.overdue(51 * MS), watch.confirmed) == (True, 2)
    watch.echoed(0x120, bytes([1]))
    assert not watch.overdue(51 * MS)


def test_a_bus_that_never_confirms_does_not_fill_the_memory() -> None:
    watch = TransmitWatch(50 * MS)
    for number in range(10 * LONGEST_FRAMES):
        watch.sent(0x120, b"", number)
    assert len(watch._open) == LONGEST_FRAMES
