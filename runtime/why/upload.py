"""Why data has not been uploaded: consent, the link, or the disk, as outbox and uplink left it on disk."""

from __future__ import annotations

import msgspec

from cardan.runtime.bundle.collectors import SYNC_FACTS
from cardan.runtime.cli.moments import date_text
from cardan.runtime.cli.units import age
from cardan.runtime.log.record import LogRecord
from cardan.runtime.uplink.status import SyncStatus, sync_status_or_none
from cardan.runtime.uplink.why import Reason, SyncFacts, read_facts, reasons
from cardan.runtime.why.answer import Answer, Fact, explain, fact_of, last_line
from cardan.runtime.why.evidence import Evidence

QUESTION = "upload"
OF_DISK = ("outbox-disk", "recorder-disk", "machine-disk-full")
OF_UPLINK = ("outbox", "uplink")


def answer(evidence: Evidence) -> Answer:
    """One of: nothing waits; no consent; the link; the disk; or what is not known."""
    status = sync_status_or_none(evidence.found.data_dir)
    if status is None:
        said = "this vehicle has never had an outbox that kept anything"
        return Answer(question=QUESTION, verdict=f"not recorded: {said}", healthy=False, missing=[said])
    disk = [record for record in evidence.of_codes(*OF_DISK) if record.is_trouble]
    down = _down(evidence)
    found = _reasons(evidence)
    verdict, healthy, hint = _verdict(status, disk, down, found)
    return Answer(
        question=QUESTION,
        verdict=verdict,
        healthy=healthy,
        cause=_cause([*disk, *([down] if down else [])]),
        hint=hint,
        chain=[fact_of(record, disk[0].wall_ns) for record in disk],
        facts=[
            *(f"{reason.code}: {reason.text}" for reason in found),
            f"account: {status.ledger}",
            f"store: {status.report.store or 'not known'}",
            _last_delivery(status, evidence.now_wall_ns),
            *(f"{record.node}: {last_line(record.text)}" for record in _said(evidence)[-3:]),
        ],
        missing=[] if status.ledger.exact else ["what became of some records: the account does not add up"],
    )


def _verdict(
    status: SyncStatus, disk: list[LogRecord], down: LogRecord | None, found: list[Reason]
) -> tuple[str, bool, str]:
    """Verdict, whether all is well, and what helps."""
    pending = status.ledger.pending
    if disk:
        return f"the disk: {disk[0].text}", False, explain(disk[0].code)[1]
    if down is not None:
        return (
            f"{down.node} does not run: {last_line(down.text)} ({pending} records wait)",
            False,
            explain(down.code)[1],
        )
    if found:
        first = next((reason for reason in found if reason.finding), found[0])
        waiting = f" ({pending} records wait)" if pending else ""
        return f"{first.code}: {first.text}{waiting}", not any(reason.finding for reason in found), first.hint
    if status.ledger.evicted:
        return f"{status.ledger.evicted} records were given up because the outbox was full", False, "a larger quota"
    return (
        ("everything that was kept has been uploaded", True, "")
        if not pending
        else (f"{pending} records wait", True, "")
    )


def _reasons(evidence: Evidence) -> list[Reason]:
    """What stands in the way, as `cardan sync why` judges it; of a bundle by the facts of its making."""
    try:
        if evidence.found.bundle is None:
            facts = read_facts(evidence.found.data_dir, evidence.now_wall_ns)
        else:
            stored = (evidence.found.data_dir / SYNC_FACTS).read_bytes()
            facts = msgspec.json.decode(stored, type=SyncFacts)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return []
    return reasons(facts) if facts is not None else []


def _down(evidence: Evidence) -> LogRecord | None:
    """Why outbox or uplink is not there: its own last word, or how its process ended; None while both are."""
    for name in OF_UPLINK:
        own = [record for record in evidence.records if record.node == name]
        ends = [record for record in own if record.code in ("node-crash", "node-gave-up", "node-hung")]
        if ends and not any(record.code == "node-ready" and record.t_ns > ends[-1].t_ns for record in own):
            words = [r for r in own if r.code in ("crash", "node-error") and r.t_ns <= ends[-1].t_ns]
            return words[-1] if words else ends[-1]
    return None


def _cause(disk: list[LogRecord]) -> Fact | None:
    return fact_of(disk[0], disk[0].wall_ns) if disk else None


def _last_delivery(status: SyncStatus, now_wall_ns: int) -> str:
    last_ns = status.report.last_delivery_wall_ns
    if last_ns is None:
        return "nothing was ever delivered"
    return f"the last delivery was at {date_text(last_ns)} UTC, {age(max(0.0, (now_wall_ns - last_ns) / 1e9))} ago"


def _said(evidence: Evidence) -> list[LogRecord]:
    return [record for record in evidence.records if record.node in OF_UPLINK and record.is_trouble]
