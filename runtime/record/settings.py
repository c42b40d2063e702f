"""The settings of the recorder."""

from __future__ import annotations

from typing import Annotated

import msgspec

from cardan.runtime.node.node import NodeConfig
from cardan.runtime.record.policy import TopicPolicy
from cardan.runtime.record.triggers import TriggerConfig


class RecorderConfig(NodeConfig, frozen=True):
    """Settings of the recorder (docs/recording.md)."""

    topics: dict[str, TopicPolicy] = msgspec.field(default_factory=dict)
    """Topic, or pattern such as "camera/*" -> what of it is kept; everything of all others."""
    triggers: dict[str, TriggerConfig] = msgspec.field(default_factory=dict)
    """Name -> when a clip is written."""
    steps: bool = True
    """Record what makes a replay exact: of each step of a node when it began, and what it knew."""
    quota_bytes: Annotated[int, msgspec.Meta(ge=1 << 20)] = 4 << 30
    """For all recordings of this computer together; the oldest go first, clips after recordings of runs."""
    clip_quota_bytes: Annotated[int, msgspec.Meta(ge=1 << 20)] | None = None
    """For all clips together; None: half of `quota_bytes`."""
    preroll_bytes: Annotated[int, msgspec.Meta(ge=1 << 20)] = 128 << 20
    """Most memory for what was before a trigger; beyond it a clip begins later."""
    buffer_bytes: Annotated[int, msgspec.Meta(ge=1 << 20)] = 64 << 20
    """Most memory for what waits for the disk; beyond it messages are dropped and counted."""
    file_bytes: Annotated[int, msgspec.Meta(ge=1 << 16)] = 256 << 20
    """A run continues in a new file at this size, so that the quota has something to take."""
    jpeg_quality: Annotated[int, msgspec.Meta(ge=1, le=95)] = 80
    sync_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """How long closed chunks may wait until they are brought to the disk; 0: not at all. What a power cut may cost."""
    evict_s: Annotated[float, msgspec.Meta(gt=0)] = 2.0
    """How often the quota is looked at."""
    retry_s: Annotated[float, msgspec.Meta(gt=0)] = 5.0
    """After an error of the disk: when to try again."""

    @property
    def own_clip_quota_bytes(self) -> int:
        return self.quota_bytes // 2 if self.clip_quota_bytes is None else self.clip_quota_bytes
