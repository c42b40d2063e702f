"""`[privacy]` of a manifest: what is consented to by default, and what of a record never reaches the disk."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import msgspec

from cardan.runtime.errors import ConfigError

Purpose = Literal["operation", "diagnostics", "improvement"]
PURPOSES: tuple[Purpose, ...] = ("operation", "diagnostics", "improvement")

Text = Annotated[str, msgspec.Meta(min_length=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
LatitudeDeg = Annotated[float, msgspec.Meta(ge=-90, le=90)]
LongitudeDeg = Annotated[float, msgspec.Meta(ge=-180, le=180)]


class PositionFields(msgspec.Struct, frozen=True, kw_only=True):
    """Where a topic carries the position of the vehicle, in degrees of WGS 84."""

    topic: Text
    """Its name."""
    latitude: Text = "latitude_deg"
    """Path of the field; dots lead into structs."""
    longitude: Text = "longitude_deg"
    """Path of the field."""


class Zone(msgspec.Struct, frozen=True, kw_only=True):
    """A place where nothing is kept: a circle, or the inside of a ring of corners that does not cross 180 degrees."""

    name: Text
    """For the log and the account."""
    latitude_deg: LatitudeDeg | None = None
    """Of the circle's centre."""
    longitude_deg: LongitudeDeg | None = None
    """Of the circle's centre."""
    radius_m: Positive | None = None
    """Of the circle."""
    corners: list[tuple[LatitudeDeg, LongitudeDeg]] = []
    """(latitude, longitude) of each corner, in order."""
    topics: list[str] = msgspec.field(default_factory=lambda: ["*"])
    """What is not kept there: topics or patterns."""

    def __post_init__(self) -> None:
        circle = (self.latitude_deg, self.longitude_deg, self.radius_m)
        is_circle, is_ring = None not in circle, bool(self.corners)
        if is_circle == is_ring or (is_ring and any(part is not None for part in circle)):
            raise ConfigError(
                f'the zone "{self.name}" is neither a circle nor a ring',
                hint="write latitude_deg, longitude_deg and radius_m, or corners",
            )
        if is_ring and len(self.corners) < 3:
            raise ConfigError(f'the zone "{self.name}" has {len(self.corners)} corners', hint="write at least three")
        if is_circle and not all(math.isfinite(part) for part in circle if part is not None):
            raise ConfigError(f'the zone "{self.name}" has a number that is not finite', hint="correct it")


class FieldRule(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of one field of some topics."""

    topic: Text
    """A topic or a pattern."""
    field: Text
    """Path of the field; dots lead into structs, `*` into every item of a list."""
    action: Literal["remove", "pseudonym", "round"]
    """remove: the field is left out. pseudonym: it is kept as one that cannot be undone. round: see `step`."""
    step: Positive | None = None
    """Of `round`: the number becomes the nearest multiple."""

    def __post_init__(self) -> None:
        if (self.action == "round") != (self.step is not None):
            raise ConfigError(
                f"the rule for {self.topic}: {self.field} has action {self.action} and step {self.step}",
                hint="`round` needs a step, the others take none",
            )


class PrivacySettings(msgspec.Struct, frozen=True, kw_only=True):
    """The whole table. Without it nothing is kept and nothing leaves, since no purpose is consented to."""

    consent: list[Purpose] = []
    """Purposes that are consented to until somebody says otherwise (`cardan sync consent`)."""
    purposes: dict[str, Purpose] = {}
    """Topic or pattern -> what its records are for; the first that fits counts."""
    default_purpose: Purpose = "improvement"
    """Of all other topics."""
    positions: list[PositionFields] = []
    """Which topics say where the vehicle is."""
    grid_m: Annotated[float, msgspec.Meta(ge=1, le=100_000)] | None = None
    """Positions are kept as the middle of a square of this width; None: as they are."""
    zones: list[Zone] = []
    """Where nothing is kept."""
    position_max_age_s: Positive = 5.0
    """Where there are zones and the position is older or unknown, the vehicle counts as inside all of them."""
    fields: list[FieldRule] = []
    """What becomes of single fields."""
    pseudonymous: bool = False
    """The store and the broker know the vehicle by a pseudonym of its `vehicle_id`."""
    vin_file: str = ""
    """File with the vehicle's identification number; wherever that stands in a record, its pseudonym is kept."""
    pseudonym_key: str = ""
    """File with 32 secret bytes in base64; empty: one that is made in the data folder when it is first needed."""

    def __post_init__(self) -> None:
        if self.zones and not self.positions:
            raise ConfigError(
                "there are zones, and no topic says where the vehicle is",
                hint='write [[privacy.positions]] with topic = "..."',
            )
