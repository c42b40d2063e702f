"""The last door before the bus: values become frames here, and the bytes are read back before anything leaves.

Only messages of the allow list exist for the gate: what is not listed cannot be built, and every frame is compared
with the list once more (identifier, length) before it is handed out. Counters and checksums are made here alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from cardan.firmware_bridge.codec import CodecError, MessageCodec
from cardan.firmware_bridge.envelope import Bounds
from cardan.runtime.errors import CardanError


class GateFault(CardanError):
    """A frame failed its last check: a defect of this program or of its memory. `code` names the check."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message, hint="reset the bridge only when the cause is known")
        self.code = code


class OutFrame(NamedTuple):
    """One frame to send."""

    id: int
    data: bytes
    extended: bool
    fd: bool


@dataclass(frozen=True, kw_only=True)
class Actuator:
    """Which message carries which signal of the envelope."""

    signal: str
    """Name in the envelope."""
    message: MessageCodec
    value: str
    """Signal of the message that carries the value."""
    enable: str
    """Signal of the message that is 1 while the actuator belongs to the bridge."""


class Gate:
    """Builds the frames of one period.

    status: message with ENGAGEMENT, ARMED and LIMITS_HASH, sent beside the actuators; None = none.
    constants: MESSAGE.SIGNAL -> value of signals that never change. CodecError when a message would be incomplete.
    """

    def __init__(
        self,
        actuators: Iterable[Actuator],
        *,
        status: MessageCodec | None = None,
        constants: Mapping[str, float] | None = None,
    ) -> None:
        self._actuators = tuple(actuators)
        self._status = status
        self._by_signal = {item.signal: item for item in self._actuators}
        self._messages = {item.message.name: item.message for item in self._actuators}
        self._constants: dict[str, dict[str, float]] = {name: {} for name in self._messages}
        for place, value in (constants or {}).items():
            message, _, signal = place.partition(".")
            if message not in self._messages:
                raise CodecError(f"constants: {place} is in no message that the bridge sends")
            self._constants[message][self._messages[message].signal(signal).name] = value
        every = [*self._messages.values(), *([status] if status else [])]
        self.allowed = {(codec.frame_id, codec.extended): codec for codec in every}
        self._counters = {codec.name: 0 for codec in every}
        self._try()

    def _try(self) -> None:
        """Build every message once, so that an incomplete one is found before the vehicle moves."""
        values = {item.signal: self.snap(item.signal, 0.0, (-math.inf, math.inf)) for item in self._actuators}
        self.frames(values, {name: (value, value) for name, value in values.items()}, {}, state=0, limits_hash=0)
        self._counters = dict.fromkeys(self._counters, 0)

    def snap(self, signal: str, value: float, bounds: Bounds) -> float:
        """The nearest value that the message of `signal` can carry inside `bounds`; CodecError when there is none."""
        actuator = self._by_signal.get(signal)
        if actuator is None:
            raise CodecError(f'no message carries the signal "{signal}"')
        return actuator.message.snap(actuator.value, value, *bounds)

    def frames(
        self,
        values: Mapping[str, float],
        bounds: Mapping[str, Bounds],
        enabled: Mapping[str, bool],
        *,
        state: int,
        limits_hash: int,
    ) -> list[OutFrame]:
        """One frame of every message. GateFault when the bytes do not say exactly what was meant, inside `bounds`."""
        contents = {name: dict(constants) for name, constants in self._constants.items()}
        for actuator in self._actuators:
            content = contents[actuator.message.name]
            content[actuator.value] = values[actuator.signal]
            content[actuator.enable] = 1 if enabled.get(actuator.signal) else 0
        frames = [self._frame(codec, contents[codec.name]) for codec in self._messages.values()]
        self._read_back(frames, bounds, enabled)
        if self._status is not None:
            armed = any(enabled.values())
            frames.append(self._frame(self._status, {"ENGAGEMENT": state, "ARMED": armed, "LIMITS_HASH": limits_hash}))
        for frame in frames:
            self._check_allowed(frame)
        return frames

    def _frame(self, codec: MessageCodec, content: Mapping[str, float]) -> OutFrame:
        counter = self._counters[codec.name]
        self._counters[codec.name] = (counter + 1) % max(1, codec.modulus)
        return OutFrame(codec.frame_id, codec.encode(content, counter), codec.extended, codec.fd)

    def _check_allowed(self, frame: OutFrame) -> None:
        codec = self.allowed.get((frame.id, frame.extended))
        if codec is None or not codec.intact(frame.data):
            what = f"frame 0x{frame.id:X} of {len(frame.data)} bytes is not on the allow list"
            raise GateFault(f"not-allowed:0x{frame.id:X}", what)

    def _read_back(self, frames: list[OutFrame], bounds: Mapping[str, Bounds], enabled: Mapping[str, bool]) -> None:
        """Decode the bytes that are about to leave and compare them with what the envelope allows."""
        said = {(frame.id, frame.extended): frame.data for frame in frames}
        for actuator in self._actuators:
            codec = actuator.message
            found = codec.decode(said[codec.frame_id, codec.extended])
            low, high = bounds[actuator.signal]
            if not low <= found[actuator.value] <= high:
                reads = f"{codec.name}.{actuator.value} reads {found[actuator.value]:.9g}"
                raise GateFault(f"read-back:{actuator.signal}", f"{reads}, allowed is {low:.9g} to {high:.9g}")
            if bool(found[actuator.enable]) != bool(enabled.get(actuator.signal)):
                raise GateFault(f"read-back:{actuator.signal}", f"{codec.name}.{actuator.enable} is not as meant")
