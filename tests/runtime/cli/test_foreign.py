"""Messages are shown without their types, whatever is in them."""

from __future__ import annotations

import json

import msgpack
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime.bus.codec import EXT_ARRAY, EXT_PAYLOAD, EXT_SLOT, MessageEncoder
from cardan.runtime.bus.envelope import pack, unpack
from cardan.runtime.cli import foreign
from cardan.runtime.cli.engagement import describe
from cardan.runtime.cli.foreign import decode_foreign, json_line, one_line, text_lines
from cardan.runtime.cli.topic_echo import message_lines, record
from cardan.runtime.errors import BusError
from cardan.runtime.messages import CameraFrame, CanFrame, CanFrames

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.binary() | st.integers(0, 9), inner),
    max_leaves=20,
)


def test_the_extension_codes_are_those_of_the_bus() -> None:
    ours = (foreign.EXT_SLOT, foreign.EXT_ARRAY, foreign.EXT_PAYLOAD)
    assert ours == (EXT_SLOT, EXT_ARRAY, EXT_PAYLOAD)


@given(values, st.binary(max_size=300))
def test_a_message_that_is_only_a_descriptor_is_told_from_others(value: object, descriptor: bytes) -> None:
    assert not foreign.is_long(msgpack.packb(value))
    assert foreign.is_long(msgpack.packb(msgpack.ExtType(EXT_PAYLOAD, descriptor)))


def test_a_long_message_is_shown_by_its_size_when_it_is_gone() -> None:
    descriptor = msgspec.msgpack.encode(["frames.0", 64, 2, "|u1", [70_000]])
    payload = msgspec.msgpack.encode(msgspec.msgpack.Ext(EXT_PAYLOAD, descriptor))
    assert decode_foreign(payload) == "a message of 70000 bytes in shared memory"
    assert foreign.slot_bytes(payload) == 70_000


def test_an_array_is_shown_by_its_type_and_shape() -> None:
    frame = CameraFrame(frame_id=1, image=np.zeros((36, 64, 3), np.uint8))
    assert decode_foreign(MessageEncoder(CameraFrame).encode(frame)) == {"frame_id": 1, "image": "array uint8 36x64x3"}


def test_an_array_in_shared_memory_is_shown_without_opening_it() -> None:
    descriptor = msgspec.msgpack.encode(["frames.0", 64, 2, "<f4", [360, 640]])
    payload = msgspec.msgpack.encode({"image": msgspec.msgpack.Ext(EXT_SLOT, descriptor)})
    assert decode_foreign(payload) == {"image": "array float32 360x640 in shared memory"}


def test_can_frames_have_a_line_each_with_their_bytes_as_hex() -> None:
    frames = [CanFrame("bench", 0x24, b"\x01\xab", 7), CanFrame("bench", 0x25, b"", 8)]
    value = decode_foreign(MessageEncoder(CanFrames).encode(CanFrames(frames=frames)))
    assert text_lines(value) == [
        "  frames:",
        "    [bench, 36, 01ab, 7, false, false, false]",
        "    [bench, 37, , 8, false, false, false]",
    ]


def test_long_lists_are_cut_for_people_and_whole_for_machines() -> None:
    assert one_line(list(range(100))).endswith("10, 11, … 88 more]")
    assert len(json.loads(json_line({"value": list(range(100))}))["value"]) == 100


@given(values)
def test_every_value_is_one_line_of_strict_json_and_printable_text(value: object) -> None:
    line = json_line({"value": value})
    assert "\n" not in line
    json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert all(text.isprintable() for text in text_lines(value))


@given(st.binary(max_size=60))
def test_noise_is_a_value_or_an_error_of_ours(noise: bytes) -> None:
    try:
        text_lines(decode_foreign(noise))
    except BusError as error:
        assert "not msgpack" in error.message


def test_a_message_nested_without_end_is_an_error_of_ours() -> None:
    with pytest.raises(BusError, match="not msgpack"):
        decode_foreign(b"\x91" * 100_000)


@given(st.integers(0, 127), st.binary(max_size=30))
def test_unknown_extensions_are_named(code: int, data: bytes) -> None:
    assert isinstance(decode_foreign(msgpack.packb(msgpack.ExtType(code, data))), str)


def test_the_envelope_is_shown_before_the_value() -> None:
    header = unpack(pack(7, 1_000_000_000, 970_000_000, 1, 2, valid=False))
    lines = message_lines("bridge/sent", header, {"cycle": 3}, 1_005_000_000)
    assert [line.text for line in lines] == [
        "bridge/sent  seq 7  epoch 2  sent 5 ms ago  origin 35 ms ago  not valid",
        "  cycle: 3",
    ]
    facts = record("bridge/sent", header, {"cycle": 3}, 1_005_000_000)
    assert (facts["seq"], facts["valid"], facts["age_s"], facts["value"]) == (7, False, 0.005, {"cycle": 3})


@pytest.mark.parametrize(
    ("verdict", "text"),
    [
        ({"engagement": "enabled", "cause": "driver"}, "enabled"),
        ({"engagement": "safe-stop", "cause": "control-lost"}, "safe-stop (control-lost)"),
        ({"engagement": "disabled", "cause": ""}, "disabled"),
        (17, ""),
        ({}, ""),
    ],
)
def test_the_engagement_names_its_cause_when_it_is_not_enabled(verdict: object, text: str) -> None:
    assert describe(verdict) == text
