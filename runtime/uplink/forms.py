"""How the records of a segment are written as an object: one table of forms, by the name that the ledger keeps."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from cardan.runtime.errors import ConfigError, near_names
from cardan.runtime.outbox.segment import Record, SegmentHeader
from cardan.runtime.uplink.objects import CONTENT_TYPE, object_bytes


class Form(NamedTuple):
    """One way to write records."""

    folder: str
    """The second folder of an object's name."""
    ending: str
    content_type: str
    encode: Callable[[SegmentHeader, list[Record]], bytes]
    """The same bytes for the same records, as long as the libraries are the same."""


FORMS = {
    "jsonl": Form("records", "jsonl.gz", CONTENT_TYPE, object_bytes),
}


def form_of(name: str) -> Form:
    """The form of this name. ConfigError when there is none."""
    try:
        return FORMS[name]
    except KeyError:
        raise ConfigError(f'"{name}" is no form of objects', hint=near_names(name, list(FORMS))) from None
