"""Settings of the outbox node."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from cardan.runtime.node.node import NodeConfig
from cardan.runtime.outbox.limits import MIB, ClassLimits, NotNegative, Positive, SpoolLimits
from cardan.runtime.outbox.segment import RecordClass

ClassName = Literal["critical", "event", "trend", "bulk"]


class ClassSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is other than usual for one class, see ClassLimits."""

    max_bytes: Annotated[int, msgspec.Meta(ge=1 << 16)] | None = None
    """Of everything in the folder of the class; the oldest go."""
    segment_bytes: Annotated[int, msgspec.Meta(ge=1 << 12)] | None = None
    """About how large an object is before compression; no record may be longer."""
    commit_s: NotNegative | None = None
    """A record is durable this long after it came, or sooner."""
    commit_bytes: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """So many that wait are made durable at once."""
    seal_s: Positive | None = None
    """A segment that is not full may leave after this time."""

    def on(self, limits: ClassLimits) -> ClassLimits:
        """`limits` with what is said here."""
        said = {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}
        return msgspec.structs.replace(limits, **said)


class OutboxConfig(NodeConfig, frozen=True):
    """Settings of the outbox."""

    vehicle_id: str = "bench"
    """Names the vehicle in the store: letters, digits, dots, dashes, underscores."""
    rates_hz: dict[str, Annotated[float, msgspec.Meta(ge=0)]] = msgspec.field(default_factory=dict)
    """Most messages a second by topic; 0 keeps every message."""
    default_rate_hz: Annotated[float, msgspec.Meta(ge=0)] = 10.0
    """The same for topics that are not in `rates_hz`."""
    classes: dict[str, ClassName] = msgspec.field(default_factory=dict)
    """Class by topic or pattern (`camera/*`), the first that fits; the other topics are `trend`."""
    log_events: bool = True
    """Faults and engagement changes of the event log become critical records."""
    max_bytes: Annotated[int, msgspec.Meta(ge=1 << 18)] = 1024 * MIB
    """Of everything together; when it is reached the oldest records of the lowest class go."""
    reserve_bytes: Annotated[int, msgspec.Meta(ge=0)] = 4 * MIB
    """Disk space that is taken at once, for critical records when the disk is full."""
    limits: dict[ClassName, ClassSettings] = msgspec.field(default_factory=dict)
    """By class: what is other than usual."""

    def spool_limits(self) -> SpoolLimits:
        """The limits of all classes."""
        usual = SpoolLimits()
        own = {name: settings.on(getattr(usual, name)) for name, settings in self.limits.items()}
        return SpoolLimits(
            **{kind.name.lower(): usual.of(kind) for kind in RecordClass} | own,
            max_bytes=self.max_bytes,
            reserve_bytes=self.reserve_bytes,
        )
