from __future__ import annotations

import gzip
from pathlib import Path
from unittest import mock

import can
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cardan.drivers.can import candump
from cardan.drivers.can.candump import (
    CandumpError,
    LoggedFrame,
    StoredFrame,
    format_line,
    parse_line,
    read_blocks,
    read_candump,
    write_candump,
)
from cardan.drivers.can.channel import FD_LENGTHS
from cardan.runtime.messages import CanFrame

STAMPS = st.integers(min_value=0, max_value=2**62)
CHANNELS = st.sampled_from(["can0", "vcan1", "slcan-2"])
DIRECTIONS = st.sampled_from(["", "R", "T"])


@st.composite
def logged_frames(draw: st.DrawFn) -> LoggedFrame:
    kind = draw(st.sampled_from(["classic", "fd", "remote", "error"]))
    extended = kind != "error" and draw(st.booleans())
    frame_id = draw(st.integers(0, 0x1FFF_FFFF if extended or kind == "error" else 0x7FF))
    length = 0 if kind == "remote" else draw(st.sampled_from(sorted(FD_LENGTHS))) if kind == "fd" else None
    data = draw(st.binary(max_size=8) if length is None else st.binary(min_size=length, max_size=length))
    return LoggedFrame(
        frame=CanFrame(draw(CHANNELS), frame_id, data, draw(STAMPS), extended, kind == "fd", kind == "error"),
        direction=draw(DIRECTIONS),
        remote=kind == "remote",
        remote_length=draw(st.integers(0, 8)) if kind == "remote" else 0,
        fd_flags=draw(st.integers(0, 15)) if kind == "fd" else 0,
    )


@given(logged_frames())
def test_every_frame_comes_back_from_its_line_as_it_was(logged: LoggedFrame) -> None:
    assert parse_line(format_line(logged)) == logged


PLAIN = st.builds(
    lambda frame_id, data, stamp_us, channel, direction: LoggedFrame(
        frame=CanFrame(channel, frame_id, data, stamp_us * 1000, frame_id > 0x7FF), direction=direction
    ),
    st.one_of(st.integers(0, 0x7FF), st.integers(0x800, 0x1FFF_FFFF)),
    st.binary(max_size=8),
    st.integers(0, 10**15),
    CHANNELS,
    DIRECTIONS,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.one_of(PLAIN, PLAIN, PLAIN, logged_frames(), st.just(None)), max_size=30),
    st.sampled_from([1, 200, 1 << 20]),
)
def test_blocks_hold_what_the_lines_hold(tmp_path: Path, lines: list[LoggedFrame | None], characters: int) -> None:
    path = tmp_path / "drive.log"
    path.write_text("".join(format_line(logged) + "\n" if logged else "\n" for logged in lines))
    with mock.patch.object(candump, "BLOCK_CHARACTERS", characters):
        found = [frame for block in read_blocks(path) for frame in block]
    assert found == [
        StoredFrame(*msgspec.structs.astuple(logged.frame), logged.remote)  # type: ignore[call-arg]  # seven fields
        for logged in lines
        if logged
    ]


def test_most_lines_are_read_many_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "drive.log"
    write_candump(path, [LoggedFrame(frame=CanFrame("can0", 1, b"", number * 1000)) for number in range(10)])
    with mock.patch.object(candump, "parse_line", side_effect=AssertionError):
        assert sum(map(len, read_blocks(path))) == 10


@pytest.mark.parametrize(
    "line", ["hello", "x(1.000000) can0 123#01", "(1.000000) can0 800#01", "(1.000000) can0 123#0"]
)
def test_a_line_that_is_none_is_named_with_its_place_in_a_block_too(tmp_path: Path, line: str) -> None:
    path = tmp_path / "broken.log"
    path.write_text(f"(1.000000) can0 123#01\n\n{line}\n")
    with pytest.raises(CandumpError, match="3: not a candump line"):
        list(read_blocks(path))


@pytest.mark.parametrize("suffix", [".log", ".log.gz"])
def test_a_file_comes_back_as_it_was_written(suffix: str, tmp_path: Path) -> None:
    frames = [LoggedFrame(frame=CanFrame("can0", number, bytes([number]), number * 1000)) for number in range(100)]
    path = tmp_path / f"drive{suffix}"
    assert write_candump(path, frames) == 100
    assert list(read_candump(path)) == frames


def test_lines_of_can_utils_are_understood() -> None:
    classic = parse_line("(0000046408.584930) can0 260#08FFFB0000001884 R\n")
    assert classic.direction == "R"
    assert classic.frame == CanFrame("can0", 0x260, bytes.fromhex("08FFFB0000001884"), 46_408_584_930_000)
    assert parse_line("(1.000001) can1 18DB33F1#0201").frame == CanFrame(
        "can1", 0x18DB33F1, b"\x02\x01", 1000001000, True
    )
    fd = parse_line("(1.0) can1 123##3AABBCCDD T")
    assert (fd.frame.fd, fd.fd_flags, fd.frame.data, fd.direction) == (True, 3, b"\xaa\xbb\xcc\xdd", "T")
    error = parse_line("(1.0) can0 20000004#0004000000000000")
    assert (error.frame.error, error.frame.id, error.frame.extended) == (True, 4, False)
    remote = parse_line("(1.0) can0 7DF#R8")
    assert (remote.remote, remote.remote_length, remote.frame.data) == (True, 8, b"")


def test_python_can_reads_what_we_write_as_the_same_frames(tmp_path: Path) -> None:
    frames = [
        LoggedFrame(frame=CanFrame("can0", 0x123, b"\x01\x02", 1_500_000_000)),
        LoggedFrame(frame=CanFrame("can0", 0x18DB33F1, b"\x02", 2_000_000_000, True), direction="T"),
        LoggedFrame(frame=CanFrame("can1", 0x7FF, bytes(12), 3_000_000_000, fd=True), fd_flags=1),
    ]
    path = tmp_path / "drive.log"
    write_candump(path, frames)
    with can.CanutilsLogReader(path) as reader:
        seen = list(reader)
    assert [(m.channel, m.arbitration_id, bytes(m.data), m.is_extended_id, m.is_fd) for m in seen] == [
        (item.frame.channel, item.frame.id, item.frame.data, item.frame.extended, item.frame.fd) for item in frames
    ]
    assert [message.timestamp for message in seen] == [1.5, 2.0, 3.0]


@pytest.mark.parametrize(
    "line",
    [
        "hello",
        "(1.0) can0",
        "(1.0) can0 123",
        "1.0 can0 123#00",
        "(1) can0 123#00",
        "(1.0) can0 12#00",
        "(1.0) can0 FFF#00",
        "(1.0) can0 FFFFFFFF#00",
        "(1.0) can0 -12#00",
        "(1.0) can0 1_2#00",
        "(1_0.0) can0 123#00",
        "(-1.0) can0 123#00",
        "(1.0) can0 123#0",
        "(1.0) can0 123#XY",
        "(1.0) can0 123#001122334455667788",
        "(1.0) can0 123##",
        "(1.0) can0 123##1" + "00" * 9,
        "(1.0) can0 123#R9",
        "(1.0) can0 123#00 X",
        "(1.0) can0 123#00 R extra",
    ],
)
def test_a_bad_line_is_an_error_that_names_file_and_line(line: str, tmp_path: Path) -> None:
    path = tmp_path / "drive.log"
    path.write_text(f"(0.5) can0 001#00\n\n{line}\n")
    reader = read_candump(path)
    assert next(reader).frame.id == 1
    with pytest.raises(CandumpError) as error:
        next(reader)
    assert error.value.message.startswith(f"{path}:3: ")
    assert error.value.hint is not None


def test_a_gzip_file_that_was_cut_off_is_an_error_that_names_the_last_good_line(tmp_path: Path) -> None:
    path = tmp_path / "drive.log.gz"
    text = "".join(f"({second}.0) can0 {second % 2048:03X}#{second:016X}\n" for second in range(5000))
    path.write_bytes(gzip.compress(text.encode())[:-2000])
    with pytest.raises(CandumpError, match=r"drive\.log\.gz: cannot read on after line \d+"):
        list(read_candump(path))


def test_an_absent_file_and_a_binary_file_are_errors_of_ours(tmp_path: Path) -> None:
    with pytest.raises(CandumpError, match="No such file"):
        list(read_candump(tmp_path / "absent.log"))
    (tmp_path / "binary.log").write_bytes(b"\xff\xfe\x00\x80" * 100)
    with pytest.raises(CandumpError, match="cannot read on"):
        list(read_candump(tmp_path / "binary.log"))


@pytest.mark.parametrize("frame", [CanFrame("can 0", 1, b"", 0), CanFrame("", 1, b"", 0), CanFrame("can0", 1, b"", -1)])
def test_a_frame_without_a_line_is_refused(frame: CanFrame) -> None:
    with pytest.raises(CandumpError):
        format_line(LoggedFrame(frame=frame))
