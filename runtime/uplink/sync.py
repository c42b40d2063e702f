"""Delivery: claimed segments become objects of the store, verified there before they leave the outbox.

A segment leaves only when the store holds its content under its name, and the name is on this disk before the first
byte leaves, so a kill or a cut at any point leads to the same put again, which the store answers with "exists".
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import NamedTuple

import msgspec

from cardan.runtime.clock import Clock, ns
from cardan.runtime.errors import CardanError
from cardan.runtime.outbox.claims import Claims
from cardan.runtime.outbox.segment import RecordClass
from cardan.runtime.uplink.backoff import Backoff
from cardan.runtime.uplink.budget import Budgets, Ledger
from cardan.runtime.uplink.files import FileQueue
from cardan.runtime.uplink.holds import Conditions, Hold, hold_or_none, withdrawn
from cardan.runtime.uplink.keys.wraps import KeyAwayError
from cardan.runtime.uplink.links import LOCAL, LinkKind
from cardan.runtime.uplink.names import Name, Names
from cardan.runtime.uplink.parcels import Encrypted, Parcel, Segment, SyncSettings
from cardan.runtime.uplink.stores.store import HeldBackError, Outcome, SealedObject, Store, StoreError
from cardan.runtime.uplink.turns import Turns

TOO_LARGE = 413
"""The one HTTP status that speaks of an object and not of the store."""


LONGEST_SHORTAGE_S = 86_400.0


class Shortage(NamedTuple):
    """A budget that has less left than an object needs."""

    bytes: int
    until_ns: int


LET_OUT = Conditions(consent=True, link=LOCAL, over_metered=())
"""Conditions under which everything may leave, to a store on this computer."""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """What delivery says about itself."""

    problem: str | None = None
    """Why something was not delivered at the last try; None when all went well."""
    problem_kind: str = ""
    """Of the store's refusal (see StoreError), or "key"."""
    objects: int = 0
    """Delivered since this process started."""
    sent_bytes: int = 0
    """Let out by the gate since then, also of tries that failed."""
    failures: int = 0
    """In a row."""
    retry_ns: int = 0
    """Nothing is tried before."""
    holds: dict[str, Hold] = {}
    """By class, where one is held back."""
    left_bytes: dict[str, int] = {}
    """By class, where one has a budget on the present link."""
    refused: tuple[Name, ...] = ()
    """Objects that are not tried again until somebody asks for it."""
    withdrawn: dict[str, tuple[str, ...]] = {}
    """Claims that stay because consent was withdrawn after their records were kept, and to which purposes."""


class Sync:
    """Empties an outbox into a store, one segment a call. One thread; `conditions` may be set from another.

    claims: open. random: for the jitter of waiting times.
    """

    def __init__(
        self,
        claims: Claims,
        store: Store,
        *,
        names: Names,
        budget: Ledger,
        clock: Clock,
        random: Random,
        settings: SyncSettings | None = None,
        conditions: Conditions | None = None,
        files: FileQueue | None = None,
        report_fault: Callable[[str, str], None] = lambda code, text: None,
    ) -> None:
        self.conditions = conditions or Conditions()
        self._claims = claims
        self._store = store
        self._names = names
        self._budget = budget
        self._clock = clock
        self._settings = settings or SyncSettings()
        self._files = files
        self._report_fault = report_fault
        self._backoff = Backoff(random)
        self._turns = Turns(clock.now_ns())
        self._held: tuple[Parcel, SealedObject] | None = None
        """Of which nobody knows whether the store has it: kept until it answers, so that it is not evicted as well."""
        self._problem: CardanError | OSError | None = None
        self._objects = self._sent_bytes = 0
        self._touched = False
        self._withdrawn: dict[str, tuple[str, ...]] = {}
        self._consented = self.conditions.purposes
        self._short: dict[tuple[LinkKind, RecordClass], Shortage] = {}

    def close(self) -> None:
        """Give the ledger of names back. What is claimed stays claimed until its process ends."""
        self._names.close()

    def step(self) -> int:
        """Deliver one segment or file of the class whose turn it is; returns how many records that were, or 0.

        Blocks for as long as the store takes. After a failure nothing is tried for a while (see Backoff).
        """
        if self._clock.now_ns() < self._backoff.until_ns:
            return 0
        try:
            found = self._held_or_next()
            return self._deliver(*found) if found is not None else 0
        except HeldBackError:
            return 0
        except (CardanError, OSError) as error:
            self._failed(error)
            return 0

    def retry(self) -> None:
        """Somebody wants it tried now: also what was refused."""
        self._backoff.reset()
        self._short.clear()
        self._names.retry()
        if self._settings.sealer is not None:
            self._settings.sealer.retry()

    def progress(self) -> Progress:
        """What there is to say. For the thread that steps."""
        problem = self._problem
        kinds = {kind.name.lower(): kind for kind in RecordClass}
        left = {name: self._left_or_none(kind) for name, kind in kinds.items()}
        holds = {name: self._hold_or_none(kind) for name, kind in kinds.items()}
        return Progress(
            problem=str(problem) if problem is not None else None,
            problem_kind=_kind_of(problem),
            objects=self._objects,
            sent_bytes=self._sent_bytes,
            failures=self._backoff.failures,
            retry_ns=self._backoff.until_ns,
            holds={name: hold for name, hold in holds.items() if hold is not None},
            left_bytes={name: count for name, count in left.items() if count is not None},
            refused=tuple(self._names.refused()),
            withdrawn=dict(self._withdrawn),
        )

    # ------------------------------------------------------------------------------------------------------- choosing

    def _held_or_next(self) -> tuple[Parcel, SealedObject] | None:
        if self._held is not None:
            held = self._held[0]
            stays = withdrawn(held.purposes, self.conditions) or self._hold_or_none(held.kind)
            return self._held if not stays else None
        parcel = self._next_or_none()
        if parcel is None:
            return None
        gone = withdrawn(parcel.purposes, self.conditions)
        if gone:
            self._withdrawn[parcel.name] = tuple(gone)
            parcel.release()
            return None
        try:
            decided, item = parcel.sealed(self._names.get_or_none(parcel.key))
        except KeyAwayError:
            parcel.release()
            raise
        except CardanError as error:
            self._refuse(parcel, error.message)
            return None
        self._keep(decided)
        return parcel, item

    def _next_or_none(self) -> Parcel | None:
        now_ns = self._clock.now_ns()
        order = self._turns.order([kind for kind in RecordClass if self._hold_or_none(kind) is None], now_ns)
        if self._consented != self.conditions.purposes:
            self._consented = self.conditions.purposes
            self._withdrawn.clear()
        sealer = self._settings.sealer
        if sealer is not None and order:
            sealer.cipher()  # nothing is claimed while the key is away
        besides = {name.key for name in self._names.refused()}
        parcels = (self._oldest_or_none(kind, besides) for kind in order)
        parcel = next((parcel for parcel in parcels if parcel is not None), None)
        self._turns.took(order, parcel.kind if parcel is not None else None, now_ns)
        return Encrypted(parcel, sealer) if parcel is not None and sealer is not None else parcel

    def _oldest_or_none(self, kind: RecordClass, besides: set[str]) -> Parcel | None:
        """Of one class: records first, which tell of the files."""
        claims = {key.partition("/")[2] for key in besides} | set(self._withdrawn)
        claim = self._claims.oldest_or_none([kind], claims)
        if claim is not None:
            return Segment(claim, self._settings, self._report_fault)
        return self._files.oldest_or_none(kind, besides | set(self._withdrawn)) if self._files is not None else None

    def _hold_or_none(self, kind: RecordClass) -> Hold | None:
        hold = hold_or_none(kind, self.conditions, self._left_or_none(kind))
        short = self._short.get((self.conditions.link.kind, kind))
        if hold is None and short is not None and self._clock.now_ns() < short.until_ns:
            return Hold(code="budget", text=f"of the day's bytes less is left than the {short.bytes} of an object")
        return hold

    def _left_or_none(self, kind: RecordClass) -> int | None:
        return self._budget.left_or_none(self.conditions.link.kind, kind)

    def _keep(self, name: Name) -> Name:
        """A full disk must not keep the outbox from being emptied: the name follows from segment and settings too."""
        try:
            return self._names.keep(name)
        except OSError as error:
            self._report_fault("uplink-disk", f"the name of an object could not be kept: {error.strerror}")
            return name

    # ------------------------------------------------------------------------------------------------------ delivering

    def _deliver(self, parcel: Parcel, item: SealedObject) -> int:
        self._held, self._touched = (parcel, item), self._touched and self._held is not None
        try:
            outcome = self._store.put(item, self._gate(parcel.kind))
        except HeldBackError:
            if not self._touched:
                self._give_back(parcel)
            raise
        except StoreError as error:
            if error.status == TOO_LARGE:
                self._refuse(parcel, error.message)
            raise
        if outcome is Outcome.OTHER:
            self._refuse(parcel, "the store holds something else under this name, which is left there")
            return 0
        parcel.delivered()
        self._names.forget(parcel.key)
        self._held = self._problem = None
        self._backoff.reset()
        self._objects += 1
        return len(parcel)

    def _gate(self, kind: RecordClass) -> Callable[[int], None]:
        def gate(count: int) -> None:
            hold = self._hold_or_none(kind)
            if hold is not None:
                raise HeldBackError(hold.text)
            self._spend(self.conditions.link.kind, kind, count)
            self._touched = True
            self._sent_bytes += count

        return gate

    def _spend(self, link: LinkKind, kind: RecordClass, count: int) -> None:
        try:
            if self._budget.spend(link, kind, count):
                return
        except OSError as error:
            self._report_fault("uplink-disk", f"what was spent could not be kept: {error.strerror}")
            return
        wait_s = min(self._budget.refill_s(link, kind, count), LONGEST_SHORTAGE_S)
        self._short[link, kind] = Shortage(count, self._clock.now_ns() + ns(wait_s))
        raise HeldBackError("the day's bytes are used up")

    def _refuse(self, parcel: Parcel, reason: str) -> None:
        """The store does not have it, and will not: the rest goes on."""
        name = self._names.get_or_none(parcel.key) or Name(key=parcel.key, name=parcel.name)
        self._keep(msgspec.structs.replace(name, refused=reason))
        hint = "look at it, then `cardan sync retry`"
        self._problem = CardanError(f"{parcel.name} is not taken: {reason}", hint=hint)
        self._give_back(parcel)

    def _give_back(self, parcel: Parcel) -> None:
        parcel.release()
        self._held = None

    def _failed(self, error: CardanError | OSError) -> None:
        self._problem = error
        soon = _kind_of(error) in ("access", "key")
        self._backoff.failed(self._clock.now_ns(), soon=soon)


def _kind_of(problem: CardanError | OSError | None) -> str:
    if isinstance(problem, KeyAwayError):
        return "key"
    return problem.kind if isinstance(problem, StoreError) else ""


def open_sync(
    claims: Claims,
    store: Store,
    folder: Path,
    *,
    clock: Clock,
    random: Random,
    settings: SyncSettings | None = None,
    budgets: Budgets | None = None,
    conditions: Conditions | None = None,
    files: FileQueue | None = None,
    report_fault: Callable[[str, str], None] = lambda code, text: None,
) -> Sync:
    """A delivery that goes on where an earlier process was; `folder` is where it keeps what it must not forget."""
    names = Names(folder)
    names.open()
    if settings is not None and settings.sealer is not None:
        settings.sealer.forget_all_but(names.data_keys())
    budget = Ledger(folder, budgets or {}, clock)
    budget.open()
    return Sync(
        claims,
        store,
        names=names,
        budget=budget,
        clock=clock,
        random=random,
        settings=settings,
        conditions=conditions,
        files=files,
        report_fault=report_fault,
    )
