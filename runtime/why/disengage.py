"""Why control ended: the change that the bridge recorded, and the first fault of what its cause depends on."""

from __future__ import annotations

from cardan.runtime.cli.control_causes import CONTROLLED, IN_CHARGE, INTERRUPTED, meaning
from cardan.runtime.cli.control_facts import Change, engagement_changes, verdict_topic
from cardan.runtime.cli.moments import clock_text, date_text
from cardan.runtime.clock import ns
from cardan.runtime.errors import CardanError
from cardan.runtime.log.record import LogRecord
from cardan.runtime.plan import Plan
from cardan.runtime.why.answer import Answer, Fact, explain, fact_of
from cardan.runtime.why.evidence import AROUND_NS, Evidence, onset_ns, upstream
from cardan.runtime.why.machine_facts import machine_facts
from cardan.runtime.why.pauses import pauses
from cardan.runtime.why.signals import signals_around
from cardan.runtime.why.silences import silences
from cardan.runtime.why.stale_inputs import stale_inputs

QUESTION = "disengage"
AFTER_NS = ns(3.0)
"""A fault that began before a change may be noticed so long after it: a hang above all."""
BY_PERSON = ("driver-", "engaged-by", "disengaged-by", "reset-by")
OF_BUS = ("bus:", "bus-off", "not-confirmed", "send-failed", "second-sender", "not-ready")
OF_COMMAND = ("command:",)


def turns_of(evidence: Evidence) -> tuple[list[Change], list[str]]:
    """Every change of the run, and what is missing."""
    try:
        return engagement_changes(evidence.found), []
    except CardanError as error:
        return [], [f"changes of engagement: none is in the event log, and {error.message}"]


def interruptions(turns: list[Change]) -> list[list[Change]]:
    """Each time that control ended or could not begin, with what came of it. A driver who overrides is none."""
    chains: list[list[Change]] = []
    for turn in turns:
        if turn.before in IN_CHARGE and turn.after not in CONTROLLED:
            chains.append([turn])
        elif chains and turn.before in INTERRUPTED:
            chains[-1].append(turn)
    return chains


def answer(evidence: Evidence) -> Answer:
    """The answer for the interruption that is meant. NoDataError for a vehicle without a bridge."""
    verdict_topic(evidence.plan)
    turns, missing = turns_of(evidence)
    chains = interruptions(turns)
    moment_ns = evidence.nearest(chain[0].wall_ns for chain in chains)
    if moment_ns is None:
        return _nothing_happened(turns, missing)
    chain = next(chain for chain in chains if chain[0].wall_ns == moment_ns)
    return _explained(evidence, chain, _well_until(turns, chain[0]), missing)


def _nothing_happened(turns: list[Change], missing: list[str]) -> Answer:
    if missing:
        return Answer(question=QUESTION, verdict=f"not recorded: {missing[0]}", healthy=False, missing=missing)
    engaged = next((turn for turn in reversed(turns) if turn.after in CONTROLLED), None)
    since = f"; engaged since {clock_text(engaged.wall_ns)}" if engaged else "; it was never engaged"
    return Answer(question=QUESTION, verdict=f"control has not been interrupted in this run{since}", healthy=True)


def _well_until(turns: list[Change], first: Change) -> int:
    """Control drove until a moment only if all that it needs was well at the change before: no earlier fault counts."""
    before = [turn.wall_ns for turn in turns if turn.wall_ns < first.wall_ns]
    earliest_ns = first.wall_ns - AROUND_NS
    return max(earliest_ns, before[-1]) if before and first.before in CONTROLLED else earliest_ns


def _explained(evidence: Evidence, chain: list[Change], since_ns: int, missing: list[str]) -> Answer:
    first = chain[0]
    moment_ns, by_person = first.wall_ns, first.cause.startswith(BY_PERSON)
    names = suspects(evidence.plan, first.cause)
    faults = [] if by_person else faults_before(evidence, first, since_ns)
    quiet = [] if by_person else _what_was_missing(evidence, names, since_ns, moment_ns)
    root = faults[0] if faults else None
    said, hint = explain(root.code) if root is not None else meaning(first.cause)
    cause = fact_of(root, moment_ns) if root else quiet[0] if quiet else _turn_fact(first, moment_ns, _bridge(evidence))
    if root is not None and onset_ns(root) != root.wall_ns:
        cause = _moved(cause, onset_ns(root), moment_ns)
    facts, not_known = ([], []) if by_person else machine_facts(evidence, moment_ns)
    if root is None and not by_person:
        facts = [*pauses(evidence, names, moment_ns), *facts]
        not_known = [_no_fault(names, since_ns, moment_ns), *not_known]
    return Answer(
        question=QUESTION,
        verdict=_verdict(first, cause),
        healthy=by_person,
        moment_ns=moment_ns,
        cause=cause,
        means=said,
        hint=hint,
        chain=_chain(evidence, chain, faults, [cause, *quiet]),
        facts=facts,
        missing=[*missing, *not_known],
        around=evidence.around(moment_ns),
        signals=signals_around(evidence, moment_ns),
    )


def _what_was_missing(evidence: Evidence, names: list[str], since_ns: int, moment_ns: int) -> list[Fact]:
    """Topics that had fallen silent, and inputs that were too old or invalid, in the order in which that began."""
    quiet = [fact for fact in silences(evidence, names, moment_ns) if fact.wall_ns >= since_ns]
    return sorted([*quiet, *stale_inputs(evidence, names, moment_ns)], key=lambda fact: fact.wall_ns)


def _verdict(first: Change, cause: Fact) -> str:
    what = "disengaged" if first.before in CONTROLLED else "could not engage"
    when = f"{what} at {date_text(first.wall_ns)} UTC ({first.before} -> {first.after})"
    if cause.code == "engagement":
        said = meaning(first.cause)[0]
        return f"{when}: {first.cause}" + (f", {said}" if said else "")
    return f"{when}: first cause {cause.code} of {cause.who}, {-cause.after_s:.3f} s before: {cause.text}"


def suspects(plan: Plan, cause: str) -> list[str]:
    """The nodes whose faults can explain a cause of the bridge, the nearest first; all for a stop of the supervisor."""
    cause = cause.removeprefix("not-recovered:")
    bridge = plan.node(verdict_topic(plan).partition("/")[0])
    if cause.startswith(OF_BUS):
        channels = set(bridge.channels)
        sharing = [node.name for node in plan.nodes if channels & set(node.channels) and node is not bridge]
        return [bridge.name, *sharing]
    if cause.startswith(OF_COMMAND):
        topics = [topic for port in bridge.inputs if not port.many for topic in port.topics]
        return [*upstream(plan, topics, without=bridge.name), bridge.name]
    if cause.startswith("supervisor"):
        return [node.name for node in plan.nodes]
    return [bridge.name]


def faults_before(evidence: Evidence, first: Change, since_ns: int) -> list[LogRecord]:
    """Faults of the suspects that had begun when control ended, and not before `since_ns`, in the order of beginning.

    What the bridge itself reports as a consequence of its change is none.
    """
    names = set(suspects(evidence.plan, first.cause))
    found = [
        record
        for record in evidence.between(first.wall_ns - AROUND_NS, first.wall_ns + AFTER_NS)
        if record.is_trouble
        and record.node in names
        and since_ns <= onset_ns(record) <= first.wall_ns
        and record.code not in (first.after, "note", "output", "setting")
        and not record.code.startswith("machine-")
    ]
    return sorted(found, key=onset_ns)


def _chain(evidence: Evidence, turns: list[Change], faults: list[LogRecord], causes: list[Fact]) -> list[Fact]:
    """What came before, the first cause first; the faults that followed; and every change of engagement."""
    moment_ns, last_ns = turns[0].wall_ns, turns[-1].wall_ns
    names = {fault.node for fault in faults} | {""}
    later = [
        record
        for record in evidence.between(moment_ns - AROUND_NS, last_ns + AFTER_NS)
        if record.node in names
        and (record.is_trouble or record.code in ("node-restart", "node-ready"))
        and onset_ns(record) >= (onset_ns(faults[0]) if faults else moment_ns)
        and record.code not in ("note", "output", "setting")
    ]
    facts = [
        *causes,
        *(fact_of(record, moment_ns) for record in later),
        *(_turn_fact(turn, moment_ns, _bridge(evidence)) for turn in turns),
    ]
    unique: dict[tuple[str, str, str], Fact] = {}
    for fact in facts:
        unique.setdefault((fact.who, fact.code, fact.text), fact)
    return sorted(unique.values(), key=lambda fact: fact.wall_ns)


def _bridge(evidence: Evidence) -> str:
    return verdict_topic(evidence.plan).partition("/")[0]


def _turn_fact(turn: Change, moment_ns: int, who: str) -> Fact:
    said = meaning(turn.cause)[0]
    text = f"{turn.before} -> {turn.after}: {turn.cause}" + (f" ({said})" if said else "")
    after_s = round((turn.wall_ns - moment_ns) / 1e9, 3)
    return Fact(wall_ns=turn.wall_ns, after_s=after_s, who=who, code="engagement", text=text)


def _moved(fact: Fact, wall_ns: int, moment_ns: int) -> Fact:
    return Fact(
        wall_ns=wall_ns,
        after_s=round((wall_ns - moment_ns) / 1e9, 3),
        who=fact.who,
        code=fact.code,
        text=fact.text,
        level=fact.level,
    )


def _no_fault(names: list[str], since_ns: int, moment_ns: int) -> str:
    span_s = (moment_ns - since_ns) / 1e9
    return f"a fault that made it so: none of {', '.join(names)} is in the log in the {span_s:.1f} s before"
