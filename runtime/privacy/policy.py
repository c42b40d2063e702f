"""The policy in force: one decision for each record before it reaches the disk. Whatever keeps or sends asks here.

A record is a JSON object with `topic` and `message`, as the outbox takes it. It is kept as it is, kept with changed
fields, or withheld with a reason.
"""

from __future__ import annotations

import hashlib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from cardan.runtime.privacy.consent import Consent, ConsentFile
from cardan.runtime.privacy.fields import field_of, with_grid, with_rule
from cardan.runtime.privacy.places import position_or_none
from cardan.runtime.privacy.pseudonym import Pseudonyms, open_pseudonyms, read_vin
from cardan.runtime.privacy.settings import FieldRule, PositionFields, PrivacySettings, Purpose
from cardan.runtime.privacy.whereabouts import Whereabouts

NO_CONSENT, IN_ZONE, UNREADABLE = "no consent", "zone", "unreadable"
OWN_TOPICS: dict[str, Purpose] = {
    "downlink/bundle": "diagnostics",
    "downlink/*": "operation",
    "outbox/*": "operation",
    "live/*": "operation",
}
"""What the runtime says about its own records and commands: needed to operate what is consented to."""


class Outcome(NamedTuple):
    """What became of a record."""

    payload: bytes | None
    """As it may be kept; None: it is withheld."""
    reason: str = ""
    """Why it is withheld: `no consent`, `zone` or `unreadable`."""


class _TopicRules(NamedTuple):
    purpose: Purpose
    positions: tuple[PositionFields, ...]
    fields: tuple[FieldRule, ...]

    @property
    def change_something(self) -> bool:
        return bool(self.positions or self.fields)


class Policy:
    """Decides over records. Has the newest position as its state, so give it every message of the position's topic.

    consent: asked at every decision. vin: replaced by its pseudonym wherever it stands; empty: there is none.
    """

    def __init__(self, settings: PrivacySettings, consent: ConsentFile, pseudonyms: Pseudonyms, vin: str = "") -> None:
        self._settings = settings
        self._consent = consent
        self._pseudonyms = pseudonyms
        self._vin = vin.encode()
        self._whereabouts = Whereabouts(settings)
        self._rules: dict[str, _TopicRules] = {}
        self._hash: tuple[frozenset[str], str] | None = None

    def vehicle_name(self, vehicle_id: str) -> str:
        """How the store and the broker know the vehicle."""
        return self._pseudonyms.of(vehicle_id) if self._settings.pseudonymous else vehicle_id

    def consent_now(self) -> Consent:
        """What is consented to at this moment."""
        return self._consent.now()

    @property
    def hash(self) -> str:
        """16 hex digits that stand for settings, key and consent together: records of one hash were treated alike."""
        purposes = self._consent.now().purposes
        if self._hash is None or self._hash[0] != purposes:
            parts = [msgspec.to_builtins(self._settings), self._pseudonyms.fingerprint, sorted(purposes)]
            text = msgspec.json.encode(parts, order="deterministic")
            self._hash = (purposes, hashlib.sha256(text).hexdigest()[:16])
        return self._hash[1]

    def purpose_of(self, topic: str) -> Purpose:
        """What the records of a topic are for."""
        return self._rules_of(topic).purpose

    def saw(self, topic: str, message: Any, at_ns: int) -> None:
        """A valid message of any topic was seen at that monotonic time; only positions matter."""
        for fields in self._settings.positions:
            if fields.topic == topic:
                position = position_or_none(field_of(message, fields.latitude), field_of(message, fields.longitude))
                if position is not None:
                    self._whereabouts.seen(position, at_ns)

    def withheld(self, topic: str, at_ns: int, purpose: Purpose | None = None) -> str:
        """Why a record of that topic and moment is not kept; empty when it is. purpose: None is the topic's own."""
        if (purpose or self.purpose_of(topic)) not in self._consent.now().purposes:
            return NO_CONSENT
        zones = self._whereabouts.zones_named(self._whereabouts.zones_at(at_ns)) if self._settings.zones else []
        return IN_ZONE if any(fnmatchcase(topic, item) for zone in zones for item in zone.topics) else ""

    def decide(self, payload: bytes, topic: str, at_ns: int, purpose: Purpose | None = None) -> Outcome:
        """What may be kept of `payload`, a JSON object of that topic and monotonic time; `purpose` is added to it.

        purpose: what it is kept for; None: what its topic is for.
        """
        reason = self.withheld(topic, at_ns, purpose)
        if reason:
            return Outcome(None, reason)
        rules = self._rules_of(topic)
        if rules.change_something:
            try:
                payload = msgspec.json.encode(self._changed(msgspec.json.decode(payload), rules))
            except msgspec.MsgspecError:
                return Outcome(None, UNREADABLE)
        if self._vin:
            payload = payload.replace(self._vin, self._pseudonyms.of(self._vin.decode()).encode())
        return Outcome(payload[:-1] + f',"purpose":"{purpose or rules.purpose}"}}'.encode())

    def _changed(self, record: Any, rules: _TopicRules) -> Any:
        message = record.get("message") if isinstance(record, dict) else None
        if message is None:
            return record
        for fields in rules.positions:
            message = with_grid(message, fields, self._settings.grid_m or 0.0)
        for rule in rules.fields:
            message = with_rule(message, rule, self._pseudonyms)
        return {**record, "message": message}

    def _rules_of(self, topic: str) -> _TopicRules:
        rules = self._rules.get(topic)
        if rules is None:
            rules = self._rules[topic] = _rules_for(topic, self._settings)
        return rules


def _rules_for(topic: str, settings: PrivacySettings) -> _TopicRules:
    fitting = (purpose for item, purpose in {**settings.purposes, **OWN_TOPICS}.items() if fnmatchcase(topic, item))
    positions = settings.positions if settings.grid_m is not None else []
    return _TopicRules(
        next(fitting, settings.default_purpose),
        tuple(item for item in positions if item.topic == topic),
        tuple(rule for rule in settings.fields if fnmatchcase(topic, rule.topic)),
    )


def open_policy(settings: PrivacySettings, data_dir: Path, manifest_dir: Path) -> Policy:
    """The policy of a vehicle; reads the keys and files that the settings name. ConfigError when one is unusable."""
    consent = ConsentFile(data_dir, settings.consent)
    return Policy(
        settings, consent, open_pseudonyms(settings, data_dir, manifest_dir), read_vin(settings, manifest_dir)
    )
