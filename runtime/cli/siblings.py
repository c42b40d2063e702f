"""Commands of two words, ours and those of other folders: named here so that `--help` is quick, imported when called.

The module `grammar` of such a noun has `ADD` (verb -> what adds its options to a parser), `DESCRIPTIONS` (verb -> long
help), `MODULES` (verb -> module with `run(arguments) -> int`), and `JSON` (verb -> the shape of what `--json` prints).
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import NamedTuple


class Noun(NamedTuple):
    """The first word of a command of two words."""

    about: str
    grammar: str
    """Module."""
    verbs: dict[str, str]
    """The second words, each with one line of help."""


SIBLINGS = {
    "node": Noun(
        "Nodes: of a run, and what there is to build a vehicle from.",
        "cardan.runtime.cli.node_grammar",
        {
            "list": "every node of the run: state, rate, lateness, starts",
            "info": "everything about one node: process, inputs, outputs, metrics, log",
            "restart": "end a node of a parked vehicle and wait until it is back",
            "types": "what `use` of a manifest may name",
            "type": "ports and settings of a node class",
        },
    ),
    "topic": Noun(
        "Look at the topics of a run.",
        "cardan.runtime.cli.topic_grammar",
        {
            "list": "every topic with its type, rate and losses",
            "hz": "measure how often topics are published",
            "bw": "measure how many bytes topics carry",
            "lat": "how long messages take to each reader, and how old their origin is",
            "echo": "print the messages of a topic, also of one whose publisher is dead",
            "info": "everything about one topic: type, publisher, readers, losses",
            "serve": "publish topics over ZeroMQ for tools and other computers",
        },
    ),
    "control": Noun(
        "Who drives, why, and within which limits.",
        "cardan.runtime.cli.control_grammar",
        {
            "state": "who drives now, or drove at the end of the last run",
            "why": "why control ended or could not begin the last time",
            "history": "every change of engagement with its cause",
            "limits": "the envelope and its hash",
            "arm": "run every arming check; with --yes, engage",
            "disarm": "end the engagement, as the driver's cancel does",
            "reset": "clear a latched fault, once its cause is known",
        },
    ),
    "why": Noun(
        "Why something happened: the first cause, its chain, and what was around it, from what was recorded.",
        "cardan.runtime.cli.why_grammar",
        {
            "disengage": "why control ended or could not begin",
            "restart": "why a node, or the run, was started again",
            "late": "which node is late, and why",
            "dropped": "whether messages of a topic are lost, and where",
            "upload": "why data has not been uploaded: consent, link or disk",
            "boot": "why it took so long until everything ran",
            "slow": "whether the computer is hot, throttled or short of memory",
            "changed": "what changed since it last worked",
            "software": "whether the right software is everywhere",
        },
    ),
    "bundle": Noun(
        "Everything that is needed to answer questions elsewhere, in one file.",
        "cardan.runtime.cli.bundle_grammar",
        {
            "make": "collect what a run left, clean it, and pack it",
            "open": "what a bundle is of, and how its collectors ended",
            "send": "put a bundle into the outbox",
            "list": "the bundles that were made on this computer",
            "redact": "take more out of a bundle",
        },
    ),
    "record": Noun(
        "Recordings: what there is, what they hold, and in the forms of other tools.",
        "cardan.runtime.cli.record_grammar",
        {
            "list": "every recording of this computer",
            "info": "what a recording holds, topic by topic",
            "export": "as candump lines, CSV, Parquet, or a smaller MCAP file",
            "repair": "finish what a killed recorder left",
        },
    ),
    "sync": Noun(
        "What is kept for the store and the broker, what leaves, and what is asked from outside.",
        "cardan.runtime.cli.sync_grammar",
        {
            "status": "the account of the outbox: what became of every record",
            "live": "is the vehicle at its broker, and how much was told",
            "ls": "every file of the outbox with its records",
            "verify": "check every record and the account, here or at a store",
            "repair": "set damaged files aside and offer what is whole in them",
            "export": "write records as JSON Lines",
            "consent": "for which purposes data may be kept and may leave; give it, withdraw it",
            "why": "why something is not at the store, and what helps",
            "pause": "hold classes of records back, or let them go",
            "metered": "say whether the link costs money",
            "retry": "try now what waits or was refused",
            "send": "hand whole files to the uplink, such as clips",
            "open": "open encrypted objects of a store with their key",
        },
    ),
    "profile": Noun(
        "Hardware profiles: what a computer is.",
        "cardan.runtime.cli.profile_grammar",
        {
            "list": "the profiles that are shipped",
            "show": "what a profile says",
            "detect": "write the profile of this computer",
        },
    ),
    "downlink": Noun(
        "What is asked of a vehicle from outside: commands and campaigns, signed and judged.",
        "cardan.runtime.cli.downlink_grammar",
        {
            "list": "campaigns and commands that this vehicle remembers, and what became of them",
            "check": "what a campaign would have collected while a recording was made",
            "sign": "sign a command or a campaign",
            "take": "give a signed command or campaign to this vehicle, from a file",
        },
    ),
    "keys": Noun(
        "Keys for topics between computers: whose are ours, and whom we trust.",
        "cardan.runtime.link.grammar",
        {
            "new": "make a key pair for this computer",
            "list": "the key pairs of this computer, and the keys it trusts",
            "show": "print a public key",
            "trust": "let the holder of a public key connect",
            "revoke": "trust a key no longer",
        },
    ),
    "can": Noun(
        "CAN buses: of a running vehicle, of an interface without one, or as they were recorded.",
        "cardan.firmware_bridge.cli.can_grammar",
        {
            "list": "channels, CAN interfaces, and which node has which open",
            "health": "verdict on each bus: state, load, errors, missing messages, traps",
            "dump": "frames as the lines of candump",
            "decode": "frames with names, units, counters and checksums",
            "sniff": "what changes on a bus, by identifier",
        },
    ),
    "engine": Noun(
        "Networks: import them, build plans for this computer's accelerator, look after both.",
        "cardan.engines.cli.grammar",
        {
            "import": "check an ONNX file, repair what can be repaired, write its model file",
            "build": "build the plans of a model for this computer, or for a named GPU",
            "list": "the plans that are there",
            "show": "what a model takes, gives and promises, and what could run it here",
            "verify": "hold weights, plans and signatures to what they should be",
            "bench": "measure how long a model runs here",
            "plan": "judge whether the engines of a manifest meet their deadlines",
            "status": "what serves each engine of the active run",
            "swap": "change the network of a running engine, after it has run unseen",
            "rollback": "serve with the network before the last change",
            "sign": "vouch for models with a key",
            "new-key": "make a key pair for signing models",
        },
    ),
}


def grammar_of(noun: str) -> ModuleType:
    """The grammar of one noun's commands."""
    return import_module(SIBLINGS[noun].grammar)
