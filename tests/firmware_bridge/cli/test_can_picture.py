"""The picture of `cardan can sniff`: what fits, what is marked, and how that looks without colours."""

from __future__ import annotations

import pytest

from cardan.drivers.can.candump import LoggedFrame
from cardan.firmware_bridge.cli.can_rows import MARKED_NS, Row
from cardan.firmware_bridge.cli.can_sniff_view import Look, picture, table_lines
from cardan.firmware_bridge.frame_reader import ReadFrame, ReadSignal
from cardan.runtime.cli.lines import MARK, RESET, Line, paint
from cardan.runtime.messages import CanFrame

SECOND_NS = 1_000_000_000


def read(speed: float, verdict: str = "ok") -> ReadFrame:
    signals = [
        ReadSignal(name="COUNTER", value=1, unit="", label=""),
        ReadSignal(name="SPEED", value=speed, unit="m/s", label=""),
        ReadSignal(name="GEAR", value=4, unit="", label="D"),
    ]
    return ReadFrame(message="MOTION", verdict=verdict, signals=signals)


def row(frame_id: int = 0x123, *, channel: str = "vehicle", known: bool = True, length: int = 8, count: int = 3) -> Row:
    made = Row((channel, frame_id, False))
    for number in range(count):
        data = bytes([number]) + bytes(length - 1)
        frame = CanFrame(channel, frame_id, data, (10 + number) * SECOND_NS)
        made.see(LoggedFrame(frame=frame), read(float(number)) if known else None)
    return made


def shown(
    rows: list[Row], *, now_s: float = 12.1, columns: int = 80, lines: int = 24, starred: bool = False
) -> list[Line]:
    look = Look(now_ns=round(now_s * SECOND_NS), columns=columns, starred=starred)
    return picture(rows, "car on bench, live", look, lines)


def test_the_changed_byte_is_marked_where_it_stands() -> None:
    line = shown([row()])[2]
    ((start, end),) = line.marks
    assert line.text[start:end] == "02"
    assert paint(line, colour=True) == line.text[:start] + MARK + "02" + RESET + line.text[end:] + RESET
    assert paint(line, colour=False) == line.text


def test_without_colours_a_star_stands_behind_it() -> None:
    assert " 02*00 00 00 00 00 00 00 " in shown([row()], starred=True)[2].text


def test_a_mark_fades() -> None:
    later_s = 12.0 + MARKED_NS / SECOND_NS
    assert shown([row()], now_s=later_s - 0.01)[2].marks
    assert not shown([row()], now_s=later_s + 0.01)[2].marks


def test_signals_stand_below_with_units_and_names_but_without_the_counter() -> None:
    line = shown([row()], starred=True)[3]
    assert line.text == "    SPEED 2 m/s*  GEAR D (4)"


def test_a_changed_signal_is_marked_too() -> None:
    line = shown([row()])[3]
    assert [line.text[start:end] for start, end in line.marks] == ["SPEED 2 m/s"]


def test_signals_give_way_when_the_terminal_is_low_and_then_rows_are_counted() -> None:
    rows = [row(number) for number in range(10)]
    assert len(shown(rows, lines=24)) == 23
    assert len(shown(rows, lines=14)) == 13
    few = shown(rows, lines=8)
    assert len(few) == 8
    assert few[-2].text == "… 6 more ids: use a taller terminal, or --id"


@pytest.mark.parametrize("columns", [20, 40, 80])
def test_no_line_is_wider_than_the_terminal_and_no_mark_outside(columns: int) -> None:
    for line in shown([row(), row(0x18DB, channel="a-channel-with-a-name", length=64)], columns=columns):
        assert len(line.text) <= columns
        assert all(end <= columns for _, end in line.marks)


def test_more_than_eight_bytes_are_cut_visibly() -> None:
    assert "00 00 …" in shown([row(length=64)])[2].text


def test_a_silent_row_and_a_wrong_one_stand_out() -> None:
    bad = row()
    bad.see(LoggedFrame(frame=CanFrame("vehicle", 0x123, bytes(8), 12 * SECOND_NS)), read(0, "checksum wrong"))
    assert shown([bad])[2].role == "bad"
    assert shown([bad], columns=100)[2].text.endswith("MOTION  1 wrong: checksum wrong")
    assert shown([row()], now_s=14.0)[2].role == "warning"


def test_a_table_of_what_was_marks_whatever_ever_changed() -> None:
    lines = table_lines([row(known=False)], Look(now_ns=None))
    assert lines[1].text.split() == ["vehicle", "123", "1.0", "Hz", "0", "ms", "02*00", *["00"] * 6]


def test_names_from_outside_cannot_move_the_cursor() -> None:
    assert "\x1b" not in "".join(line.text for line in shown([row(channel="a\x1b[2J")]))


def test_the_rate_is_that_of_the_newest_two_seconds() -> None:
    made = Row(("can0", 1, False))
    for number in range(100):
        made.see(LoggedFrame(frame=CanFrame("can0", 1, b"", number * 10_000_000)), None)
    assert made.rate_hz == pytest.approx(100.0)
    for number in range(50):
        made.see(LoggedFrame(frame=CanFrame("can0", 1, b"", SECOND_NS + number * 100_000_000)), None)
    assert made.rate_hz == pytest.approx(10.0, rel=0.1)


def test_before_the_first_frame_there_is_a_picture_too() -> None:
    assert [line.text.split()[0] for line in shown([])] == ["car", "CHANNEL", "Ctrl-C"]
