"""Signals as Parquet: one row a sample, typed columns, a checksum on each page, and few bytes.

select wall_ns, value from read_parquet('STORE/v1/signals/**/*.parquet', hive_partitioning = true)
where signal = 'Vehicle.Speed' order by boot, seq
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt

from cardan.runtime.errors import ConfigError
from cardan.runtime.outbox.segment import Record, SegmentHeader
from cardan.runtime.uplink.signals import SignalNames, Table, table_of

LEVEL, LEVEL_OF_FEW, FEW_ROWS = 9, 19, 10_000
"""Of zstd: 9 takes a tenth fewer bytes than 3 for twice its time. 19 takes some more and ten times as long, which
only a small object can afford, and needs, since its columns are a fifth of it."""
ONE_PAGE_BYTES = 64 << 20
"""A segment is one page: stamps repeat for each signal, and are only found again within a page."""


def parquet_bytes(header: SegmentHeader, records: list[Record], names: SignalNames) -> bytes:
    """The records as a Parquet file; the same bytes for the same records and the same pyarrow."""
    pq = _library()
    sink = io.BytesIO()
    table = _arrow_table(header, table_of(records, names))
    pq.write_table(
        table,
        sink,
        version="2.6",
        data_page_version="2.0",
        compression="zstd",
        compression_level=LEVEL_OF_FEW if table.num_rows <= FEW_ROWS else LEVEL,
        use_dictionary=["signal", "topic", "class", "purpose", "policy", "log", "valid"],
        write_statistics=["wall_ns"],
        write_page_checksum=True,
        data_page_size=ONE_PAGE_BYTES,
        max_rows_per_page=ONE_PAGE_BYTES,
        store_schema=False,
    )
    return sink.getvalue()


def _arrow_table(header: SegmentHeader, table: Table) -> Any:
    import pyarrow as pa

    rows = np.concatenate([np.asarray(series.rows, np.int64) for series in table.series])
    places = np.repeat(np.arange(len(table.series), dtype=np.int32), [len(series.rows) for series in table.series])
    values = [value for series in table.series for value in series.values]
    heads, records = table.heads, table.records
    columns = {
        "signal": _words([series.name for series in table.series], places),
        "topic": _words([series.topic for series in table.series], places),
        "seq": pa.array(_taken([record.seq for record in records], rows)),
        "mono_ns": pa.array(_taken([record.mono_ns for record in records], rows)),
        "wall_ns": pa.array(_taken([record.wall_ns for record in records], rows)),
        "origin_ns": pa.array([head.origin_ns for head in heads], pa.int64()).take(pa.array(rows)),
        "topic_seq": pa.array([head.topic_seq for head in heads], pa.int64()).take(pa.array(rows)),
        "epoch": pa.array([head.epoch for head in heads], pa.int64()).take(pa.array(rows)),
        "valid": pa.array([head.valid for head in heads], pa.bool_()).take(pa.array(rows)),
        "class": pa.array([record.kind.name.lower() for record in records]).take(pa.array(rows)).dictionary_encode(),
        "purpose": pa.array([head.purpose for head in heads]).take(pa.array(rows)).dictionary_encode(),
        "value": pa.array([v if type(v) is float else None for v in values], pa.float64()),
        "integer": pa.array([v if type(v) is int else None for v in values], pa.int64()),
        "flag": pa.array([v if type(v) is bool else None for v in values], pa.bool_()),
        "text": pa.array([v if type(v) is str else None for v in values], pa.string()),
        "policy": _words([header.policy], np.zeros(len(rows), np.int32)),
        "log": _words([header.log], np.zeros(len(rows), np.int32)),
    }
    return pa.table(columns)


def _taken(of_records: list[int], rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.asarray(of_records, np.int64)[rows]


def _words(words: list[str], places: npt.NDArray[Any]) -> Any:
    """`words[place]` of each place, as a dictionary in which each word stands once: Arrow does not look for that."""
    import pyarrow as pa

    once = {word: number for number, word in enumerate(dict.fromkeys(words))}
    numbers = np.asarray([once[word] for word in words], np.int32)[places]
    return pa.DictionaryArray.from_arrays(pa.array(numbers), pa.array(list(once), pa.string()))


def _library() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError(
            "objects cannot be written as Parquet: pyarrow is not installed",
            hint="pip install 'cardan[parquet]', or another `form` of the uplink",
        ) from error
    return pyarrow.parquet
