"""What leaves, as delivery sees it: something of a class, kept for purposes, that becomes one object of the store."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple, Protocol

import msgspec

from cardan.runtime.errors import CardanError
from cardan.runtime.outbox.claims import Claim
from cardan.runtime.outbox.segment import RecordClass
from cardan.runtime.uplink.cipher import SUFFIX
from cardan.runtime.uplink.forms import Form, form_of, forms_with
from cardan.runtime.uplink.keys.sealer import Sealer
from cardan.runtime.uplink.names import MOST_HASHES, Name
from cardan.runtime.uplink.objects import object_name
from cardan.runtime.uplink.stores.store import SealedObject

LINES = "jsonl"
"""The form that takes every record as it is."""


class SyncSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How objects are made."""

    forms: dict[str, Form] = msgspec.field(default_factory=lambda: forms_with({}))
    form: str = LINES
    sealer: Sealer | None = None
    """Encrypts every object before it leaves."""
    block_from_bytes: int = 4 << 20
    """Larger objects go in blocks, where the store can take them up again."""


class Sealed(NamedTuple):
    """An object, and what is to be kept of it before it leaves."""

    name: Name
    item: SealedObject


class Parcel(Protocol):
    """One thing that is ours until it is delivered or released."""

    name: str
    """For people, and unique among what waits."""
    key: str
    """In the ledger of names: the same whenever it is taken."""
    kind: RecordClass
    purposes: tuple[str, ...]

    def __len__(self) -> int:
        """How many records it stands for; at least 1."""

    def sealed(self, before: Name | None) -> Sealed:
        """The object, under the name that was decided before, or is decided now.

        CardanError when it cannot be made; KeyAwayError when only the key is missing.
        """

    def delivered(self) -> None:
        """The store has it for good."""

    def release(self) -> None:
        """Give it back: the store certainly has nothing of it."""


class Segment:
    """A segment of the outbox."""

    def __init__(self, claim: Claim, settings: SyncSettings, report_fault: Callable[[str, str], None]) -> None:
        self._claim = claim
        self._settings = settings
        self._report_fault = report_fault
        self.name = claim.name
        self.key = f"{claim.header.log}/{claim.name}"
        self.kind = claim.kind
        self.purposes = claim.header.purposes
        self.delivered = claim.delivered
        self.release = claim.release

    def __len__(self) -> int:
        return len(self._claim)

    def sealed(self, before: Name | None) -> Sealed:
        form_name, data = self._encoded(before)
        form = form_of(self._settings.forms, form_name)
        digest = sha256(data).hexdigest()
        if before is None:
            name = object_name(self._claim.header, self._claim.records(), kind=form.folder, ending=form.ending)
            in_blocks = len(data) > self._settings.block_from_bytes
            before = Name(key=self.key, name=name, form=form_name, hashes=(digest,), in_blocks=in_blocks)
        return sealed_as(before, data, digest, form.content_type)

    def _encoded(self, before: Name | None) -> tuple[str, bytes]:
        """The records, in the form that was decided, and its name; what a form cannot say is written as lines."""
        form_name = before.form if before is not None else self._settings.form
        form, claim = form_of(self._settings.forms, form_name), self._claim
        try:
            return form_name, form.encode(claim.header, claim.records())
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            if before is not None or form_name == LINES:
                raise CardanError(f"{self.name} cannot be written as {form_name}: {error}") from error
            self._report_fault("uplink-form", f"{self.name} cannot be written as {form_name}: {error}")
            return LINES, form_of(self._settings.forms, LINES).encode(claim.header, claim.records())


class Encrypted:
    """A parcel whose object nobody can read without the key. One that was decided to leave in the clear stays so."""

    def __init__(self, parcel: Parcel, sealer: Sealer) -> None:
        self._parcel = parcel
        self._sealer = sealer
        self.name, self.key = parcel.name, parcel.key
        self.kind, self.purposes = parcel.kind, parcel.purposes
        self.delivered, self.release = parcel.delivered, parcel.release

    def __len__(self) -> int:
        return len(self._parcel)

    def sealed(self, before: Name | None) -> Sealed:
        if before is not None and not before.name.endswith(SUFFIX):
            return self._parcel.sealed(before)
        hashes = before.hashes if before is not None else ()
        cipher = self._sealer.cipher(before.data_key if before is not None else "")
        if before is not None:
            before = msgspec.structs.replace(before, name=before.name.removesuffix(SUFFIX), hashes=())
        inner = self._parcel.sealed(before)
        name = inner.item.name + SUFFIX
        data = cipher.seal(name, inner.item.data)
        data_key = cipher.key_name.hex() if cipher.wraps else ""
        decided = msgspec.structs.replace(inner.name, name=name, hashes=hashes, data_key=data_key)
        return sealed_as(decided, data, sha256(data).hexdigest(), "application/octet-stream")


def sealed_as(decided: Name, data: bytes | memoryview, digest: str, content_type: str) -> Sealed:
    """An object under a name that was decided, and that name with the hash of these bytes."""
    hashes = decided.hashes if digest in decided.hashes else (*decided.hashes, digest)[-MOST_HASHES:]
    item = SealedObject(
        name=decided.name,
        data=data,
        sha256=digest,
        content_type=content_type,
        in_blocks=decided.in_blocks,
        earlier=tuple(other for other in hashes if other != digest),
    )
    return Sealed(msgspec.structs.replace(decided, hashes=hashes), item)
