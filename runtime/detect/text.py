"""A detected profile as a file that a person can go on from: TOML, with the remarks as comments."""

from __future__ import annotations

from typing import Any

import msgspec

from cardan.runtime.detect.profile import Detected
from cardan.runtime.profile import SCHEMA, Profile
from cardan.runtime.toml_text import toml_lines

COMMENTS = {
    "[cores]": "control has processors of its own, background those that take the interrupts",
    "[storage]": "quota_bytes: how much recordings and outbox may take; a quarter of the largest disk",
    "[machine]": "from here on: what this computer was when it was looked at; `cardan doctor` says what has changed",
    "[devices]": "names of your own are better; the paths stay the same when something else is plugged in",
}
ALWAYS = ("name", "cores", "can", "realtime", "accelerator", "storage")
"""Written even where they are as usual: a person will want to change them."""


def profile_text(found: Detected) -> str:
    """The file. `read_profile` reads it without findings."""
    head = ["# Written by `cardan profile detect`: look through it, and keep what is right."]
    head += [f"# note: {note}" for note in found.notes]
    lines = [*head, *toml_lines({"schema": SCHEMA, **_table(found.profile)})]
    return "\n".join(line for text in lines for line in _with_comment(text)) + "\n"


def _with_comment(line: str) -> list[str]:
    comment = COMMENTS.get(line)
    return [line] if comment is None else [f"{line} # {comment}"]


def _table(profile: Profile) -> dict[str, Any]:
    """What is said, and what a person will want to change."""
    table: dict[str, Any] = msgspec.to_builtins(profile)
    usual: dict[str, Any] = msgspec.to_builtins(Profile(name=""))
    kept = {key: value for key, value in table.items() if key in ALWAYS or value != usual[key]}
    kept["can"] = {name: _channel(settings) for name, settings in table["can"].items()}
    return {key: _without_nothing(item) for key, item in kept.items() if item not in (None, "", {})}


def _channel(settings: dict[str, Any]) -> dict[str, Any]:
    """Without the name, which is that of its table, and the port of a bus that has none."""
    kept = {key: value for key, value in settings.items() if key not in ("name", "options")}
    return kept if settings["interface"] == "udp_multicast" else {k: v for k, v in kept.items() if k != "port"}


def _without_nothing(value: Any) -> Any:
    """Without keys that say nothing."""
    if isinstance(value, dict):
        return {key: _without_nothing(item) for key, item in value.items() if item not in (None, "", {})}
    return value
