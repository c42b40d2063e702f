import zmq
from hypothesis import given
from hypothesis import strategies as st
from zmq.utils import z85

from cardan.runtime.link.zap import Question, decide, parse, reply

PUBLIC = zmq.curve_keypair()[0]
FRAMES = [b"route", b"", b"1.0", b"7", b"cardan", b"10.0.0.9", b"", b"CURVE", z85.decode(PUBLIC)]


def question(frames: list[bytes]) -> Question:
    found = parse(frames)
    assert found is not None
    return found


def test_a_trusted_key_is_let_in_under_its_name() -> None:
    answer = decide(question(FRAMES), {"laptop": PUBLIC})
    assert (answer.status, answer.user) == (b"200", "laptop")
    assert reply(question(FRAMES), answer) == [b"route", b"", b"1.0", b"7", b"200", b"OK", b"laptop", b""]


def test_an_unknown_key_is_refused_and_named_to_us_but_not_to_the_client() -> None:
    answer = decide(question(FRAMES), {"laptop": zmq.curve_keypair()[0]})
    assert answer.status == b"400"
    assert PUBLIC.decode() in answer.text and "10.0.0.9" in answer.text
    assert reply(question(FRAMES), answer)[4:] == [b"400", b"no access", b"", b""]


def test_other_mechanisms_are_refused() -> None:
    for mechanism in ([b"NULL"], [b"PLAIN", b"user", b"password"]):
        answer = decide(question([*FRAMES[:7], *mechanism]), {"laptop": PUBLIC})
        assert answer.status == b"400" and "without a key" in answer.text


@given(st.lists(st.binary(max_size=40), max_size=12), st.data())
def test_no_frames_raise_and_none_is_let_in_without_a_trusted_key(frames: list[bytes], data: st.DataObject) -> None:
    mixed = [data.draw(st.sampled_from([frame, *FRAMES[:-1]])) for frame in frames]
    found = parse(mixed)
    assert found is None or decide(found, {"laptop": PUBLIC}).status == b"400"
