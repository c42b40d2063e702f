"""Is the manifest in order, how did the last run end, and does what is to be sent arrive?"""

from __future__ import annotations

from cardan.runtime.doctor.check import Check, Result, Subject, failed, passed, unknown
from cardan.runtime.errors import RunError
from cardan.runtime.faults import find_fault
from cardan.runtime.plan import read_plan
from cardan.runtime.run import RunPaths
from cardan.runtime.uplink.status import sync_status_or_none
from cardan.runtime.vitals import open_vitals

PENDING = 100_000
"""Records that wait for the store before it is worth a word."""
CRASHES = "cardan-crash-*.txt"


def manifest(subject: Subject) -> Result:
    """The manifest has no findings."""
    if subject.findings:
        more = f", and {len(subject.findings) - 1} more" if len(subject.findings) > 1 else ""
        return failed(f"{subject.findings[0]}{more}", "cardan check")
    if subject.plan is None:
        return unknown("the profile has findings", "cardan check")
    return passed(f"{subject.plan.name}: {len(subject.plan.nodes)} nodes, {len(subject.plan.topics())} topics")


def last_run(subject: Subject) -> Result:
    """The last run ended without a cause."""
    last = RunPaths(subject.data_dir, subject.data_dir).last
    if not (last / "plan.json").exists():
        return unknown("nothing has run here yet", "cardan up")
    try:
        vitals = open_vitals(last / "vitals", read_plan(last / "plan.json"))
    except RunError as error:
        return unknown(error.message, "it was kept by another release; the next run replaces it")
    cause, code = vitals.cause, vitals.cause_code
    vitals.close()
    if not cause:
        return passed("it ended in order")
    fault = find_fault(code)
    return failed(cause, fault.cure if fault is not None else "cardan status; cardan control why")


def crashes(subject: Subject) -> Result:
    """No tool of ours has failed in a way that nobody foresaw."""
    found = sorted((subject.data_dir / "crashes").glob(CRASHES))
    if not found:
        return passed("none")
    return failed(f"{len(found)} reports, the newest {found[-1]}", "send them to us, then delete them")


def outbox(subject: Subject) -> Result:
    """What was to be sent was sent, or waits for a good reason."""
    status = sync_status_or_none(subject.data_dir)
    if status is None:
        return unknown("there is no outbox here")
    ledger, report = status.ledger, status.report
    text = f"{ledger.produced} produced, {ledger.delivered} delivered, {ledger.pending} pending"
    text += f", {ledger.evicted} evicted"
    if report.problem:
        return failed(f"{text}; {report.problem}", "is the link up, and the store reachable? `cardan status`")
    if ledger.damaged or ledger.unknown:
        return failed(f"{text}, {ledger.damaged} damaged, {ledger.unknown} unknown", "is the disk sound? `dmesg`")
    if not report.consent:
        return passed(f"{text}; nothing leaves the vehicle: no consent")
    return failed(text, "is the link up?") if ledger.pending > PENDING else passed(text)


CHECKS = (
    Check("vehicle.manifest", "is the manifest in order?", manifest),
    Check("vehicle.last-run", "did the last run end in order?", last_run),
    Check("vehicle.crashes", "has a tool of ours failed?", crashes),
    Check("vehicle.outbox", "does what is to be sent arrive?", outbox),
)
