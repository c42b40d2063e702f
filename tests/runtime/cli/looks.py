"""The commands that look at a run, as a person types them: on a bundle, on a data folder, or on both.

Imports nothing, so that benches can use it too.
"""

from __future__ import annotations

LOOKS = (
    "status",
    "status --json",
    "log",
    "log --level debug --json",
    "trace",
    "trace --json",
    "topic list",
    "topic info control/command",
    "topic echo control/command --last 5",
    "topic echo bridge/verdict --last 500 --json",
    "topic lat",
    "control state",
    "control why",
    "control history",
    "control limits",
    "why disengage",
    "why restart",
    "why late",
    "why dropped",
    "why upload",
    "why boot",
    "why slow",
    "why changed",
    "why software",
    "engine status",
    "can health",
    "can list",
    "can dump --count 50",
    "can decode --count 50",
    "record list",
    "record info last",
    "sync status",
    "doctor",
    "doctor --engage",
    "bundle open",
    "bundle list",
)
ONLY_BUNDLE = ("doctor", "doctor --engage", "bundle open")
"""Of a data folder `doctor` examines this computer."""
ONLY_FOLDER = ("sync status", "bundle list")
