from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime.conditions.errors import ConditionError
from cardan.runtime.conditions.kinds import check_condition
from cardan.runtime.conditions.parse import condition_of
from cardan.runtime.conditions.tree import (
    Arithmetic,
    Compare,
    Every,
    Field,
    Lasting,
    Literal,
    Messages,
    Not,
    Some,
    Tree,
    Unary,
    Until,
    Window,
)
from cardan.runtime.messages import BridgeVerdict, CameraFrame, CanFrames, Message, RoadView, VehicleState

TYPES: dict[str, type[Message]] = {
    "state/vehicle": VehicleState,
    "engines/road": RoadView,
    "bridge/verdict": BridgeVerdict,
    "camera/frame": CameraFrame,
    "can/frames": CanFrames,
}


def without_places(tree: Tree) -> str:
    """The tree as nested words, for comparison."""
    if isinstance(tree, Literal):
        return str(tree.value)
    if isinstance(tree, Field):
        return tree.topic.partition("/")[2]
    name = getattr(tree, "operator", getattr(tree, "function", type(tree).__name__.lower()))
    return f"{name}({','.join(without_places(part) for part in tree.parts())})"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a/x.v + 1 * 2 < 3", "<(+(x,*(1,2)),3)"),
        ("a/x.v - 1 - 2 < 3", "<(-(-(x,1),2),3)"),
        ("a/x.v/2 < a/y.v/a/z.v", "<(/(x,2),/(y,z))"),
        ("-a/x.v < -3", "<(-(x),-(3))"),
        ("a/x.b or a/y.b and not a/z.b", "some(x,every(y,not(z)))"),
        ("(a/x.b or a/y.b) and a/z.b", "every(some(x,y),z)"),
        ("max(a/x.v, 2 s) > 1", ">(max(x),1)"),
        ("a/x.v > 8 for 2 s until a/x.v < 6", "until(lasting(>(x,8)),<(x,6))"),
        ("rising(a/x.b) and a/y.v == 0x10", "every(rising(x),==(y,16))"),
        ("a/x.t == 'late' or a/x.t == \"stale\"", "some(==(x,late),==(x,stale))"),
        ("(a/x.b and a/y.b) for 500ms", "lasting(every(x,y))"),
    ],
)
def test_what_binds_stronger_is_deeper_in_the_tree(text: str, expected: str) -> None:
    assert without_places(condition_of(text).root) == expected


def test_durations_ages_and_intervals_are_nanoseconds() -> None:
    condition = condition_of("last(a/x.v, 1 min) > 1 for 1.5 s every 1 h")
    lasting = condition.root
    assert isinstance(lasting, Lasting) and lasting.span_ns == 1_500_000_000
    assert isinstance(lasting.item, Compare) and isinstance(lasting.item.left, Field)
    assert lasting.item.left.age_ns == 60_000_000_000
    assert condition.interval_ns == 3_600_000_000_000
    assert condition.topics == {"a/x"}


def test_every_topic_of_a_condition_is_known_before_it_runs() -> None:
    text = "count(a/b, 1 s) < 5 and stale(c/d, 1 s) or max(e/f.x + g/h.y, 1 s) > len(i/j.k)"
    assert condition_of(text).topics == {"a/b", "c/d", "e/f", "g/h", "i/j"}


@pytest.mark.parametrize(
    ("text", "column", "what", "hint"),
    [
        ("", 1, "ends too early", "a field"),
        ("1 < 2", 1, "reads no topic", "state/vehicle.speed_mps"),
        ("state/vehicle.speed_mps >", 26, "ends too early", "a field, a number"),
        ("state/vehicle.speed_mps = 3", 25, "`=` has no meaning", "`==`"),
        ("state/vehicle.speed_mps > 1 && true", 29, "`&` has no meaning", "`and`"),
        ("1 < state/vehicle.speed_mps < 3", 29, "follows a comparison", "a < b and b < c"),
        ("state/vehicle > 3", 1, "is a topic, not a field", "state/vehicle.FIELD"),
        ("mx(state/vehicle.speed_mps, 1 s) > 3", 1, 'no function "mx"', '"max"'),
        ("speed > 3", 1, 'no function "speed"', "node/output.field"),
        ("max(state/vehicle.speed_mps) > 3", 28, "`)` does not belong", "`,`"),
        ("max(state/vehicle.speed_mps, 3) > 3", 31, "`)` does not belong", "a unit: ms, s, min, h"),
        ("max(state/vehicle.speed_mps, 0 s) > 3", 30, "a duration of 0 s", "more than 0"),
        ("max(state/vehicle.speed_mps, 2 h) > 3", 30, "a duration of 7200 s", "at most 3600 s"),
        ("a/x.b and a/y.b for 2 s", 17, "not clear what `for`", "(...) for ..."),
        ("not a/x.b for 2 s", 11, "not clear what `for`", "brackets"),
        ("a/x.b or a/y.b until a/z.b", 16, "not clear what `until`", "brackets"),
        ("a/x.b until a/y.b for 2 s", 19, "not clear what `for`", "brackets"),
        ("a/x.b every 2 s every 3 s", 17, "`every` does not belong", "the end"),
        ("stale(state/vehicle.speed_mps, 1 s)", 7, "does not belong", "a topic without a field"),
        ("(" * 40 + "a/x.b" + ")" * 40, 34, "nested too deep", "32 levels"),
        ("a/x.v > 1e999", 9, "out of range", "below"),
        (" or ".join(["a/b.c"] * 199) + " or not a/b.c", 1, "202 parts", "at most 200"),
        (" or ".join(["count(a/x, 1 s) > 1"] * 20), 1, "20 windows", "at most 16"),
        ("a/x.b" + " " * 3000, 1, "3005 characters", "2000"),
    ],
)
def test_a_mistake_is_named_with_its_column_and_what_was_expected(text: str, column: int, what: str, hint: str) -> None:
    with pytest.raises(ConditionError) as caught:
        condition_of(text)
    assert what in caught.value.message and caught.value.message.startswith(f"column {column}: ")
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("text", "column", "what", "hint"),
    [
        ("state/vehicle.speed > 3", 1, 'VehicleState has no field "speed"', '"speed_mps"'),
        ("state/vehicles.speed_mps > 3", 1, 'no node publishes "state/vehicles"', '"state/vehicle"'),
        ("state/vehicle.speed_mps", 1, "this is a number", "expected yes or no"),
        ("state/vehicle.speed_mps and true", 1, "this is a number", "expected yes or no"),
        ("state/vehicle.brake_pressed > 3", 29, "yes or no is compared with a number", "same kind"),
        ("state/vehicle.brake_pressed < true", 29, "yes or no has no order", "=="),
        ("bridge/verdict.reason + 1 == 2", 1, "this is a text", "expected a number"),
        ("camera/frame.image == 1", 1, "this field is a ndarray", "expected a number"),
        ("can/frames.frames == 1", 1, "this field is a list", "expected a number"),
        ("can/frames.frames[0] == 1", 1, "this field is a CanFrame", "name one of its fields: channel"),
        ("state/vehicle.speed_mps.x > 1", 1, 'a float has no field "x"', "remove"),
        ("state/vehicle.speed_mps[0] > 1", 1, "a float has no items", "remove [0]"),
        ("state/vehicle.wheel_speed_mps[4] > 1", 1, "no item [4]", "[0] to [3]"),
        ("len(state/vehicle.speed_mps) > 1", 5, "has no length", "a list"),
        ("count(state/vehicle.speed_mps, 1 s) > 1", 7, "this is a number", "expected yes or no"),
        ("max(state/vehicle.brake_pressed, 1 s) > 1", 5, "this is yes or no", "expected a number"),
        ("rising(1 + len(can/frames.frames))", 10, "this is a number", "comparison"),
    ],
)
def test_a_condition_is_checked_against_the_types_of_its_topics(text: str, column: int, what: str, hint: str) -> None:
    with pytest.raises(ConditionError) as caught:
        check_condition(condition_of(text), TYPES)
    assert what in caught.value.message and caught.value.message.startswith(f"column {column}: ")
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    "text",
    [
        "state/vehicle.wheel_speed_mps[0] - state/vehicle.speed_mps > 0.5",
        "engines/road.left_y_m[3] < 1.2 or len(engines/road.x_m) == 0",
        "can/frames.frames[0].id == 0x123 and can/frames.frames[0].error",
        "bridge/verdict.reason != 'ok' for 1 s every 1 min",
        "missing(state/vehicle) or invalid(state/vehicle) or stale(state/vehicle, 500 ms)",
        "count(state/vehicle.brake_pressed, 10 s) >= 3 and count(can/frames, 1 s) > 0",
    ],
)
def test_what_fits_the_messages_is_accepted(text: str) -> None:
    check_condition(condition_of(text), TYPES)


@given(st.text(alphabet="a/xb.v 12s<>=()[],-+*'\"&notrifmaxevy", max_size=60))
def test_no_text_does_anything_but_read_or_be_refused(text: str) -> None:
    try:
        condition = condition_of(text)
    except ConditionError as error:
        assert 0 <= error.at <= len(text) and error.hint
    else:
        assert condition.topics


def test_the_types_of_the_tree_say_what_was_read() -> None:
    tree = condition_of("count(a/x, 1 s) + min(a/x.v, 1 s) > abs(a/y.v)").root
    assert isinstance(tree, Compare) and isinstance(tree.left, Arithmetic) and isinstance(tree.right, Unary)
    assert isinstance(tree.left.left, Messages) and isinstance(tree.left.right, Window)
    assert isinstance(condition_of("(not a/x.b) until a/y.b").root, Until)
    assert isinstance(condition_of("not a/x.b and not a/y.b").root, Every)
    assert isinstance(condition_of("not a/x.b").root, Not)
    assert isinstance(condition_of("a/x.b or a/y.b").root, Some)
