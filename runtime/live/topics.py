"""The topics of a vehicle at the broker, and which record goes to which.

PREFIX/status            {"online": true}; the broker itself says false when we are gone without a word
PREFIX/state             how the vehicle is, a few times a minute
PREFIX/event/CLASS       records of the outbox of the classes critical and event
PREFIX/result            what became of commands and campaigns
PREFIX/command, PREFIX/campaign     what is asked of the vehicle, signed
"""

from __future__ import annotations

import re
from typing import NamedTuple

from cardan.runtime.errors import ConfigError

RESULT = "downlink/result"
"""Topic of the records that say what became of a command."""
SEGMENT = re.compile(r"[A-Za-z0-9._-]+")


class LiveTopics(NamedTuple):
    """Names at the broker."""

    prefix: str

    @property
    def status(self) -> str:
        return f"{self.prefix}/status"

    @property
    def state(self) -> str:
        return f"{self.prefix}/state"

    @property
    def result(self) -> str:
        return f"{self.prefix}/result"

    @property
    def asked(self) -> tuple[str, ...]:
        """Where something is asked of us."""
        return (f"{self.prefix}/command", f"{self.prefix}/campaign")

    def of_record(self, stream: str, topic: str) -> str:
        """Where a record of the outbox goes."""
        return self.result if topic == RESULT else f"{self.prefix}/event/{stream}"


def live_topics(pattern: str, vehicle: str) -> LiveTopics:
    """The topics under `pattern`, in which `{vehicle}` stands for the vehicle; ConfigError when it is no topic."""
    prefix = pattern.replace("{vehicle}", vehicle)
    if not all(SEGMENT.fullmatch(part) for part in prefix.split("/")):
        raise ConfigError(
            f'"{pattern}" is no prefix of topics',
            hint='names of letters, digits, ".", "_" and "-" with "/" between them, such as "vehicles/{vehicle}"',
        )
    return LiveTopics(prefix)
