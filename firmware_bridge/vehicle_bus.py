"""What the vehicle reports: the messages that a vehicle map uses, each judged, as quantities in SI units."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from cardan.firmware_bridge.codec import MessageCodec
from cardan.firmware_bridge.dbc import Dbc
from cardan.firmware_bridge.trust import Quality, TrustedMessage
from cardan.firmware_bridge.vehicle_map import NUMBERS, SWITCHES, Term, VehicleMap
from cardan.runtime.errors import ConfigError, near_names
from cardan.runtime.messages import CanFrame


class VehicleBus:
    """The messages of one channel that a map uses: feed it frames, ask it for quantities and for problems."""

    def __init__(self, vehicle: VehicleMap, dbc: Dbc, *, channel: str, max_age_s: Mapping[str, float]) -> None:
        unknown = sorted(set(vehicle.signals) - set(NUMBERS) - set(SWITCHES))
        if unknown:
            hint = near_names(unknown[0], [*NUMBERS, *SWITCHES])
            raise ConfigError(f'the vehicle map has an unknown quantity "{unknown[0]}"', hint=hint)
        self._channel = channel
        self._messages: dict[str, TrustedMessage] = {}
        self._quantities = {
            name: [self._resolve(term, vehicle, dbc, max_age_s) for term in terms]
            for name, terms in vehicle.signals.items()
        }
        self._used = list(self._messages.values())
        for name in vehicle.verify:
            self._message(name, vehicle, dbc, max_age_s)
        self._by_id = {(item.codec.frame_id, item.codec.extended): item for item in self._messages.values()}

    def _resolve(
        self, term: Term, vehicle: VehicleMap, dbc: Dbc, max_age_s: Mapping[str, float]
    ) -> tuple[TrustedMessage, str, float, float]:
        message, _, signal = term.signal.partition(".")
        trusted = self._message(message, vehicle, dbc, max_age_s)
        return trusted, trusted.codec.signal(signal).name, term.scale, term.offset

    def _message(self, name: str, vehicle: VehicleMap, dbc: Dbc, max_age_s: Mapping[str, float]) -> TrustedMessage:
        if name not in self._messages:
            codec = dbc.message(name)
            self._messages[name] = TrustedMessage(
                codec,
                period_s=vehicle.periods_s.get(name),
                max_age_s=max_age_s.get(name),
                quality=_quality(vehicle, codec),
            )
        return self._messages[name]

    @property
    def messages(self) -> Mapping[str, TrustedMessage]:
        """Every message that is listened to, by name."""
        return self._messages

    def receive(self, frame: CanFrame) -> bool:
        """Take one frame; True when it belongs to a used message and was believed."""
        if frame.error or frame.channel != self._channel:
            return False
        message = self._by_id.get((frame.id, frame.extended))
        return message is not None and message.receive(frame.data, frame.stamp_ns)

    def missing(self, quantities: Iterable[str]) -> list[str]:
        """Those of `quantities` that the map does not have."""
        return [name for name in quantities if name not in self._quantities]

    def has(self, quantity: str) -> bool:
        """True for a quantity of the map."""
        return quantity in self._quantities

    def complete(self) -> bool:
        """True when every quantity of the map has a value."""
        return all(message.stamp_ns for message in self._used)

    def number(self, name: str) -> float:
        """Newest value of a number; NaN while a message that it needs has not come, or when the map lacks it."""
        terms = self._quantities.get(name)
        if not terms:
            return math.nan
        total = 0.0
        for message, signal, scale, offset in terms:
            total += message.values.get(signal, math.nan) * scale + offset
        return total

    def switch(self, name: str) -> bool:
        """Newest value of a switch; False when the map lacks it or nothing has come yet."""
        for message, signal, scale, offset in self._quantities.get(name, ()):
            if message.values.get(signal, math.nan) * scale + offset > 0.5:
                return True
        return False

    def problems(self, now_ns: int) -> list[str]:
        """What is wrong with the messages that the quantities need, as `CODE:MESSAGE`; empty when nothing is."""
        return [problem for message in self._used if (problem := message.problem(now_ns))]

    def answers(self, name: str, now_ns: int) -> bool:
        """True when every message behind a quantity may be believed; also for a quantity that the map lacks."""
        return not any(message.problem(now_ns) for message, *_ in self._quantities.get(name, ()))

    @property
    def newest_ns(self) -> int:
        """Reception of the newest believed frame that a quantity needs; 0 before the first."""
        return max(message.stamp_ns for message in self._used)

    def totals(self) -> tuple[int, int, int]:
        """Frames believed, checksum failures, and counter failures of all messages."""
        every = self._messages.values()
        return (
            sum(item.decoded for item in every),
            sum(item.checksum_failures for item in every),
            sum(item.counter_failures for item in every),
        )


def _quality(vehicle: VehicleMap, codec: MessageCodec) -> Quality | None:
    """The flag that the map names for a message; None where it names none."""
    for term in vehicle.quality:
        message, _, signal = term.signal.partition(".")
        if message == codec.name:
            return Quality(codec.signal(signal).name, term.scale, term.offset)
    return None
