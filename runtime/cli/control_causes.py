"""What a cause of the bridge means, for people: one table, by how the cause begins."""

from __future__ import annotations

from collections.abc import Sequence

from cardan.runtime.cli.control_facts import Change

CONTROLLED = ("enabled", "overriding")
"""Engagements in which control drives."""
IN_CHARGE = ("pre-enabled", *CONTROLLED)
"""Engagements that have control drive, or are about to."""
INTERRUPTED = ("soft-disabling", "safe-stop")
"""Engagements in which the bridge drives by itself."""
MEANINGS: tuple[tuple[str, str, str], ...] = (
    ("driver-brake", "the driver braked", ""),
    ("driver-cancel", "the driver cancelled", ""),
    ("driver-steering", "the driver steered", ""),
    ("driver-gas", "the driver accelerated", ""),
    ("command:stale", "control sent no new command for three periods", "is it running? `cardan status`"),
    ("command:no-command", "control has never sent a command", "is it running? `cardan status`"),
    ("command:invalid", "control called its own commands invalid", "which input is stale? `cardan topic list`"),
    ("command:counter", "control repeats the number of an old command", "is it stuck? `cardan status`"),
    ("command:limits-hash", "control knows other limits than the bridge", "start both from the same manifest"),
    ("command:", "no command could be used", "the code after the colon names the limit and the signal"),
    ("bus:silent", "a message of the vehicle stopped coming", "look at the bus: `cardan can health`"),
    ("bus:absent", "a message of the vehicle never came", "look at the bus: `cardan can health`"),
    ("bus:checksum", "a message of the vehicle came with wrong checksums", "look at its sender and at the cable"),
    ("bus:counter", "the counter of a message of the vehicle did not run", "look at its sender"),
    ("bus:flagged", "a message of the vehicle was called invalid by its sender", "look at its sender"),
    ("bus:slow", "a message of the vehicle came at less than half its rate", "look at its sender"),
    ("bus:fast", "a message of the vehicle came at more than twice its rate", "does somebody else send it, too?"),
    ("not-ready", "an actuator does not answer, or takes no commands", "what does its control unit report?"),
    ("second-sender", "somebody else sent a message that only the bridge may send", "find that sender first"),
    ("send-failed", "the bus took no frames", "look at the channel: cable, termination, bit rate"),
    ("not-confirmed", "the bus confirmed no frame for five periods", "look at the channel: `cardan can health`"),
    ("bus-off", "the CAN controller left the bus", "wiring, termination, bit rate: `cardan can health`"),
    ("read-back", "a frame did not say what was meant", "a defect of program or memory: keep the recording"),
    ("not-allowed", "a frame was not on the allow list", "a defect of program or memory: keep the recording"),
    ("encode", "a command could not be encoded", "a defect of program or vehicle map: keep the recording"),
    ("not-armed", "an arming check did not pass in time", "the words in brackets are what it found"),
    ("not-recovered", "what had failed did not return in time", "the rest is what had failed"),
    ("supervisor", "the supervisor asked for a safe stop", "what was lost? `cardan status`"),
    ("stop-in-lane-over", "the safe stop ended by time: no speed to believe", "look at the bus: `cardan can health`"),
    ("stop-over", "the safe stop ended by time: no speed to believe", "look at the bus: `cardan can health`"),
    ("keep-lane-over", "the lane was kept without brakes for as long as declared", "who took over?"),
    ("release-over", "no actuator answered: all were released", "what do their control units report?"),
    ("engaged-by", "a person asked to engage", ""),
    ("disengaged-by", "a person ended the engagement", ""),
    ("standstill", "the safe stop was complete", ""),
    ("reset-by", "a person reset a latched fault", ""),
)
"""(beginning of the cause, meaning, what to do); the first row that fits counts."""


def meaning(cause: str) -> tuple[str, str]:
    """Meaning and hint of a cause; empty for one that is not in the table."""
    return next((row[1:] for row in MEANINGS if cause.startswith(row[0])), ("", ""))


def last_interruption(history: Sequence[Change]) -> list[Change]:
    """The changes of the newest time that control ended, or could not begin: from its first cause to what came of it.

    Empty when that never happened. A driver who overrides one actuator does not interrupt.
    """
    chain: list[Change] = []
    for change in history:
        if change.before in IN_CHARGE and change.after not in CONTROLLED:
            chain = [change]
        elif chain and change.before in INTERRUPTED:
            chain.append(change)
    return chain
