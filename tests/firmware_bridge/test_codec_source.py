"""The compiled functions of a message do exactly what the slower code says, for any layout and any values."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cardan.firmware_bridge.codec import CodecError, MessageCodec, Signal
from cardan.firmware_bridge.codec_source import is_plain

LENGTH = 8
SCALES = st.sampled_from((1, 2, -3, 0.5, 0.004, -0.25, 1.0, 2e-6))
OFFSETS = st.sampled_from((0, 7, -40, 0.5, -327.68))
NUMBERS = st.one_of(
    st.integers(-(2**66), 2**66),
    st.floats(),
    st.floats(-500, 500),
    st.sampled_from((True, None, "1.0", b"", 10**400)),
)


@st.composite
def messages(draw: st.DrawFn) -> MessageCodec:
    """A message whose signals lie side by side, in one order of bytes or with a byte border between the two."""
    border = 8 * draw(st.integers(0, LENGTH))  # little-endian signals below it, big-endian ones above
    signals: list[Signal] = []
    for big_endian, size in ((False, border), (True, 8 * LENGTH - border)):
        place = 0
        while place < size and len(signals) < 12:
            length = draw(st.integers(1, min(64, size - place)))
            signal = Signal(
                name=draw(st.sampled_from(("S", "a'b", 'x"; y', "\\n", "__import__('os')"))) + str(len(signals)),
                big_endian=big_endian,
                shift=place,
                length=length,
                signed=draw(st.booleans()),
                scale=draw(SCALES),
                offset=draw(OFFSETS),
            )
            signals.append(signal)
            place += length + draw(st.integers(0, 9))
    counter = draw(st.sampled_from(["", *(signal.name for signal in signals)]))
    return MessageCodec(name="M", frame_id=1, length=LENGTH, signals=signals, counter_signal=counter)


@given(messages(), st.binary(min_size=LENGTH, max_size=LENGTH))
def test_compiled_decoding_equals_the_slower_code(message: MessageCodec, data: bytes) -> None:
    assert message.decode(data) == message._unpack_any(data)


@given(messages(), st.binary(min_size=LENGTH, max_size=LENGTH), st.integers(0, 2**70))
def test_compiled_encoding_equals_the_slower_code(message: MessageCodec, data: bytes, counter: int) -> None:
    values = {name: value for name, value in message.decode(data).items() if name not in message._filled}
    try:
        expected = message._pack_any(values, counter)
    except CodecError:
        return  # a float cannot hold the largest values of 60 bits and more
    assert message._pack(values, counter) == expected == message.encode(values, counter)


@given(messages(), st.data())
def test_values_that_nothing_can_carry_are_refused_and_others_are_equal(
    message: MessageCodec, data: st.DataObject
) -> None:
    names = [name for name in message.signals if name not in message._filled]
    values: Any = {name: data.draw(NUMBERS) for name in names if data.draw(st.booleans()) or len(names) == 1}
    try:
        expected = message._pack_any(values, 0)
    except CodecError as error:
        try:
            message.encode(values)
        except CodecError as same:
            assert str(same) == str(error)
        else:
            raise AssertionError(f"encoded, though {error}") from error
    else:
        assert message.encode(values) == expected


def test_what_is_not_a_whole_number_that_is_always_there_has_no_compiled_functions() -> None:
    whole = Signal(name="A", big_endian=False, shift=0, length=8)
    chosen = Signal(name="B", big_endian=False, shift=8, length=8, multiplexer="A", multiplexer_values=frozenset({1}))
    ratio = Signal(name="C", big_endian=False, shift=8, length=32, float_format=">f")
    endless = Signal(name="D", big_endian=False, shift=8, length=8, scale=math.inf)
    assert is_plain([whole])
    assert not any(is_plain([whole, other]) for other in (chosen, ratio, endless))
