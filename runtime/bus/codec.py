"""Messages to bytes and back: msgpack maps, with numpy arrays as extensions.

Extension 1 is a slot descriptor (the array lies in shared memory), extension 2 an array in the message itself. A
payload that is extension 3 as a whole is a descriptor of a slot that holds the real payload: messages of 64 KiB and
more travel so.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec
import numpy as np

from cardan.runtime.bus.slots import SlotDescriptor, SlotMaps, SlotPool
from cardan.runtime.errors import BusError
from cardan.runtime.messages import Message, schema_id, type_name

M = TypeVar("M", bound=Message)

EXT_SLOT = 1
EXT_ARRAY = 2
EXT_PAYLOAD = 3
SPILL_FROM = 64 * 1024
"""Payloads of this many bytes go to shared memory where there is any."""
_EXT_HEADS = frozenset(range(0xC7, 0xCA)) | frozenset(range(0xD4, 0xD9))
"""First bytes of a msgpack extension; a message as such is a map."""
_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
"""What msgspec raises for bytes that are no message: also text that is not UTF-8, and nesting without end."""


class _InlineArray(msgspec.Struct, frozen=True, array_like=True):
    dtype: str
    shape: tuple[int, ...]
    data: bytes


class MessageEncoder(Generic[M]):
    """Encodes messages of one type. With a pool, arrays and long payloads go to shared memory; else into the message.

    spill_from: length in bytes from which a payload is long.
    """

    def __init__(self, message_type: type[M], pool: SlotPool | None = None, spill_from: int = SPILL_FROM) -> None:
        self.message_type = message_type
        self.schema = schema_id(message_type)
        self._pool = pool
        self._spill_from = spill_from
        self._encoder = msgspec.msgpack.Encoder(enc_hook=self._encode_array)

    def encode(self, message: M) -> bytes:
        """The payload of `message`; BusError when it is of another type or has a field msgpack cannot carry."""
        if type(message) is not self.message_type:
            raise BusError(
                f"a {type(message).__name__} was sent on an output of {type_name(self.message_type)}",
                hint="send the type that the Output declares",
            )
        try:
            payload = self._encoder.encode(message)
        except (TypeError, ValueError, OverflowError) as error:
            raise BusError(f"a {type(message).__name__} cannot be encoded: {error}") from error
        if len(payload) >= self._spill_from and self._pool is not None:
            slot = self._pool.pack(np.frombuffer(payload, np.uint8))
            return msgspec.msgpack.encode(msgspec.msgpack.Ext(EXT_PAYLOAD, slot))
        return payload

    def _encode_array(self, value: Any) -> msgspec.msgpack.Ext:
        if not isinstance(value, np.ndarray):
            raise BusError(f"a message field holds a {type(value).__name__}, which the bus cannot carry")
        if self._pool is not None:
            return msgspec.msgpack.Ext(EXT_SLOT, self._pool.pack(value))
        inline = _InlineArray(value.dtype.str, value.shape, np.ascontiguousarray(value).tobytes())
        return msgspec.msgpack.Ext(EXT_ARRAY, msgspec.msgpack.encode(inline))


class MessageDecoder(Generic[M]):
    """Decodes messages of one type; arrays come as read-only views, valid while `intact` and leased until `release`."""

    def __init__(self, message_type: type[M], maps: SlotMaps | None = None) -> None:
        self.schema = schema_id(message_type)
        self._message_type = message_type
        self._maps = maps
        self._slots: list[SlotDescriptor] = []
        self._held: list[SlotDescriptor] = []
        self._decoder = msgspec.msgpack.Decoder(message_type, ext_hook=self._decode_array, dec_hook=_keep_array)

    def decode(self, payload: bytes | memoryview) -> M:
        """The message in `payload`; BusError when it is not one of this type."""
        self._slots = []
        if payload and payload[0] in _EXT_HEADS:
            return self._decode_spilled(payload)
        try:
            return self._decoder.decode(payload)
        except _UNREADABLE as error:
            raise BusError(f"a message is not a {type_name(self._message_type)}: {error}") from error

    def _decode_spilled(self, payload: bytes | memoryview) -> M:
        try:
            outer = msgspec.msgpack.decode(payload, type=msgspec.msgpack.Ext)
            if outer.code != EXT_PAYLOAD or self._maps is None:
                raise BusError(f"a message is no map but the extension {outer.code}")
            slot = msgspec.msgpack.decode(outer.data, type=SlotDescriptor)
        except _UNREADABLE as error:
            raise BusError(f"a message has no readable descriptor: {error}") from error
        inner = self._maps.view(slot).tobytes()
        if not self._maps.intact(slot):
            raise BusError("a long message was overwritten before it was read")
        self._maps.release(slot)
        if inner[:1] and inner[0] in _EXT_HEADS:
            raise BusError("a long message holds another descriptor instead of a message")
        return self.decode(inner)

    def release(self) -> None:
        """The arrays of the messages decoded since the last release are no longer used."""
        held, self._held = self._held, []
        if self._maps is not None:
            for slot in held:
                self._maps.release(slot)

    @property
    def intact(self) -> bool:
        """True while every array of the last decoded message is still as the publisher left it."""
        maps = self._maps
        return maps is None or all(maps.intact(slot) for slot in self._slots)

    def _decode_array(self, code: int, data: memoryview) -> np.ndarray:
        if code == EXT_SLOT and self._maps is not None:
            slot = msgspec.msgpack.decode(data, type=SlotDescriptor)
            self._slots.append(slot)
            self._held.append(slot)
            return self._maps.view(slot)
        if code == EXT_ARRAY:
            return _inline_array(msgspec.msgpack.decode(data, type=_InlineArray))
        raise BusError(f"a message holds the unknown extension {code}")


def _inline_array(inline: _InlineArray) -> np.ndarray:
    try:
        return np.frombuffer(inline.data, np.dtype(inline.dtype)).reshape(inline.shape)
    except (TypeError, ValueError, SyntaxError, OverflowError) as error:
        raise BusError(f"an array inside a message makes no sense: {error}") from error


def _keep_array(expected: type, value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value
    raise TypeError(f"expected an array for {expected}, got {type(value).__name__}")
