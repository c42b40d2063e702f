"""Messages to bytes and back: msgpack maps, with numpy arrays as extensions.

Extension 1 is a slot descriptor (the array lies in shared memory), extension 2 an array in the message itself.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar, get_type_hints

import msgspec
import numpy as np

from cardan.runtime.bus.slots import SlotDescriptor, SlotMaps, SlotPool
from cardan.runtime.errors import BusError
from cardan.runtime.messages import Message, schema_id, type_name

M = TypeVar("M", bound=Message)

EXT_SLOT = 1
EXT_ARRAY = 2


class _InlineArray(msgspec.Struct, frozen=True, array_like=True):
    dtype: str
    shape: tuple[int, ...]
    data: bytes


class MessageEncoder(Generic[M]):
    """Encodes messages of one type. With a pool, arrays go to shared memory; without, into the message."""

    def __init__(self, message_type: type[M], pool: SlotPool | None = None) -> None:
        self.message_type = message_type
        self.schema = schema_id(message_type)
        self._pool = pool
        self._encoder = msgspec.msgpack.Encoder(enc_hook=self._encode_array)

    def encode(self, message: M) -> bytes:
        """The payload of `message`; BusError when it is of another type or has a field msgpack cannot carry."""
        if type(message) is not self.message_type:
            raise BusError(
                f"a {type(message).__name__} was sent on an output of {type_name(self.message_type)}",
                hint="send the type that the Output declares",
            )
        try:
            return self._encoder.encode(message)
        except (TypeError, ValueError, OverflowError) as error:
            raise BusError(f"a {type(message).__name__} cannot be encoded: {error}") from error

    def _encode_array(self, value: Any) -> msgspec.msgpack.Ext:
        if not isinstance(value, np.ndarray):
            raise BusError(f"a message field holds a {type(value).__name__}, which the bus cannot carry")
        if self._pool is not None:
            return msgspec.msgpack.Ext(EXT_SLOT, msgspec.msgpack.encode(self._pool.describe(value)))
        inline = _InlineArray(value.dtype.str, value.shape, np.ascontiguousarray(value).tobytes())
        return msgspec.msgpack.Ext(EXT_ARRAY, msgspec.msgpack.encode(inline))


class MessageDecoder(Generic[M]):
    """Decodes messages of one type; arrays come as read-only views, valid while `intact`."""

    def __init__(self, message_type: type[M], maps: SlotMaps | None = None) -> None:
        self.schema = schema_id(message_type)
        self._message_type = message_type
        self._maps = maps
        self._slots: list[SlotDescriptor] = []
        self._decoder = msgspec.msgpack.Decoder(message_type, ext_hook=self._decode_array, dec_hook=_keep_array)

    def decode(self, payload: bytes | memoryview) -> M:
        """The message in `payload`; BusError when it is not one of this type."""
        self._slots = []
        try:
            return self._decoder.decode(payload)
        except msgspec.MsgspecError as error:
            raise BusError(f"a message is not a {type_name(self._message_type)}: {error}") from error

    @property
    def intact(self) -> bool:
        """True while every array of the last decoded message is still as the publisher left it."""
        maps = self._maps
        return maps is None or all(maps.intact(slot) for slot in self._slots)

    def _decode_array(self, code: int, data: memoryview) -> np.ndarray:
        if code == EXT_SLOT and self._maps is not None:
            slot = msgspec.msgpack.decode(data, type=SlotDescriptor)
            self._slots.append(slot)
            return self._maps.view(slot)
        if code == EXT_ARRAY:
            inline = msgspec.msgpack.decode(data, type=_InlineArray)
            return np.frombuffer(inline.data, np.dtype(inline.dtype)).reshape(inline.shape)
        raise BusError(f"a message holds the unknown extension {code}")


def _keep_array(expected: type, value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value
    raise TypeError(f"expected an array for {expected}, got {type(value).__name__}")


def has_arrays(message_type: type[Message]) -> bool:
    """True when a message type has a numpy field, so that its output needs slots."""
    hints = get_type_hints(message_type).values()
    return any(hint is np.ndarray or getattr(hint, "__origin__", None) is np.ndarray for hint in hints)
