"""What the answer of an object store means, and what a person can do about it.

The one rule behind the table: nothing counts as stored but a confirmed put, or an answer that says in so many words
that this very object exists. A status alone says too little: a store being deleted answers 409 as well.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from cardan.runtime.uplink.stores.store import Refusal, StoreError

EXISTS = {(409, "BlobAlreadyExists"), (412, "PreconditionFailed"), (412, "ConditionNotMet")}
"""Status and error code of Azure and of S3 for "there is such an object", to a put that must not overwrite."""

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_TIMEOUT = re.compile(r"kind: Timeout|TimedOut")
_NO_TAG, _ELSEWHERE = "Unable to extract metadata", "Received redirect"


class Meaning(NamedTuple):
    """What a status leads to."""

    kind: Refusal
    what: str
    hint: str | None = None


MEANINGS: dict[int, Meaning] = {
    400: Meaning("refused", "it does not understand the request"),
    401: Meaning("access", "it does not accept the key", "renew the key in the access file"),
    403: Meaning(
        "access", "it does not let us write", "renew the SAS or the key; it needs the right to create and write"
    ),
    404: Meaning("refused", "there is no such container or bucket", "make it, or correct `store` in the manifest"),
    405: Meaning("refused", "it takes no objects here", "is `store` in the manifest the address of a container?"),
    409: Meaning("busy", "the object or its container is being changed"),
    411: Meaning("refused", "it does not understand the request"),
    412: Meaning("busy", "the object is being changed"),
    413: Meaning("refused", "the object is too large for it"),
}
BUSY = Meaning("busy", "it is overloaded or out of order")
REDIRECT = Meaning("refused", "it lies elsewhere", "is the region in `store` right?")
MAY_NOT_READ = Meaning(
    "access",
    "it does not let us list and read with this key",
    "a vehicle's key may only write, as it should; have one made that may list and read (a SAS: --permissions rl), "
    "and name its file with --access-file",
)
UNEXPECTED = Meaning("busy", "it answers in an unexpected way")
NO_ANSWER = Meaning("unreachable", "it cannot be reached", "is there a network?")
NO_ANSWER_IN_TIME = Meaning("unreachable", "it did not answer in time")


def meaning_of(status: int | None) -> Meaning:
    """What a status that is no success means; None: no answer came."""
    if status is None:
        return NO_ANSWER
    if 300 <= status < 400:
        return REDIRECT
    if status in (408, 425, 429) or status >= 500:
        return BUSY
    return MEANINGS.get(status, UNEXPECTED)


def says_exists(status: int | None, code: str | None) -> bool:
    """True when the store says that an object of this name is there."""
    return (status, code) in EXISTS


def error_of(
    url: str, status: int | None, code: str | None, *, timed_out: bool = False, reading: bool = False
) -> StoreError:
    """The error of an answer. The text of the answer itself stays out: it may repeat what was sent.

    reading: the store was asked what it holds, and not to take an object.
    """
    meaning = NO_ANSWER_IN_TIME if status is None and timed_out else meaning_of(status)
    if reading and meaning.kind == "access":
        meaning = MAY_NOT_READ
    said = " ".join(str(part) for part in (status, code) if part is not None)
    what = "does not say what it holds" if reading else "did not take an object"
    text = f"the store {url} {what}: {meaning.what}" + (f" ({said})" if said else "")
    return StoreError(text, kind=meaning.kind, status=status, hint=meaning.hint)


def status_and_code(text: str) -> tuple[int | None, str | None]:
    """HTTP status and error code in the text of an obstore error; it has no other place for them."""
    status, code = _STATUS.search(text), _CODE.search(text)
    if status:
        return int(status[1]), code[1] if code else None
    if _NO_TAG in text:
        return 200, None  # a success that does not say of what
    return (300 if _ELSEWHERE in text else None), None


def says_timeout(text: str) -> bool:
    """True when the text of an obstore error is about a time-out."""
    return bool(_TIMEOUT.search(text))
