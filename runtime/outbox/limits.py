"""How much of each class is kept, how soon it is durable, and how soon it may leave."""

from __future__ import annotations

from typing import Annotated

import msgspec

from cardan.runtime.errors import ConfigError
from cardan.runtime.outbox.segment import RecordClass

Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
MIB = 1 << 20


class ClassLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of the records of one class."""

    max_bytes: Annotated[int, msgspec.Meta(ge=1 << 16)]
    """Of everything in the folder of the class. When it is full the oldest go."""
    segment_bytes: Annotated[int, msgspec.Meta(ge=1 << 12)]
    """A segment, and so an object, is about this large before compression. No record may be longer."""
    commit_s: NotNegative
    """A record is durable this long after it came, or sooner: when `commit_bytes` wait. The node's step adds 0.05 s."""
    commit_bytes: Annotated[int, msgspec.Meta(ge=1)] = 64 << 10
    seal_s: Positive
    """A segment that is not full may leave after this time."""


class SpoolLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of all classes. See docs/outbox.md for what follows from the numbers."""

    critical: ClassLimits = ClassLimits(max_bytes=64 * MIB, segment_bytes=MIB // 4, commit_s=0.0, seal_s=1.0)
    event: ClassLimits = ClassLimits(max_bytes=256 * MIB, segment_bytes=MIB, commit_s=0.05, seal_s=5.0)
    trend: ClassLimits = ClassLimits(max_bytes=256 * MIB, segment_bytes=MIB, commit_s=0.05, seal_s=30.0)
    bulk: ClassLimits = ClassLimits(max_bytes=1024 * MIB, segment_bytes=4 * MIB, commit_s=0.05, seal_s=60.0)
    max_bytes: Annotated[int, msgspec.Meta(ge=1 << 18)] = 1024 * MIB
    """Of all classes together, with the reserve: when it is reached, the oldest of the lowest class go."""
    reserve_bytes: Annotated[int, msgspec.Meta(ge=0)] = 4 * MIB
    """Disk space that is taken at once and given to critical records when the disk is full."""

    def of(self, kind: RecordClass) -> ClassLimits:
        """The limits of one class."""
        limits: ClassLimits = getattr(self, kind.name.lower())
        return limits


def checked(limits: SpoolLimits) -> SpoolLimits:
    """`limits` when they can work. ConfigError otherwise."""
    for kind in RecordClass:
        own = limits.of(kind)
        if own.max_bytes < 4 * own.segment_bytes:
            raise ConfigError(
                f"{kind.name.lower()}: {own.max_bytes} bytes cannot hold four segments of {own.segment_bytes} bytes",
                hint="make max_bytes larger or segment_bytes smaller",
            )
    least = limits.reserve_bytes + limits.critical.max_bytes
    if limits.max_bytes < least:
        raise ConfigError(
            f"{limits.max_bytes} bytes for the outbox do not hold the critical class and the reserve, {least} bytes",
            hint="make limits.max_bytes larger, or limits.critical.max_bytes smaller",
        )
    return limits
