"""The JSON of what is told: records of the outbox, the state of the vehicle, and whether it is there."""

from __future__ import annotations

from typing import Any

import msgspec

from cardan.runtime.outbox.segment import Record
from cardan.runtime.vitals import NodeState, Vitals

MOST_STATE_BYTES = 16 << 10
UNTROUBLED = {NodeState.RUNNING, NodeState.READY, NodeState.FINISHED}


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who says something."""

    vehicle: str
    boot: str
    run: str


def record_id(log: str, stream: str, seq: int) -> str:
    """Names a record for ever: what is told twice has the same one."""
    return f"{log}-{stream}-{seq}"


def event_text(identity: Identity, log: str, stream: str, record: Record, most_bytes: int) -> bytes:
    """A record with its place in the log, its stamps and its own fields.

    One that would be longer than `most_bytes` says so and leaves its message out; the store gets it whole.
    """
    head: dict[str, Any] = {
        "id": record_id(log, stream, record.seq),
        "vehicle": identity.vehicle,
        "stream": stream,
        "log": log,
        "seq": record.seq,
        "class": record.kind.name.lower(),
        "mono_ns": record.mono_ns,
        "wall_ns": record.wall_ns,
    }
    text = msgspec.json.encode(head)
    if len(text) + len(record.payload) <= most_bytes:
        return text[:-1] + b"," + record.payload[1:]
    return msgspec.json.encode({**head, "topic": topic_of(record), "left_out_bytes": len(record.payload)})


class _Head(msgspec.Struct):
    topic: str = ""
    purpose: str = "operation"


def topic_of(record: Record) -> str:
    """The topic that a record names; empty when it names none."""
    return _head(record).topic


def purpose_of(record: Record) -> str:
    """What a record is kept for; those that the outbox makes itself are for operation."""
    return _head(record).purpose


def _head(record: Record) -> _Head:
    try:
        return msgspec.json.decode(record.payload, type=_Head)
    except msgspec.MsgspecError:
        return _Head(purpose="")


def status_text(identity: Identity, *, online: bool, why: str) -> bytes:
    """Whether the vehicle is there."""
    return msgspec.json.encode({"schema": 1, "online": online, "why": why, **msgspec.structs.asdict(identity)})


def state_text(identity: Identity, run: dict[str, Any], extra: dict[str, Any], values: dict[str, Any]) -> bytes:
    """The state of the vehicle. values: newest message by topic; of too many the largest are left out, by name."""
    left_out: list[str] = []
    values = dict(values)
    while True:
        document = {
            "schema": 1,
            **msgspec.structs.asdict(identity),
            **extra,
            "state": run,
            "topics": values,
            **({"left_out": sorted(left_out)} if left_out else {}),
        }
        text = msgspec.json.encode(document)
        if len(text) <= MOST_STATE_BYTES or not values:
            return text
        largest = max(values, key=lambda topic: len(msgspec.json.encode(values[topic])))
        left_out.append(largest)
        del values[largest]


def run_of(vitals: Vitals) -> dict[str, Any]:
    """How the run is, in a few words: its state, its mode, and the nodes that are not as they should be."""
    troubled = {}
    for name, node in vitals.nodes.items():
        condition, fault = node.condition, node.fault
        if node.state not in UNTROUBLED or condition is not None or fault is not None:
            troubled[name] = {
                "state": node.state.name.lower(),
                "condition": condition[1] if condition is not None else "",
                "fault": fault[1] if fault is not None else "",
            }
    return {
        "run": vitals.run_state.name.lower(),
        "mode": vitals.mode,
        "why": vitals.mode_text,
        "cause": vitals.cause_code,
        "nodes": len(vitals.nodes),
        "troubled": troubled,
    }
