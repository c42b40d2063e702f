"""Why a node was started again, or the run: how the process before ended, and what it said before that."""

from __future__ import annotations

from cardan.runtime.cli.moments import clock_text, date_text
from cardan.runtime.clock import ns
from cardan.runtime.log.read import known_runs, log_folder, read_log
from cardan.runtime.log.record import OUTPUT, LogRecord
from cardan.runtime.why.answer import Answer, explain, fact_of
from cardan.runtime.why.evidence import AROUND_NS, Evidence, onset_ns
from cardan.runtime.why.machine_facts import machine_facts

QUESTION = "restart"
ENDINGS = ("node-crash", "node-hung", "node-late", "node-out-of-memory", "node-start-failed", "node-gave-up")
LAST_WORDS_NS = ns(5.0)
LAST_WORDS = 12
SAME_NS = ns(2.0)
"""A node that hung is killed, and its process ends a moment later: both records tell of one restart."""


def answer(evidence: Evidence, node: str = "") -> Answer:
    """Of one node, or of whichever was restarted last (or nearest to --at); of the run, when no node was."""
    ends = [record for record in evidence.of_codes(*ENDINGS) if not node or record.node == node]
    moment_ns = evidence.nearest(record.wall_ns for record in ends)
    if moment_ns is None:
        return _of_run(evidence, node)
    end = next(record for record in ends if record.wall_ns == moment_ns)
    return _of_node(evidence, _first_of(ends, end))


def _first_of(ends: list[LogRecord], end: LogRecord) -> LogRecord:
    """The first record that tells of the same ending."""
    same = [one for one in ends if one.node == end.node and 0 <= end.wall_ns - one.wall_ns <= SAME_NS]
    return min(same, key=onset_ns)


def _of_node(evidence: Evidence, end: LogRecord) -> Answer:
    moment_ns = end.wall_ns
    own = [record for record in evidence.between(moment_ns - AROUND_NS, moment_ns + SAME_NS) if record.node == end.node]
    faults = [
        record
        for record in own
        if record.is_trouble and record.code not in ("note", OUTPUT, "setting") and onset_ns(record) <= moment_ns
    ]
    root = min([*faults, end], key=onset_ns)
    said, hint = explain(root.code)
    facts, missing = machine_facts(evidence, moment_ns)
    words = [record.text for record in own if record.code == OUTPUT and record.wall_ns <= moment_ns + SAME_NS]
    facts = [*(f"it printed: {text}" for text in words[-LAST_WORDS:]), *facts]
    if root.code == "node-crash" and not words:
        missing = ["why its process ended so: it said nothing in its log within 5 s before", *missing]
    chain = [record for record in own if record.code != OUTPUT and record.wall_ns >= onset_ns(root)] or [root]
    return Answer(
        question=QUESTION,
        verdict=_verdict(evidence, end, root),
        healthy=False,
        moment_ns=moment_ns,
        cause=fact_of(root, moment_ns),
        means=said,
        hint=hint,
        chain=[fact_of(record, moment_ns) for record in chain],
        facts=facts,
        missing=missing,
        around=evidence.around(moment_ns),
    )


def _verdict(evidence: Evidence, end: LogRecord, root: LogRecord) -> str:
    again = [r for r in evidence.of_codes("node-ready") if r.node == end.node and r.wall_ns > end.wall_ns]
    back = f"ready again after {(again[0].wall_ns - end.wall_ns) / 1e9:.2f} s" if again else "it did not come back"
    times = sum(record.node == end.node for record in evidence.of_codes("node-restart"))
    count = f", restart {times} of this run" if times > 1 else ""
    first_line = root.text.strip().splitlines()[-1] if root.text.strip() else ""
    return f"{end.node} ended at {date_text(end.wall_ns)} UTC: {root.code}: {first_line}; {back}{count}"


def _of_run(evidence: Evidence, node: str) -> Answer:
    """No node was restarted: how did the run before this one end?"""
    whose = f"{node} was" if node else "no node was"
    not_restarted = f"{whose} {'not ' if node else ''}restarted in this run"
    runs = known_runs(evidence.found.data_dir)
    earlier = [name for name in runs if name < evidence.found.run_id]
    if node or not earlier or not evidence.found.run_id:
        return Answer(question=QUESTION, verdict=not_restarted, healthy=True)
    records = read_log(log_folder(evidence.found.data_dir) / earlier[-1])
    ended = next((record for record in reversed(records) if record.code == "run-ended"), None)
    stopping = next((record for record in reversed(records) if record.code == "run-stopping"), None)
    if ended is None:
        last = f"its log stops at {date_text(records[-1].wall_ns)} UTC" if records else "it has no log"
        missing = f"how the run before ({earlier[-1]}) ended: {last}, without a word of an end"
        return Answer(
            question=QUESTION,
            verdict=f"{not_restarted}; the run before did not end in order",
            healthy=False,
            missing=[missing + " (the power, the computer, or the supervisor was lost: `last -x`, `journalctl -b -1`)"],
            chain=[fact_of(record, records[-1].wall_ns) for record in records[-8:]],
        )
    why = f" ({stopping.text})" if stopping else ""
    text = f"the run before ended at {clock_text(ended.wall_ns)}{why}: {ended.text}"
    verdict = next((record.text for record in reversed(records) if record.code == "run-verdict"), "")
    healthy = verdict in ("", "verdict: ok")
    return Answer(
        question=QUESTION, verdict=f"{not_restarted}; {text}", healthy=healthy, facts=[verdict] if verdict else []
    )
