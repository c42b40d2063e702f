"""Messages for readers without our shared memory: each array that lies in a slot is put into the message itself."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from cardan.runtime.bus.codec import EXT_ARRAY, EXT_PAYLOAD, EXT_SLOT
from cardan.runtime.bus.envelope import HEADER_SIZE
from cardan.runtime.bus.slots import SlotDescriptor, SlotMaps
from cardan.runtime.errors import BusError

SLOT_MARK = re.compile(rb"[\xc7\xd8].\x01|\xc8..\x01|[\xd4-\xd7]\x01", re.DOTALL)
"""How msgpack begins an extension of type 1. It may also turn up in other data, which then costs one look inside."""
EXTENSIONS = frozenset(bytes([head]) for head in (*range(0xC7, 0xCA), *range(0xD4, 0xD9)))
"""First byte of a payload that is an extension as a whole, and no map."""


class Inliner:
    """Copies arrays out of the slots of one run. Not thread-safe."""

    def __init__(self, frames: Path) -> None:
        self._maps = SlotMaps(frames)
        self._slots: list[SlotDescriptor] = []
        self._decoder = msgspec.msgpack.Decoder(ext_hook=self._extension)

    def inline(self, message: bytes) -> bytes:
        """The message (with its envelope) without slots; BusError when an array is gone, or was reused meanwhile."""
        payload = message[HEADER_SIZE:]
        if payload[:1] in EXTENSIONS:
            payload = self._long_payload(payload)
        elif SLOT_MARK.search(payload) is None:
            return message
        return message[:HEADER_SIZE] + self._without_slots(payload)

    def _long_payload(self, payload: bytes) -> bytes:
        """The payload that a message of 64 KiB or more has left in a slot."""
        try:
            outer = msgspec.msgpack.decode(payload, type=msgspec.msgpack.Ext)
            if outer.code != EXT_PAYLOAD:
                return payload
            slot = msgspec.msgpack.decode(outer.data, type=SlotDescriptor)
        except msgspec.MsgspecError as error:
            raise BusError(f"a message has no readable descriptor: {error}") from error
        content = self._maps.view(slot).tobytes()
        if not self._maps.intact(slot):
            raise BusError("a long message was overwritten before it was copied")
        if content[:1] in EXTENSIONS:
            raise BusError("a long message holds another descriptor instead of a message")
        return content

    def _without_slots(self, payload: bytes) -> bytes:
        if SLOT_MARK.search(payload) is None:
            return payload
        self._slots.clear()
        try:
            value = self._decoder.decode(payload)
        except (msgspec.MsgspecError, ValueError, TypeError) as error:
            raise BusError(f"a message with arrays cannot be read: {error}") from error
        if not self._slots:
            return payload
        inlined = msgspec.msgpack.encode(value)
        if not all(self._maps.intact(slot) for slot in self._slots):
            raise BusError("an array was overwritten before it was copied")
        return inlined

    def _extension(self, code: int, data: memoryview) -> msgspec.msgpack.Ext:
        if code != EXT_SLOT:
            return msgspec.msgpack.Ext(code, bytes(data))
        slot = msgspec.msgpack.decode(data, type=SlotDescriptor)
        self._slots.append(slot)
        array = self._maps.view(slot)
        content = array.reshape(-1).view("u1").data if array.size else b""
        return msgspec.msgpack.Ext(EXT_ARRAY, msgspec.msgpack.encode([slot.dtype, slot.shape, content]))

    def close(self) -> None:
        self._maps.close()
