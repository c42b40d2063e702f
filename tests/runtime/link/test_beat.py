import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime.errors import BusError
from cardan.runtime.link import beat as beats

BEAT = beats.Beat(beats.VERSION, "0123456789abcdef", 5, 0)
ANSWER = beats.Answer(beats.VERSION, 5, 6, 7, "run", "car", 9, {"a/b": "m:T"})


def test_a_beat_survives_the_way() -> None:
    assert beats.unpack_beat(beats.pack_beat(BEAT)) == BEAT


@given(st.binary(max_size=80), st.integers(0, 60))
def test_what_is_no_beat_and_no_answer_is_an_error_of_ours(data: bytes, cut: int) -> None:
    for candidate in (data, beats.MARK + data, beats.pack_beat(BEAT)[:cut]):
        for unpack in (beats.unpack_beat, beats.unpack_answer):
            try:
                found = unpack(candidate)
            except BusError:
                continue
            assert found.version == beats.VERSION


def test_a_topic_cannot_be_smuggled_into_a_beat() -> None:
    for link in ("", "../../../../../..", "0123456789abcdeF", "lidar/points"):
        beat = beats.Beat(beats.VERSION, link, 5, 0)
        with pytest.raises(BusError):
            beats.unpack_beat(beats.pack_beat(beat))


def test_another_version_names_both() -> None:
    import msgspec

    other = msgspec.structs.replace(ANSWER, version=2)
    with pytest.raises(BusError, match="version 2 of the link, expected 1"):
        beats.unpack_answer(msgspec.msgpack.encode(other))


def test_the_mark_changes_with_the_topics() -> None:
    marks = {beats.mark({}), beats.mark({"a/b": "m:T"}), beats.mark({"a/b": "m:U"}), beats.mark({"a/c": "m:T"})}
    assert len(marks) == 4 and 0 not in marks
