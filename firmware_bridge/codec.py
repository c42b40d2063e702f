"""One bus message: bytes to physical values and back, with its checksum and counter.

A message of whole numbers gets two functions of its own, written out and compiled once (see `codec_source`): decoding
is one integer of the whole message and two operations a signal. Multiplexed messages and floating-point signals take
a slower path with the same results, which also says what is wrong with values that a message cannot carry.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from cardan.firmware_bridge.codec_source import Pack, Unpack, compile_pack, compile_unpack, is_plain
from cardan.firmware_bridge.e2e import Protection
from cardan.runtime.errors import ConfigError, near_names

FLOAT_FORMATS = {16: ">e", 32: ">f", 64: ">d"}
"""struct format of a floating-point signal by its length in bits (IEEE 754)."""


class CodecError(ConfigError):
    """Values that the message cannot carry, or bytes that are not this message."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Signal:
    """Where one signal lies in the message, and what its raw value means."""

    name: str
    big_endian: bool
    shift: int
    """Of its least significant bit, in the integer that the whole message makes in its byte order."""
    length: int
    signed: bool = False
    float_format: str = ""
    """struct format of a floating-point signal; empty for an integer."""
    scale: float = 1
    offset: float = 0
    minimum: float = -math.inf
    """Smallest physical value that the DBC allows to send."""
    maximum: float = math.inf
    unit: str = ""
    multiplexer: str = ""
    """Name of the signal that tells whether this one is in the message; empty = always."""
    multiplexer_values: frozenset[int] = frozenset()
    mask: int = field(init=False, repr=False, compare=False)
    sign_bit: int = field(init=False, repr=False, compare=False)
    """(raw ^ sign_bit) - sign_bit extends the sign; 0 leaves an unsigned value as it is."""
    raw_range: tuple[int, int] = field(init=False, repr=False, compare=False)
    """Least and greatest raw integer that the bits can hold."""

    def __post_init__(self) -> None:
        mask, sign_bit = (1 << self.length) - 1, 1 << (self.length - 1) if self.signed else 0
        object.__setattr__(self, "mask", mask)
        object.__setattr__(self, "sign_bit", sign_bit)
        object.__setattr__(self, "raw_range", (-sign_bit, sign_bit - 1) if self.signed else (0, mask))

    def to_physical(self, bits: int) -> float:
        if self.float_format:
            number: float = struct.unpack(self.float_format, bits.to_bytes(self.length // 8, "big"))[0]
            return number * self.scale + self.offset
        return ((bits ^ self.sign_bit) - self.sign_bit) * self.scale + self.offset

    def to_raw(self, value: float) -> int:
        """Nearest raw integer of a physical value; not for floating-point signals. May be out of range."""
        if self.scale == 1:
            return round(value - self.offset)
        if isinstance(self.scale, int) and isinstance(self.offset, int):
            whole, rest = divmod(value - self.offset, self.scale)
            return round(whole) if rest == 0 else round((value - self.offset) / self.scale)
        return round((value - self.offset) / self.scale)

    def to_bits(self, value: float, message: str) -> int:
        """Bits of a physical value; CodecError when it is no finite number or the signal cannot carry it."""
        try:
            if self.float_format and math.isfinite(value):
                return int.from_bytes(struct.pack(self.float_format, (value - self.offset) / self.scale), "big")
            raw = self.to_raw(value)
        except (ValueError, OverflowError, TypeError) as error:
            raise self.refuse(value, message) from error
        low, high = self.raw_range
        if not low <= raw <= high:
            raise self.refuse(value, message)
        return raw & self.mask

    def refuse(self, value: float, message: str) -> CodecError:
        """The error that says what this signal can carry."""
        if self.float_format:
            return CodecError(f"{message}.{self.name} is {value}, expected a number that {self.length} bits can hold")
        least, most = sorted(raw * self.scale + self.offset for raw in self.raw_range)
        return CodecError(f"{message}.{self.name} is {value}, expected {least:g} to {most:g} {self.unit}".rstrip())


class MessageCodec:
    """Encoder and decoder of one message."""

    def __init__(
        self,
        *,
        name: str,
        frame_id: int,
        length: int,
        signals: Iterable[Signal],
        extended: bool = False,
        fd: bool = False,
        period_s: float | None = None,
        protection: Protection | None = None,
        checksum_signal: str = "",
        counter_signal: str = "",
    ) -> None:
        self.name = name
        self.frame_id = frame_id
        self.extended = extended
        self.fd = fd
        self.length = length
        self.period_s = period_s
        self.protection = protection
        self.signals = {signal.name: signal for signal in signals}
        self._filled = {checksum_signal, counter_signal} - {""}
        self._counter = self.signals[counter_signal] if counter_signal else None
        self.modulus = _modulus(protection, self._counter)
        """The counter runs 0 .. modulus - 1; 0 when the message has none."""
        every = list(self.signals.values())
        self._unpack: Unpack = self._unpack_any
        self._pack: Pack = self._pack_any
        if is_plain(every):
            self._unpack = compile_unpack(every)
            given = [signal for signal in every if signal.name not in self._filled]
            self._pack = compile_pack(given, self._counter, length)

    def signal(self, name: str) -> Signal:
        """The signal called `name`; CodecError names the near ones."""
        if name not in self.signals:
            raise CodecError(f'message {self.name} has no signal "{name}"', hint=near_names(name, list(self.signals)))
        return self.signals[name]

    # ------------------------------------------------------------------------------------------------------- decoding

    def decode(self, data: bytes) -> dict[str, float]:
        """Physical values of the signals that `data` carries. `data` must have the message's length (see `fits`)."""
        return self._unpack(data)

    def _unpack_any(self, data: bytes) -> dict[str, float]:
        little, big = int.from_bytes(data, "little"), int.from_bytes(data, "big")
        values: dict[str, float] = {}
        selectors: dict[str, int] = {}
        for signal in self.signals.values():
            if signal.multiplexer and selectors.get(signal.multiplexer) not in signal.multiplexer_values:
                continue
            bits = (big if signal.big_endian else little) >> signal.shift & signal.mask
            selectors[signal.name] = bits
            values[signal.name] = signal.to_physical(bits)
        return values

    def fits(self, data: bytes) -> bool:
        """True when `data` is as long as the message."""
        return len(data) == self.length

    def intact(self, data: bytes) -> bool:
        """True when length and checksum are right; a message without a checksum is intact when its length is."""
        return len(data) == self.length and (self.protection is None or self.protection.matches(data))

    def counter(self, data: bytes) -> int:
        """The counter in `data`; 0 when the message has none."""
        if self.protection is not None and self.protection.modulus:
            return self.protection.counter(data)
        if self._counter is None:
            return 0
        whole = int.from_bytes(data, "big" if self._counter.big_endian else "little")
        return whole >> self._counter.shift & self._counter.mask

    # ------------------------------------------------------------------------------------------------------- encoding

    def encode(self, values: Mapping[str, float], counter: int = 0) -> bytes:
        """Bytes that carry `values`, then counter and checksum.

        Every signal but counter and checksum must have a value (of a multiplexed message: every signal that the
        selector asks for). CodecError for a missing or unknown name, or a value that the signal cannot carry.
        """
        try:
            data = self._pack(values, counter)
        except (KeyError, ValueError, OverflowError, TypeError):
            data = None
        if data is None:
            data = self._pack_any(values, counter)
        if self.protection is None:
            return data
        protected = bytearray(data)
        self.protection.protect(protected, counter)
        return bytes(protected)

    def _pack_any(self, values: Mapping[str, float], counter: int) -> bytes:
        little = big = used = 0
        selectors: dict[str, int] = {}
        for signal in self.signals.values():
            absent = signal.multiplexer and selectors.get(signal.multiplexer) not in signal.multiplexer_values
            if absent or signal.name in self._filled:
                continue
            if signal.name not in values:
                self._refuse_names(values, f"no value for {self.name}.{signal.name}")
            used += 1
            bits = selectors[signal.name] = signal.to_bits(values[signal.name], self.name)
            if signal.big_endian:
                big |= bits << signal.shift
            else:
                little |= bits << signal.shift
        if used != len(values):
            self._refuse_names(
                values, f"message {self.name}: a value belongs to a signal that is filled in, or left out here"
            )
        if self._counter is not None:
            bits = (counter & self._counter.mask) << self._counter.shift
            little, big = (little, big | bits) if self._counter.big_endian else (little | bits, big)
        whole = little | int.from_bytes(big.to_bytes(self.length, "big"), "little")
        return whole.to_bytes(self.length, "little")

    def _refuse_names(self, values: Mapping[str, float], what: str) -> NoReturn:
        for name in values:
            self.signal(name)
        raise CodecError(what)

    def snap(self, name: str, value: float, low: float, high: float) -> float:
        """The value nearest to `value` that the signal can carry inside `low` to `high` (and the DBC's own range).

        CodecError when there is none. What comes back decodes to exactly itself.
        """
        signal = self.signal(name)
        low, high = max(low, signal.minimum), min(high, signal.maximum)
        if not (math.isfinite(value) and low <= high):
            raise CodecError(f"{self.name}.{name}: no value from {low:g} to {high:g} near {value:g}")
        if signal.float_format:
            steps = self._float_steps(signal, min(max(value, low), high))
        else:
            steps = [self._nearest_raw(signal, value, low, high) * signal.scale + signal.offset]
        inside = [step for step in steps if low <= step <= high]
        if not inside:
            raise CodecError(f"{self.name}.{name} has no step from {low:.9g} to {high:.9g}")
        return inside[0]

    def _nearest_raw(self, signal: Signal, value: float, low: float, high: float) -> int:
        least, most = signal.raw_range
        inside = low if value < low else high if value > high else value
        raw = min(max(signal.to_raw(inside), least), most)
        physical = raw * signal.scale + signal.offset
        if low <= physical <= high:
            return raw
        raw += 1 if (physical < low) is (signal.scale > 0) else -1
        return min(max(raw, least), most)

    def _float_steps(self, signal: Signal, value: float) -> list[float]:
        """What the float signal makes of `value`, and its neighbours on both sides."""
        bits = signal.to_bits(value, self.name)
        return [signal.to_physical(step & signal.mask) for step in (bits, bits - 1, bits + 1)]


def _modulus(protection: Protection | None, counter: Signal | None) -> int:
    if protection is not None and protection.modulus:
        return protection.modulus
    return counter.mask + 1 if counter is not None else 0
