"""Any line of a log file is read as a record: ours as it was written, everything else as what was printed."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime.log.record import LEVELS, LogRecord, encode, records_in

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
records = st.builds(
    LogRecord,
    t_ns=st.integers(0, 1 << 60),
    wall_s=st.floats(0, 4e9),
    level=st.sampled_from(LEVELS),
    code=words.filter(bool),
    node=words,
    text=words,
    fields=st.dictionaries(st.sampled_from(["silent_ms", "cause", "pid"]), st.integers() | words | st.booleans()),
)


@given(records)
def test_a_record_is_read_as_it_was_written(record: LogRecord) -> None:
    line = encode(record)
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    assert list(records_in([line], "camera")) == [record]


@given(st.lists(st.binary(max_size=80).filter(lambda line: b"\n" not in line)))
def test_no_line_is_too_strange_to_be_read(lines: list[bytes]) -> None:
    found = list(records_in(lines, "camera"))
    assert len(found) == sum(bool(line.strip()) for line in lines)


@given(st.recursive(st.none() | st.booleans() | st.floats() | words, lambda inner: st.lists(inner, max_size=3)))
def test_a_record_with_strange_values_is_no_record_or_a_sane_one(value: object) -> None:
    line = json.dumps({"t_ns": value, "wall_s": value, "level": value, "code": value, "node": value, "text": value})
    (found,) = records_in([line.encode()], "camera")
    assert found.level in LEVELS and abs(found.wall_s) < 5e9


def test_what_is_printed_has_the_time_of_the_record_before_it() -> None:
    first = LogRecord(t_ns=7, wall_s=1.5, level="error", code="crash", node="camera", text="ends", fields={})
    lines = [encode(first), b"Traceback (most recent call last):\n", b"\n"]
    printed = list(records_in(lines, "camera"))[1]
    assert (printed.t_ns, printed.code, printed.text) == (7, "output", "Traceback (most recent call last):")


def test_a_line_without_a_code_is_a_note() -> None:
    (found,) = records_in([b'{"t_ns": 1, "wall_s": 2.0, "level": "critical", "text": "hello"}'], "can")
    assert (found.code, found.level, found.node) == ("note", "error", "can")
