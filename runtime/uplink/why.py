"""Why something is not at the store: from facts on the disk, so also when nothing runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import msgspec

from cardan.runtime.outbox.folder import Place, class_dir, listing, outbox_dir
from cardan.runtime.outbox.ledger import Ledger, read_ledgers
from cardan.runtime.outbox.lock import CLAIMS_LOCK, lock_or_none
from cardan.runtime.outbox.segment import RecordClass
from cardan.runtime.uplink.files import FileNote
from cardan.runtime.uplink.status import SyncReport, files_waiting, read_report_or_none, uplink_dir
from cardan.runtime.uplink.wishes import UplinkWishes, read_wishes

FULL_SHARE = 0.02
"""A disk with less of it free is called full."""

Code = Literal[
    "nothing-waits",
    "not-running",
    "consent",
    "withdrawn",
    "paused",
    "no-link",
    "metered",
    "budget",
    "unreachable",
    "busy",
    "access",
    "key",
    "refused",
    "problem",
    "refused-objects",
    "being-filled",
    "damaged",
    "disk",
    "on-its-way",
]


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One reason. What stands in the way comes first."""

    code: Code
    text: str
    hint: str = ""
    classes: tuple[str, ...] = ()
    """Names of those that it holds back; empty: all."""
    finding: bool = True
    """False for what passes by itself, and soon."""


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """What waits of one class."""

    records: int
    complete: int
    """Segments that could leave."""
    open: int
    """Segments that are being filled."""
    damaged: int
    """Files that were set aside."""


class SyncFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is looked at."""

    waiting: dict[str, Waiting]
    """By name of class; only those that the outbox has."""
    running: bool
    """Whether a process empties the outbox now."""
    report: SyncReport | None
    wishes: UplinkWishes
    files: list[FileNote]
    """Whole files that wait."""
    free_share: float
    """Of the disk that the outbox lies on."""
    wall_ns: int


def read_facts(data_dir: Path, wall_ns: int) -> SyncFacts | None:
    """The facts of a data folder; None where there never was an outbox."""
    folder = outbox_dir(data_dir)
    ledgers = read_ledgers(folder)
    if not ledgers:
        return None
    disk = os.statvfs(folder)
    return SyncFacts(
        waiting={kind.name.lower(): _waiting(folder, kind, ledger) for kind, ledger in ledgers.items()},
        running=_is_running(folder),
        report=read_report_or_none(data_dir),
        wishes=read_wishes(uplink_dir(data_dir)),
        files=files_waiting(data_dir),
        free_share=disk.f_bavail / max(1, disk.f_blocks),
        wall_ns=wall_ns,
    )


def _waiting(folder: Path, kind: RecordClass, ledger: Ledger) -> Waiting:
    found = listing(class_dir(folder, kind))
    complete = len(found.segments[Place.WAITING]) + len(found.segments[Place.LEAVING])
    return Waiting(records=ledger.pending, complete=complete, open=len(found.open), damaged=len(found.damaged))


def _is_running(folder: Path) -> bool:
    lock = lock_or_none(folder, CLAIMS_LOCK)
    if lock is None:
        return True
    lock.release()
    return False


def reasons(facts: SyncFacts) -> list[Reason]:
    """Why what waits is not at the store, the first cause first."""
    waits = sum(waiting.records for waiting in facts.waiting.values()) + len(facts.files)
    found = [*_of_the_uplink(facts), *_of_the_outbox(facts)] if waits else []
    found += _set_aside(facts)
    if not waits:
        return [*found, Reason(code="nothing-waits", text="nothing waits: the store has everything", finding=False)]
    if not found:
        text = "what is complete is on its way"
        found.append(Reason(code="on-its-way", text=text, finding=False))
    return found


def _of_the_uplink(facts: SyncFacts) -> list[Reason]:
    found = []
    if not facts.running:
        hint = "`cardan up`; is there a node that uses `uplink` in the manifest?"
        found.append(Reason(code="not-running", text="no process empties the outbox at this moment", hint=hint))
    report = facts.report
    if report is None:
        return found
    return [*found, *_holds(report, facts), *_answer(report, facts), *_refused(report)]


def _holds(report: SyncReport, facts: SyncFacts) -> list[Reason]:
    hints = {
        "consent": "`cardan sync consent give PURPOSE`, and `consent = true` in the config of the uplink",
        "paused": "`cardan sync pause --off`",
        "no-link": "it goes on by itself when there is a network",
        "metered": "a Wi-Fi; or `over_metered` in the config of the uplink; or `cardan sync pause --metered no`",
        "budget": "it fills up evenly over a day; `budgets` in the config of the uplink sets it",
    }
    waiting = {name for name, found in facts.waiting.items() if found.records}
    waiting |= {RecordClass(note.kind).name.lower() for note in facts.files}
    by_text: dict[str, list[str]] = {}
    for name, hold in report.holds.items():
        if name in waiting:
            by_text.setdefault(f"{hold.code} {hold.text}", []).append(name)
    found = []
    for key, names in by_text.items():
        code, _, text = key.partition(" ")
        who = f" ({facts.wishes.by})" if code == "paused" and facts.wishes.by else ""
        reason = Reason(code=msgspec.convert(code, Code), text=text + who, hint=hints[code], classes=tuple(names))
        found.append(reason)
    if report.withdrawn:
        purposes = sorted({purpose for gone in report.withdrawn.values() for purpose in gone})
        text = f"{len(report.withdrawn)} segments were kept for {', '.join(purposes)}, and that consent was withdrawn"
        hint = "they stay until it is given again, or they are the oldest in a full outbox"
        found.append(Reason(code="withdrawn", text=text, hint=hint))
    return found


def _answer(report: SyncReport, facts: SyncFacts) -> list[Reason]:
    if report.problem is None:
        return []
    text, _, hint = report.problem.partition("\n  hint: ")
    if report.failures:
        ahead_s = round((report.retry_wall_ns - facts.wall_ns) / 1e9) if report.retry_wall_ns is not None else 0
        when = f"the next try is in {ahead_s} s" if ahead_s > 0 else "the next try is due"
        text += f"; {report.failures} tries in a row failed, {when}"
    code: Code = msgspec.convert(report.problem_kind, Code) if report.problem_kind else "problem"
    return [Reason(code=code, text=text, hint=hint or "`cardan sync retry` tries it now")]


def _refused(report: SyncReport) -> list[Reason]:
    return [
        Reason(code="refused-objects", text=f"{name}: {why}", hint="look at it, then `cardan sync retry`")
        for name, why in report.refused.items()
    ]


def _of_the_outbox(facts: SyncFacts) -> list[Reason]:
    found = []
    filling = [name for name, waiting in facts.waiting.items() if waiting.records and not waiting.complete]
    if filling:
        text = "the newest records are in a segment that is not complete yet"
        hint = "it is complete when it is full, or after `seal_interval_s` of the outbox"
        reason = Reason(code="being-filled", text=text, hint=hint, classes=tuple(filling), finding=False)
        found.append(reason)
    if facts.free_share < FULL_SHARE:
        text = f"the disk of the outbox is full ({facts.free_share:.1%} free)"
        found.append(Reason(code="disk", text=text, hint="`df`; delete what is not needed"))
    return found


def _set_aside(facts: SyncFacts) -> list[Reason]:
    damaged = {name: waiting.damaged for name, waiting in facts.waiting.items() if waiting.damaged}
    if not damaged:
        return []
    text = f"{sum(damaged.values())} damaged files were set aside; what is whole in them goes on"
    hint = "`cardan sync verify` shows them, `cardan sync repair` reads them once more"
    return [Reason(code="damaged", text=text, hint=hint, classes=tuple(damaged))]
