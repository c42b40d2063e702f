"""The recorded form: JSON that viewers decode and that loses nothing."""

from __future__ import annotations

import inspect
import json
from enum import Enum
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime import messages
from cardan.runtime.messages import CanFrame, CanFrames, Message
from cardan.runtime.record.json_form import PlainForm, recorded_type, schema_of, with_envelope

MESSAGE_TYPES = [
    kind
    for _, kind in inspect.getmembers(messages, inspect.isclass)
    if issubclass(kind, Message) and kind is not Message
]


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Point(msgspec.Struct, frozen=True, array_like=True):
    x_m: float
    y_m: float


class Odd(Message, frozen=True):
    """Everything that viewers have no word for, beside what they have."""

    speed_mps: float
    limit_mps: float | None
    mixed: tuple[str, int]
    table: dict[str, float]
    grid: list[list[float]]
    colour: Colour
    nearest: Point | None
    path: tuple[Point, ...]


def check_as_a_viewer_does(schema: dict[str, Any]) -> None:
    """The rules of Lichtblick's parseJsonSchema.ts (and of its ancestor): anything else makes a topic unreadable."""
    assert schema["type"] == "object"
    for field in schema["properties"].values():
        if field["type"] == "object":
            check_as_a_viewer_does(field)
        elif field["type"] == "array":
            assert field["items"]["type"] in ("boolean", "string", "number", "integer", "object")
            assert "contentEncoding" not in field["items"]
            if field["items"]["type"] == "object":
                check_as_a_viewer_does(field["items"])
        else:
            assert field["type"] in ("boolean", "string", "number", "integer")
            assert field.get("contentEncoding", "base64") == "base64"


@pytest.mark.parametrize("message_type", [*MESSAGE_TYPES, Odd], ids=lambda kind: kind.__name__)
def test_every_message_type_has_a_schema_that_viewers_read(message_type: type[Message]) -> None:
    check_as_a_viewer_does(schema_of(message_type))


def test_what_a_schema_cannot_say_is_left_out_of_the_schema_only() -> None:
    assert set(Odd.__struct_fields__) - set(schema_of(Odd)["properties"]) == {"mixed", "grid"}
    odd = Odd(
        speed_mps=1.0,
        limit_mps=None,
        mixed=("a", 1),
        table={"a": 1.0},
        grid=[[1.0]],
        colour=Colour.RED,
        nearest=Point(1.0, 2.0),
        path=(Point(3.0, 4.0),),
    )
    recorded = json.loads(PlainForm(Odd).encode(odd, 0))
    assert recorded["mixed"] == ["a", 1]
    assert recorded["grid"] == [[1.0]]
    assert recorded["nearest"] == {"x_m": 1.0, "y_m": 2.0}
    assert recorded["path"] == [{"x_m": 3.0, "y_m": 4.0}]


def test_a_type_without_array_structs_is_recorded_as_it_is() -> None:
    assert recorded_type(messages.VehicleState) is messages.VehicleState


frames = st.builds(
    CanFrame,
    channel=st.sampled_from(["main", "radar"]),
    id=st.integers(0, 0x1FFFFFFF),
    data=st.binary(max_size=64),
    stamp_ns=st.integers(0, 2**62),
    extended=st.booleans(),
    fd=st.booleans(),
    error=st.booleans(),
)


@given(st.lists(frames, max_size=20))
def test_can_frames_come_back_from_a_recording_as_they_were(batch: list[CanFrame]) -> None:
    recorded = PlainForm(CanFrames).encode(CanFrames(frames=batch), 0)
    twin = msgspec.json.decode(recorded, type=recorded_type(CanFrames))
    assert [CanFrame(*msgspec.structs.astuple(frame)) for frame in msgspec.structs.astuple(twin)[0]] == batch


@pytest.mark.parametrize("body", [b"{}", b'{"a":1}'])
def test_the_envelope_is_the_last_field_of_any_object(body: bytes) -> None:
    whole = json.loads(with_envelope(body, 7, False, 3))
    assert whole.pop("_envelope") == {"origin_ns": 7, "valid": False, "epoch": 3}
    assert whole == json.loads(body)


def test_an_array_is_recorded_with_its_shape_and_dtype() -> None:
    class Scan(Message, frozen=True):
        ranges_m: np.ndarray

    form = PlainForm(Scan)
    recorded = json.loads(form.encode(Scan(ranges_m=np.zeros((2, 3), np.float32)), 0))
    assert recorded["ranges_m"] == {"dtype": "float32", "shape": [2, 3], "data": "A" * 32}


def test_a_field_without_a_json_form_is_refused() -> None:
    class Strange(Message, frozen=True):
        value: Any

    with pytest.raises(TypeError, match="complex has no JSON form"):
        PlainForm(Strange).encode(Strange(value=1j), 0)
