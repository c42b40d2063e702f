import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime.bus.envelope import HEADER_SIZE, pack, unpack
from cardan.runtime.errors import BusError

u64 = st.integers(0, 2**64 - 1)


@given(u64, u64, u64, st.integers(0, 2**32 - 1), st.integers(0, 2**16 - 1), st.booleans())
def test_a_header_comes_back_as_it_was_packed(
    seq: int, sent_ns: int, origin_ns: int, schema: int, epoch: int, valid: bool
) -> None:
    data = pack(seq, sent_ns, origin_ns, schema, epoch, valid=valid)
    assert len(data) == HEADER_SIZE == 32
    header = unpack(data + b"payload")
    assert (header.seq, header.sent_ns, header.origin_ns) == (seq, sent_ns, origin_ns)
    assert (header.schema, header.epoch, header.valid) == (schema, epoch, valid)


def test_a_short_message_is_refused() -> None:
    with pytest.raises(BusError, match="has no envelope"):
        unpack(b"\0" * 31)


def test_another_version_of_the_envelope_is_refused() -> None:
    data = bytearray(pack(1, 2, 3, 4, 5, valid=True))
    data[-1] = 9
    with pytest.raises(BusError, match="envelope version 9"):
        unpack(bytes(data))
