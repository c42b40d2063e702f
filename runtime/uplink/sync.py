"""Delivery: claimed segments become objects of the store, verified there before they leave the outbox.

A segment leaves only when the store holds its content under its name, so a kill at any point leads to the same put
again, which the store answers with "exists".
"""

from __future__ import annotations

from hashlib import sha256
from random import Random

from cardan.runtime.clock import NS_PER_S
from cardan.runtime.outbox.claims import Claim, Claims
from cardan.runtime.uplink.objects import CONTENT_TYPE, object_bytes, object_name
from cardan.runtime.uplink.stores.store import SealedObject, Store, StoreError

FIRST_WAIT_NS = NS_PER_S
LONGEST_WAIT_NS = 300 * NS_PER_S


class Sync:
    """Empties an outbox into a store, one segment a call. claims: open. random: for the jitter of waiting times."""

    def __init__(self, claims: Claims, store: Store, random: Random) -> None:
        self._claims = claims
        self._store = store
        self._random = random
        self._failures = 0
        self._retry_ns = 0
        self._refused: set[str] = set()
        self._held: Claim | None = None
        """Of which nobody knows whether the store has it: kept until it answers, so that it is not evicted as well."""
        self.objects = 0
        """Delivered since this process started."""
        self.problem: str | None = None
        """Why something was not delivered at the last try; None when all went well."""

    def step(self, now_ns: int) -> int:
        """Deliver the oldest segment of the first class; returns how many records that were, 0 when none was delivered.

        Blocks for as long as the store takes. After a failure nothing is tried for a while: up to 1 s at first,
        doubled each time up to 300 s, with full jitter.
        """
        if now_ns < self._retry_ns:
            return 0
        claim, self._held = self._held or self._claims.oldest_or_none(besides=self._refused), None
        if claim is None:
            return 0
        try:
            return self._deliver(claim)
        except (StoreError, OSError) as error:
            self._held = claim
            self._wait(now_ns, error)
            return 0

    def _deliver(self, claim: Claim) -> int:
        if not self._put(claim):
            self._refused.add(claim.name)
            claim.release()
            return 0
        claim.delivered()
        self._failures = 0
        self.objects += 1
        if not self._refused:
            self.problem = None
        return len(claim)

    def _put(self, claim: Claim) -> bool:
        """True when the store holds the segment; False when it holds something else under that name."""
        records = claim.records()
        name = object_name(claim.header, records)
        data = object_bytes(claim.header, records)
        item = SealedObject(name=name, data=data, sha256=sha256(data).hexdigest(), content_type=CONTENT_TYPE)
        if self._store.put(item).stored:
            return True
        self.problem = f"the store holds another object under {name}; it is left there, and ours stays in the queue"
        return False

    def _wait(self, now_ns: int, error: Exception) -> None:
        self._failures += 1
        self.problem = str(error)
        longest_ns = min(LONGEST_WAIT_NS, FIRST_WAIT_NS << min(self._failures - 1, 20))
        self._retry_ns = now_ns + int(self._random.random() * longest_ns)
