"""How the records of a segment are written as an object: a table of forms, by the name that the ledger keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import NamedTuple

from cardan.runtime.errors import ConfigError, near_names
from cardan.runtime.outbox.segment import Record, SegmentHeader
from cardan.runtime.uplink.objects import CONTENT_TYPE, object_bytes, zstd_object_bytes
from cardan.runtime.uplink.signals import VSS, SignalNames


class Form(NamedTuple):
    """One way to write records."""

    folder: str
    """The second folder of an object's name."""
    ending: str
    content_type: str
    encode: Callable[[SegmentHeader, list[Record]], bytes]
    """The same bytes for the same records, as long as the libraries are the same."""


Forms = Mapping[str, Form]


def forms_with(names: SignalNames) -> dict[str, Form]:
    """All forms. names: what signals are called, beside those of VSS that we know."""
    names = {**VSS, **names}

    def parquet(header: SegmentHeader, records: list[Record]) -> bytes:
        from cardan.runtime.uplink.parquet_form import parquet_bytes

        return parquet_bytes(header, records, names)

    def columns(header: SegmentHeader, records: list[Record]) -> bytes:
        from cardan.runtime.uplink.columns_form import columns_bytes

        return columns_bytes(header, records, names)

    return {
        "jsonl": Form("records", "jsonl.gz", CONTENT_TYPE, object_bytes),
        "jsonl-zstd": Form("records", "jsonl.zst", "application/zstd", zstd_object_bytes),
        "parquet": Form("signals", "parquet", "application/vnd.apache.parquet", parquet),
        "columns": Form("columns", "msgpack.zst", "application/zstd", columns),
    }


def usual_form() -> str:
    """The form of objects where the settings name none: lines by zstd where it is installed.

    They have up to a third fewer bytes than by gzip, and take no more processor time (`benches/uplink.py`).
    """
    return "jsonl-zstd" if find_spec("zstandard") is not None else "jsonl"


def form_of(forms: Forms, name: str) -> Form:
    """The form of this name. ConfigError when there is none."""
    try:
        return forms[name]
    except KeyError:
        raise ConfigError(f'"{name}" is no form of objects', hint=near_names(name, list(forms))) from None
