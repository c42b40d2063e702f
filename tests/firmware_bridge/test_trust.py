"""Trust in one bus message: checksum, counter, quality flag, age."""

from __future__ import annotations

import pytest

from cardan.firmware_bridge.codec import MessageCodec
from cardan.firmware_bridge.dbc import load_dbc
from cardan.firmware_bridge.trust import Quality, TrustedMessage
from cardan.firmware_bridge.vehicle_map import reference_dbc_path

MS = 1_000_000


@pytest.fixture
def codec() -> MessageCodec:
    return load_dbc(reference_dbc_path()).message("MOTION")


def motion(codec: MessageCodec, counter: int, speed: float = 10.0, *, valid: bool = True) -> bytes:
    return codec.encode({"SPEED": speed, "YAW_RATE": 0.0, "ACCELERATION": 0.0, "VALID": valid}, counter % codec.modulus)


def broken(data: bytes) -> bytes:
    return bytes((data[0] ^ 0xFF, *data[1:]))


def test_before_the_first_frame_the_message_is_absent(codec: MessageCodec) -> None:
    message = TrustedMessage(codec)
    assert message.problem(0) == "absent:MOTION"
    assert message.age_s(0) == float("inf")


def test_good_frames_are_believed_and_counted(codec: MessageCodec) -> None:
    message = TrustedMessage(codec)
    for number in range(40):
        assert message.receive(motion(codec, number, number * 0.1), number * 10 * MS + 1)
        assert message.problem(number * 10 * MS + 1) == ""
        assert message.values["SPEED"] == pytest.approx(number * 0.1, abs=0.002)
    assert (message.decoded, message.checksum_failures, message.counter_failures, message.lost) == (40, 0, 0, 0)


def test_a_message_is_silent_after_three_of_its_periods(codec: MessageCodec) -> None:
    message = TrustedMessage(codec)
    message.receive(motion(codec, 0), 1000 * MS)
    assert message.problem(1030 * MS) == ""
    assert message.problem(1030 * MS + 1) == "silent:MOTION"
    assert message.age_s(1500 * MS) == 0.5


def test_the_age_limit_can_be_told(codec: MessageCodec) -> None:
    message = TrustedMessage(codec, max_age_s=0.1)
    message.receive(motion(codec, 0), 1000 * MS)
    assert (message.problem(1100 * MS), message.problem(1101 * MS)) == ("", "silent:MOTION")
    assert TrustedMessage(codec, period_s=0.02).max_age_ns == 60 * MS


def test_a_frame_with_a_wrong_checksum_changes_nothing(codec: MessageCodec) -> None:
    message = TrustedMessage(codec)
    message.receive(motion(codec, 0, 5.0), 10 * MS)
    assert not message.receive(broken(motion(codec, 1, 6.0)), 20 * MS)
    assert (message.values["SPEED"], message.stamp_ns, message.checksum_failures) == (5.0, 10 * MS, 1)
    assert message.problem(20 * MS) == ""


def test_three_bad_of_five_and_the_sender_is_not_believed(codec: MessageCodec) -> None:
    message = TrustedMessage(codec, max_age_s=9.0)
    message.receive(motion(codec, 0), 1 * MS)
    for number, bad in enumerate((True, False, True, False, True), start=1):
        data = motion(codec, number)
        message.receive(broken(data) if bad else data, number * 10 * MS)
    assert message.problem(60 * MS) == "checksum:MOTION"


def test_two_bad_of_five_are_tolerated_and_forgotten(codec: MessageCodec) -> None:
    message = TrustedMessage(codec)
    for number in range(30):
        data = motion(codec, number)
        message.receive(broken(data) if number % 5 in (1, 3) else data, number * 10 * MS + 1)
        assert number == 0 or message.problem(number * 10 * MS + 1) == ""


def test_a_sender_is_believed_again_when_fewer_than_three_of_the_last_five_were_bad(codec: MessageCodec) -> None:
    message = TrustedMessage(codec)
    message.receive(motion(codec, 0), 1 * MS)
    for number in range(1, 4):
        message.receive(broken(motion(codec, number)), number * 10 * MS)
    assert message.problem(30 * MS) == "checksum:MOTION"
    for number in range(4, 7):
        message.receive(motion(codec, number), number * 10 * MS)
    assert message.problem(60 * MS) == ""


def test_a_frozen_counter_is_found_within_three_frames(codec: MessageCodec) -> None:
    message = TrustedMessage(codec, max_age_s=9.0)
    assert message.receive(motion(codec, 7), 1 * MS)
    for number in range(3):
        assert not message.receive(motion(codec, 7), (2 + number) * 10 * MS)
    assert (message.problem(50 * MS), message.counter_failures) == ("counter:MOTION", 3)


def test_a_few_lost_frames_are_counted_and_the_next_one_is_believed(codec: MessageCodec) -> None:
    message = TrustedMessage(codec)
    message.receive(motion(codec, 0), 1 * MS)
    assert message.receive(motion(codec, 3), 30 * MS)
    assert (message.lost, message.counter_failures) == (1, 0)


def test_a_frame_that_its_own_sender_calls_invalid_is_not_used(codec: MessageCodec) -> None:
    message = TrustedMessage(codec)
    message.receive(motion(codec, 0, 5.0), 1 * MS)
    assert not message.receive(motion(codec, 1, 6.0, valid=False), 10 * MS)
    assert (message.values["SPEED"], message.flagged) == (5.0, 1)
    assert message.problem(31 * MS) == ""
    assert message.problem(32 * MS) == "flagged:MOTION"


def test_what_comes_and_is_not_believed_is_not_called_silent(codec: MessageCodec) -> None:
    message = TrustedMessage(codec)
    message.receive(motion(codec, 0), 1 * MS)
    message.receive(broken(motion(codec, 1)), 11 * MS)
    assert [message.problem(at * MS) for at in (31, 32, 41, 42)] == [
        "",
        "checksum:MOTION",
        "checksum:MOTION",
        "silent:MOTION",
    ]
    message.receive(motion(codec, 2), 50 * MS)
    assert [message.problem(at * MS) for at in (80, 81)] == ["", "silent:MOTION"]


def test_a_frame_of_another_length_is_not_used(codec: MessageCodec) -> None:
    message = TrustedMessage(codec)
    assert not message.receive(b"\x00" * 7, 1 * MS)
    assert message.checksum_failures == 1


def test_a_message_without_checksum_and_counter_is_judged_by_length_and_age() -> None:
    bare = MessageCodec(name="BARE", frame_id=1, length=2, signals=[], period_s=0.1)
    message = TrustedMessage(bare)
    assert message.receive(b"ab", 1 * MS)
    assert not message.receive(b"abc", 2 * MS)
    assert message.problem(301 * MS) == ""


def fed(codec: MessageCodec, every_ms: int, count: int, max_age_s: float | None = None) -> TrustedMessage:
    """A message that came `count` times, every so many milliseconds."""
    message = TrustedMessage(codec, max_age_s=max_age_s)
    for number in range(count):
        message.receive(motion(codec, number), (1 + number * every_ms) * MS)
    return message


@pytest.mark.parametrize(
    ("every_ms", "count", "problem"),
    [
        (10, 21, ""),
        (20, 21, ""),
        (21, 20, ""),
        (21, 21, "slow:MOTION"),
        (30, 21, "slow:MOTION"),
        (5, 21, ""),
        (4, 20, ""),
        (4, 21, "fast:MOTION"),
    ],
)
def test_a_sender_at_less_than_half_or_more_than_twice_its_rate_is_not_believed(
    codec: MessageCodec, every_ms: int, count: int, problem: str
) -> None:
    assert fed(codec, every_ms, count).problem((1 + (count - 1) * every_ms) * MS) == problem


def test_the_slowest_rate_follows_an_age_limit_that_is_told(codec: MessageCodec) -> None:
    assert fed(codec, 60, 30, max_age_s=0.1).problem(1 + 29 * 60 * MS) == ""
    assert fed(codec, 70, 30, max_age_s=0.1).problem(1 + 29 * 70 * MS) == "slow:MOTION"


def test_after_a_silence_the_rate_is_judged_anew(codec: MessageCodec) -> None:
    message = fed(codec, 10, 40)
    for number in range(40, 80):
        stamp_ns = (601 + number * 10) * MS
        message.receive(motion(codec, number), stamp_ns)
        assert message.problem(stamp_ns) == ""


def test_the_quality_flag_of_a_vehicle_may_have_any_name_and_sense(codec: MessageCodec) -> None:
    message = TrustedMessage(codec, quality=Quality("ACCELERATION", scale=-1.0, offset=1.0))
    assert message.receive(motion(codec, 0, valid=False), 1 * MS)
    bad = codec.encode({"SPEED": 9.0, "YAW_RATE": 0.0, "ACCELERATION": 1.0, "VALID": 1}, 1)
    assert not message.receive(bad, 10 * MS)
    assert (message.flagged, message.values["SPEED"]) == (1, 10.0)
