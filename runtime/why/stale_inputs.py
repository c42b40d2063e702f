"""Inputs that were too old, or called invalid by their senders, at a moment: as the kept messages show."""

from __future__ import annotations

import msgspec

from cardan.runtime.cli.units import age
from cardan.runtime.clock import ns
from cardan.runtime.plan import InputPlan, NodePlan
from cardan.runtime.record.json_form import ENVELOPE_FIELD
from cardan.runtime.why.answer import Fact
from cardan.runtime.why.evidence import Evidence
from cardan.runtime.why.messages import Kept, kept_between

BEFORE_NS = ns(3.0)


def stale_inputs(evidence: Evidence, nodes: list[str], moment_ns: int) -> list[Fact]:
    """Each input of these nodes that could not be used just before a moment (wall time), the oldest message first."""
    plans = [evidence.plan.node(name) for name in nodes]
    ports = [(node, port) for node in plans for port in node.inputs if len(port.topics) == 1 and not port.queue]
    topics = sorted({port.topics[0] for _, port in ports})
    kept = kept_between(evidence, topics, moment_ns - BEFORE_NS, moment_ns)
    found = [_fact(node, port, kept.get(port.topics[0], []), moment_ns) for node, port in ports]
    return sorted((fact for fact in found if fact is not None), key=lambda fact: fact.wall_ns)


def _fact(node: NodePlan, port: InputPlan, rows: list[Kept], moment_ns: int) -> Fact | None:
    if not rows:
        return None
    newest, topic = rows[-1], port.topics[0]
    age_s = (moment_ns - newest.wall_ns) / 1e9
    if port.max_age_s is not None and age_s > port.max_age_s:
        code, text = "input-stale", f"{topic} was {age(age_s)} old, at most {port.max_age_s:g} s are allowed"
    elif not _valid(newest):
        code, text = "input-invalid", f"{topic} was called invalid by its sender"
    else:
        return None
    return Fact(
        wall_ns=newest.wall_ns,
        after_s=round(-age_s, 3),
        who=node.name,
        code=code,
        text=text,
        level="warning",
    )


def _valid(kept: Kept) -> bool:
    if not kept.is_json:
        return kept.valid
    try:
        return bool(msgspec.json.decode(kept.data)[ENVELOPE_FIELD]["valid"])
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError):
        return True
