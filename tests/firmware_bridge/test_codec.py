"""Packed tables of a message: encode, decode, snap; and what a message refuses to carry."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardan.firmware_bridge.codec import CodecError, MessageCodec, Signal
from cardan.firmware_bridge.e2e import Profile05

SPEED = Signal(name="SPEED", big_endian=True, shift=48, length=16, signed=True, scale=0.01, unit="m/s")
LEVEL = Signal(name="LEVEL", big_endian=False, shift=24, length=8, scale=-0.5, offset=100.0)
COUNTER = Signal(name="COUNTER", big_endian=False, shift=60, length=4)
RATIO = Signal(name="RATIO", big_endian=False, shift=0, length=32, float_format=">f")


def message(*signals: Signal, **options: object) -> MessageCodec:
    return MessageCodec(name="M", frame_id=0x100, length=8, signals=signals, **options)  # type: ignore[arg-type] # mixed


def test_both_byte_orders_lie_side_by_side() -> None:
    data = message(SPEED, LEVEL).encode({"SPEED": -1.0, "LEVEL": 99.5})
    assert data == bytes.fromhex("ff9c 00 01 00000000")
    assert message(SPEED, LEVEL).decode(data) == {"SPEED": -1.0, "LEVEL": 99.5}


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"SPEED": 400.0, "LEVEL": 0.0}, "M.SPEED is 400.0, expected -327.68 to 327.67 m/s"),
        ({"SPEED": math.nan, "LEVEL": 0.0}, "M.SPEED is nan"),
        ({"SPEED": math.inf, "LEVEL": 0.0}, "M.SPEED is inf"),
        ({"SPEED": 0.0, "LEVEL": 101.0}, "M.LEVEL is 101.0, expected -27.5 to 100"),
        ({"SPEED": 0.0}, "no value for M.LEVEL"),
        ({"SPEED": 0.0, "LEVL": 0.0}, 'message M has no signal "LEVL"\n  hint: did you mean "LEVEL"?'),
        ({"SPEED": 0.0, "LEVEL": 0.0, "COUNTER": 1}, "a value belongs to a signal that is filled in"),
    ],
)
def test_values_that_a_message_cannot_carry_are_refused(values: dict[str, float], text: str) -> None:
    codec = message(SPEED, LEVEL, COUNTER, counter_signal="COUNTER")
    with pytest.raises(CodecError) as caught:
        codec.encode(values)
    assert text in str(caught.value)


def test_the_encoder_fills_in_counter_and_checksum() -> None:
    crc = Signal(name="CRC", big_endian=False, shift=0, length=16)
    protected = message(
        crc, Signal(name="LEVEL", big_endian=False, shift=24, length=8), protection=Profile05(7), checksum_signal="CRC"
    )
    data = protected.encode({"LEVEL": 5}, counter=200)
    assert (protected.intact(data), protected.counter(data), protected.modulus) == (True, 200, 256)
    assert not protected.intact(data[:-1])
    assert not protected.intact(data[:4] + b"\x01" + data[5:])


def test_a_counter_signal_without_a_checksum_counts_too() -> None:
    for counter in (COUNTER, Signal(name="COUNTER", big_endian=True, shift=0, length=4)):
        codec = message(counter, LEVEL, counter_signal="COUNTER")
        data = codec.encode({"LEVEL": 1.0}, counter=18)
        assert (codec.modulus, codec.counter(data), codec.intact(data)) == (16, 2, True)


def test_a_message_without_a_counter_has_none() -> None:
    codec = message(LEVEL)
    assert (codec.modulus, codec.counter(bytes(8)), codec.fits(bytes(8)), codec.fits(bytes(7))) == (0, 0, True, False)


def test_whole_factors_keep_64_bits_exact() -> None:
    codec = message(Signal(name="ODOMETER", big_endian=False, shift=0, length=64, scale=2, offset=1))
    value = 2 * (2**64 - 1) + 1
    assert codec.decode(codec.encode({"ODOMETER": value})) == {"ODOMETER": value}
    assert codec.decode(codec.encode({"ODOMETER": 4.2}))["ODOMETER"] == 5


@pytest.mark.parametrize("scale", [1, 2, 0.5])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_scale_lets_nan_or_infinity_through(scale: float, value: float) -> None:
    codec = message(Signal(name="LEVEL", big_endian=False, shift=0, length=8, scale=scale))
    with pytest.raises(CodecError, match="expected"):
        codec.encode({"LEVEL": value})


def test_float_signals_carry_what_ieee_754_can() -> None:
    codec = message(RATIO)
    assert codec.decode(codec.encode({"RATIO": 0.5})) == {"RATIO": 0.5}
    for value in (math.nan, math.inf, 1e300):
        with pytest.raises(CodecError, match="expected a number that 32 bits can hold"):
            codec.encode({"RATIO": value})


MODE = Signal(name="MODE", big_endian=False, shift=0, length=4)
SLOW = Signal(name="SLOW", big_endian=False, shift=8, length=8, multiplexer="MODE", multiplexer_values=frozenset({1}))
FAST = Signal(
    name="FAST", big_endian=True, shift=40, length=16, multiplexer="MODE", multiplexer_values=frozenset({2, 3})
)


def test_a_multiplexed_message_carries_only_what_its_selector_says() -> None:
    codec = message(MODE, SLOW, FAST, COUNTER, counter_signal="COUNTER")
    for values in ({"MODE": 1, "SLOW": 7}, {"MODE": 3, "FAST": 700}, {"MODE": 0}):
        assert codec.decode(codec.encode(values, counter=5)) == {**values, "COUNTER": 5}


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"MODE": 1}, "no value for M.SLOW"),
        ({"MODE": 1, "SLOW": 1, "FAST": 1}, "left out here"),
        ({"MODE": 0, "SLW": 1}, 'no signal "SLW"'),
        ({"MODE": 1, "SLOW": 256}, "M.SLOW is 256, expected 0 to 255"),
    ],
)
def test_a_multiplexed_message_refuses_what_does_not_fit_its_selector(values: dict[str, float], text: str) -> None:
    with pytest.raises(CodecError, match=text):
        message(MODE, SLOW, FAST).encode(values)


# ---------------------------------------------------------------------------------------------------------------- snap


@given(value=st.floats(-1e6, 1e6), low=st.floats(-300, 300), width=st.floats(0.011, 50))
def test_a_snapped_value_lies_inside_and_survives_the_bytes(value: float, low: float, width: float) -> None:
    codec = message(SPEED)
    snapped = codec.snap("SPEED", value, low, low + width)
    assert low <= snapped <= low + width
    assert codec.decode(codec.encode({"SPEED": snapped}))["SPEED"] == snapped
    assert abs(snapped - min(max(value, low), low + width)) <= 0.0101


@given(value=st.floats(-1e6, 1e6), low=st.floats(-20, 90), width=st.floats(0.51, 10))
def test_a_negative_factor_snaps_inside_too(value: float, low: float, width: float) -> None:
    snapped = message(LEVEL).snap("LEVEL", value, low, low + width)
    assert low <= snapped <= low + width


@given(value=st.floats(-1e6, 1e6), low=st.floats(-1e3, 1e3), width=st.floats(0.001, 50))
def test_a_float_signal_snaps_inside_too(value: float, low: float, width: float) -> None:
    codec = message(RATIO)
    snapped = codec.snap("RATIO", value, low, low + width)
    assert low <= snapped <= low + width
    assert codec.decode(codec.encode({"RATIO": snapped}))["RATIO"] == snapped


def test_the_range_of_the_dbc_limits_a_snap() -> None:
    codec = message(Signal(name="S", big_endian=False, shift=0, length=16, scale=0.1, minimum=1.0, maximum=2.0))
    assert codec.snap("S", 50.0, -9.0, 9.0) == 2.0
    with pytest.raises(CodecError, match="no value from 3 to 2"):
        codec.snap("S", 3.0, 3.0, 4.0)


def test_the_bits_of_the_signal_limit_a_snap() -> None:
    assert message(SPEED).snap("SPEED", 1e9, -math.inf, math.inf) == 327.67
    assert message(SPEED).snap("SPEED", -1e9, -math.inf, math.inf) == -327.68


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_nothing_is_near_to_no_number(value: float) -> None:
    with pytest.raises(CodecError, match="near"):
        message(SPEED).snap("SPEED", value, -1.0, 1.0)


def test_bounds_between_two_steps_have_no_value() -> None:
    with pytest.raises(CodecError, match=r"has no step from 0\.001 to 0\.009"):
        message(SPEED).snap("SPEED", 0.005, 0.001, 0.009)


def test_an_unknown_signal_names_the_near_one() -> None:
    with pytest.raises(CodecError, match='did you mean "SPEED"'):
        message(SPEED, LEVEL).snap("SPEDE", 0.0, 0.0, 1.0)
