"""Why data has not been uploaded: consent, the link, or the disk, as outbox and uplink left it on disk."""

from __future__ import annotations

from cardan.runtime.cli.moments import date_text
from cardan.runtime.cli.units import age
from cardan.runtime.log.record import LogRecord
from cardan.runtime.uplink.status import SyncStatus, sync_status_or_none
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
    verdict, healthy, hint = _verdict(status, disk, down)
    return Answer(
        question=QUESTION,
        verdict=verdict,
        healthy=healthy,
        cause=_cause([*disk, *([down] if down else [])]),
        hint=hint,
        chain=[fact_of(record, disk[0].wall_ns) for record in disk],
        facts=[
            f"account: {status.ledger}",
            f"store: {status.report.store or 'not known'}",
            _last_delivery(status, evidence.now_wall_ns),
            *(f"{record.node}: {last_line(record.text)}" for record in _said(evidence)[-3:]),
        ],
        missing=[] if status.ledger.exact else ["what became of some records: the account does not add up"],
    )


def _verdict(status: SyncStatus, disk: list[LogRecord], down: LogRecord | None) -> tuple[str, bool, str]:
    """Verdict, whether all is well, and what helps."""
    pending, report = status.ledger.pending, status.report
    if disk:
        return f"the disk: {disk[0].text}", False, explain(disk[0].code)[1]
    if down is not None:
        return (
            f"{down.node} does not run: {last_line(down.text)} ({pending} records wait)",
            False,
            explain(down.code)[1],
        )
    if not pending and not status.ledger.evicted:
        return "everything that was kept has been uploaded", True, ""
    if report.problem:
        return f"the link: {report.problem} ({pending} records wait)", False, "is the store reachable? `cardan doctor`"
    if not report.consent:
        return f"no consent: nothing leaves the vehicle ({pending} records wait)", False, "`cardan sync consent`"
    if status.ledger.evicted and not pending:
        return f"{status.ledger.evicted} records were given up because the outbox was full", False, "a larger quota"
    return f"{pending} records wait, and nothing is wrong: they go with the next delivery", True, ""


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
