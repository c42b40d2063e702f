"""Many frames at a time get the verdicts that they get one by one."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardan.firmware_bridge.additive import AdditiveChecksum
from cardan.firmware_bridge.codec import MessageCodec, Signal
from cardan.firmware_bridge.dbc_tables import MessageTable
from cardan.firmware_bridge.e2e import Protection, protection
from cardan.firmware_bridge.frame_reader import Definition
from cardan.firmware_bridge.many_frames import ManyJudge, in_rows
from cardan.firmware_bridge.trust import Quality

PROTECTIONS: dict[str, Protection | None] = {
    "1 both": protection(1, 0x1234),
    "1 alternating": protection(1, 0x1234, "alternating"),
    "1 low, behind two bytes": protection(1, 0x1234, "low", 2),
    "11 nibble": protection(11, 0x0A34),
    "2": protection(2, 0x77),
    "2 with its own ids": protection(2, 0, data_ids="000102030405060708090a0b0c0d0e0f"),
    "5": protection(5, 0xBEEF),
    "5 behind a byte": protection(5, 0xBEEF, offset=1),
    "sum": AdditiveChecksum(0x2E4),
    "none": None,
}
FLAG = Quality("STATE", scale=-1.0, offset=2.0)
"""Invalid above 1.5, as a signal of three bits that is called so."""


def signal(name: str, shift: int, length: int, *, big_endian: bool = False, **others: bool | str | float) -> Signal:
    return Signal(name=name, big_endian=big_endian, shift=shift, length=length, **others)  # type: ignore[arg-type]


def codec_of(protected: Protection | None, length: int, *, big_endian: bool, counter: bool) -> MessageCodec:
    signals = [signal("STATE", 8 * (length // 2) + 4, 3, big_endian=big_endian, signed=True)]
    own = counter and not (protected and protected.modulus)
    if own:
        signals.append(signal("COUNTER", 8 * (length // 2), 2, big_endian=big_endian))
    return MessageCodec(
        name="M",
        frame_id=0x2E4,
        length=length,
        signals=signals,
        protection=protected,
        counter_signal="COUNTER" if own else "",
    )


def definition(codec: MessageCodec, quality: Quality | None) -> Definition:
    table = MessageTable(name="M", frame_id=0x2E4, extended=False, fd=False, length=codec.length, line=1)
    return Definition(table, codec, quality)


def messages(codec: MessageCodec, seed: int, count: int) -> list[bytes]:
    """Good ones, with counters that mostly go on, and some with a bit the other way round, or of noise."""
    rng, counter, found = random.Random(seed), 0, []
    for _ in range(count):
        data = bytearray(rng.randbytes(codec.length))
        counter = (counter + rng.choice((1, 1, 1, 1, 0, 3, 7))) % (codec.modulus or 1)
        if codec.protection is not None and rng.random() < 0.95:
            codec.protection.protect(data, counter)
        if rng.random() < 0.1:
            data[rng.randrange(codec.length)] ^= 1 << rng.randrange(8)
        found.append(bytes(data))
    return found


@pytest.mark.parametrize("name", list(PROTECTIONS))
@settings(max_examples=15, deadline=None)
@given(
    length=st.integers(5, 8),
    big_endian=st.booleans(),
    counter=st.booleans(),
    quality=st.sampled_from([None, FLAG, Quality("ABSENT")]),
    seed=st.integers(0, 1 << 32),
    sizes=st.lists(st.integers(0, 60), max_size=4),
)
def test_the_verdicts_are_those_of_one_at_a_time(
    name: str,
    length: int,
    big_endian: bool,
    counter: bool,
    quality: Quality | None,
    seed: int,
    sizes: list[int],
) -> None:
    codec = codec_of(PROTECTIONS[name], length, big_endian=big_endian, counter=counter)
    one, many = definition(codec, quality), ManyJudge.of(definition(codec, quality))
    assert many is not None
    for number, size in enumerate(sizes):
        batch = messages(codec, seed + number, size)
        assert many.judge(in_rows(batch)) == Counter(one.judge(data) for data in batch)


def test_all_kinds_of_verdicts_occur() -> None:
    codec = codec_of(PROTECTIONS["5"], 8, big_endian=False, counter=True)
    many = ManyJudge.of(definition(codec, FLAG))
    assert many is not None
    found = many.judge(in_rows(messages(codec, 1, 2000)))
    assert set(found) == {"ok", "checksum wrong", "counter repeated", "counter wrong", "flagged invalid by its sender"}
    assert min(found.values()) > 20


def test_a_counter_goes_on_from_one_batch_to_the_next() -> None:
    codec = codec_of(PROTECTIONS["5"], 8, big_endian=False, counter=True)
    many = ManyJudge.of(definition(codec, None))
    assert many is not None
    data = bytearray(8)
    PROTECTIONS["5"].protect(data, 4)  # type: ignore[union-attr]
    assert many.judge(in_rows([bytes(data)])) == {"ok": 1}
    assert many.judge(in_rows([])) == {}
    assert many.judge(in_rows([bytes(data)])) == {"counter repeated": 1}


class Squares:
    """A checksum that no table of bytes can hold."""

    modulus = 0
    minimum_length = 2

    def protect(self, data: bytearray, counter: int) -> None:
        data[0] = sum(data[1:]) ** 2 // 7 & 0xFF

    def matches(self, data: bytes) -> bool:
        return data[0] == sum(data[1:]) ** 2 // 7 & 0xFF

    def counter(self, data: bytes) -> int:
        return 0


def test_what_cannot_be_looked_up_is_left_to_one_at_a_time() -> None:
    squares = codec_of(Squares(), 8, big_endian=False, counter=False)
    long = codec_of(None, 12, big_endian=False, counter=False)
    chosen = MessageCodec(
        name="M",
        frame_id=1,
        length=8,
        signals=[
            signal("WHICH", 0, 2),
            Signal(
                name="STATE",
                big_endian=False,
                shift=8,
                length=3,
                multiplexer="WHICH",
                multiplexer_values=frozenset({1}),
            ),
        ],
    )
    assert [ManyJudge.of(definition(codec, FLAG)) for codec in (squares, long, chosen)] == [None] * 3
