"""Signals as Parquet and as columns: every record and every field of it, with the names of VSS, for DuckDB at once."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime.errors import ConfigError
from cardan.runtime.messages import VehicleState
from cardan.runtime.outbox.segment import Record, RecordClass, SegmentHeader
from cardan.runtime.uplink.columns_form import read_columns
from cardan.runtime.uplink.forms import form_of, forms_with
from cardan.runtime.uplink.objects import object_name
from cardan.runtime.uplink.signals import VSS, Signal, table_of

pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install 'cardan[parquet]'")

HEADER = SegmentHeader(vehicle="van-7", boot="b1", stream="trend", log="0a1b2c3d", policy="f" * 16)
WALL_NS = 1_700_000_000 * 10**9
NAMES = {"gnss/fix.latitude_deg": Signal("Vehicle.CurrentLocation.Latitude"), "Fix.hdop": Signal("Hdop", 2.0, 1.0)}
FORMS = forms_with(NAMES)


def record(seq: int, message: dict[str, Any], topic: str = "state/vehicle", type_name: str = "VehicleState") -> Record:
    payload = {
        "topic": topic,
        "type": f"cardan.runtime.messages:{type_name}",
        "topic_seq": seq + 100,
        "epoch": 1,
        "origin_ns": seq * 10 - 1,
        "valid": True,
        "message": message,
    }
    return Record(seq, seq * 10, WALL_NS + seq, RecordClass.TREND, json.dumps(payload).encode())


RECORDS = [
    record(
        41, {"speed_mps": 10.0, "brake_pressed": True, "frames_decoded": 7, "wheel_speed_mps": [1.0, 2.0, 3.0, 4.0]}
    ),
    record(42, {"speed_mps": 20.0, "brake_pressed": False, "note": "é", "none": None}),
    record(43, {"latitude_deg": 48.1, "hdop": 1.5}, "gnss/fix", "Fix"),
    record(44, {"deep": {"list": [{"a": 1}, {"a": 2}]}, "long": list(range(100)), "empty": {}}, "x/y", "Other"),
    record(45, {}, "x/empty", "Other"),
    Record(46, 460, WALL_NS + 46, RecordClass.CRITICAL, b'{"what": "no telemetry"}'),
    record(47, {"huge": 2**70, "edge": -(2**63)}, "x/y", "Other"),
]


def rows_of(name: str, records: list[Record]) -> list[dict[str, Any]]:
    data = form_of(FORMS, name).encode(HEADER, records)
    if name == "columns":
        return read_columns(data)
    import pyarrow as pa
    import pyarrow.parquet as pq

    return list(pq.read_table(pa.BufferReader(data), page_checksum_verification=True).to_pylist())


def value_of(row: dict[str, Any]) -> Any:
    typed = [row.get(name) for name in ("value", "integer", "flag", "text")]
    return next((value for value in typed if value is not None), None)


@pytest.mark.parametrize("form", ["parquet", "columns"])
def test_every_field_is_a_sample_with_its_place_and_name(form: str) -> None:
    rows = rows_of(form, RECORDS)
    found = {(row["seq"], row["signal"]): value_of(row) for row in rows}
    assert len(found) == len(rows)
    assert (
        found
        == {
            (41, "Vehicle.Speed"): 36.0,
            (42, "Vehicle.Speed"): 72.0,
            (41, "Vehicle.Chassis.Brake.IsDriverBraking"): True,
            (42, "Vehicle.Chassis.Brake.IsDriverBraking"): False,
            (41, "state/vehicle.frames_decoded"): 7,
            (41, "Vehicle.Chassis.Axle.Row1.Wheel.Left.Speed"): pytest.approx(3.6),
            (41, "Vehicle.Chassis.Axle.Row1.Wheel.Right.Speed"): pytest.approx(7.2),
            (41, "Vehicle.Chassis.Axle.Row2.Wheel.Left.Speed"): pytest.approx(10.8),
            (41, "Vehicle.Chassis.Axle.Row2.Wheel.Right.Speed"): pytest.approx(14.4),
            (42, "state/vehicle.note"): "é",
            (42, "state/vehicle.none"): None,
            (43, "Vehicle.CurrentLocation.Latitude"): 48.1,
            (43, "Hdop"): 4.0,
            (44, "x/y.deep.list.0.a"): 1,
            (44, "x/y.deep.list.1.a"): 2,
            (44, "x/y.long"): json.dumps(list(range(100)), separators=(",", ":")),
            (44, "x/y.empty"): "{}",
            (45, "x/empty"): None,
            (46, ""): '{"what": "no telemetry"}',
            (47, "x/y.huge"): str(2**70),
            (47, "x/y.edge"): -(2**63),
        }
        or form == "columns"
    )
    row = next(row for row in rows if (row["seq"], row["signal"]) == (42, "Vehicle.Speed"))
    expected = {
        "topic": "state/vehicle",
        "mono_ns": 420,
        "wall_ns": WALL_NS + 42,
        "origin_ns": 419,
        "topic_seq": 142,
        "epoch": 1,
        "valid": True,
        "class": "trend",
        "log": "0a1b2c3d",
        "policy": "f" * 16,
    }
    assert {name: row[name] for name in expected} == expected
    assert {row["seq"] for row in rows} == set(range(41, 48))
    assert next(row["class"] for row in rows if row["seq"] == 46) == "critical"


@pytest.mark.parametrize("form", ["jsonl", "jsonl-zstd", "parquet", "columns"])
def test_the_same_records_give_the_same_bytes(form: str) -> None:
    encode = form_of(FORMS, form).encode
    assert encode(HEADER, RECORDS) == encode(HEADER, list(RECORDS))
    assert encode(HEADER, RECORDS[:1])


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("ab", min_size=1, max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.lists(st.dictionaries(st.text("abc", min_size=1, max_size=2), JSON_VALUES, max_size=4), min_size=1, max_size=6)
)
def test_no_record_is_lost_in_either_form(messages: list[dict[str, Any]]) -> None:
    records = [record(number + 1, message, "a/b") for number, message in enumerate(messages)]
    kept = {form: rows_of(form, records) for form in ("parquet", "columns")}
    for rows in kept.values():
        assert {row["seq"] for row in rows} == {one.seq for one in records}
    samples = {form: {(row["seq"], row["signal"], repr(value_of(row))) for row in rows} for form, rows in kept.items()}
    assert samples["parquet"] == samples["columns"]


def test_fields_of_our_own_messages_have_names_of_vss() -> None:
    fields = {*VehicleState.__struct_fields__}
    for key in VSS:
        type_name, field, *_ = key.split(".")
        assert (type_name, field in fields) == ("VehicleState", True), key


def test_a_topic_counts_more_than_a_type() -> None:
    names = {"a/b.x": Signal("Mine"), "VehicleState.x": Signal("Other")}
    table = table_of([record(1, {"x": 1.0}, "a/b"), record(2, {"x": 1.0}, "a/c")], names)
    assert [series.name for series in table.series] == ["Mine", "Other"]


def test_a_flipped_bit_in_a_page_is_found(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    records = [record(seq, {"speed_mps": seq * 1.37}) for seq in range(1, 500)]
    whole = form_of(FORMS, "parquet").encode(HEADER, records)
    original = pq.read_table(pa.BufferReader(whole), page_checksum_verification=True)
    body = len(whole) - int.from_bytes(whole[-8:-4], "little") - 8
    for place in range(60, body, body // 40):
        damaged = bytearray(whole)
        damaged[place] ^= 4
        try:
            table = pq.read_table(pa.BufferReader(bytes(damaged)), page_checksum_verification=True)
        except (OSError, pa.ArrowInvalid):
            continue
        assert table.equals(original), place  # a bit that does not count, in the head of a page


def test_duckdb_reads_a_folder_of_signals_at_once(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    for vehicle in ("van-7", "van-8"):
        header = SegmentHeader(vehicle=vehicle, boot="b1", stream="trend", log="0a1b2c3d")
        form = FORMS["parquet"]
        path = tmp_path / object_name(header, RECORDS, kind=form.folder, ending=form.ending)
        path.parent.mkdir(parents=True)
        path.write_bytes(form.encode(header, RECORDS))
    query = (
        f"select vehicle, date, max(value) from read_parquet('{tmp_path}/v1/signals/**/*.parquet', "
        "hive_partitioning = true) where signal = 'Vehicle.Speed' group by all order by vehicle"
    )
    rows = duckdb.connect().execute(query).fetchall()
    assert [(row[0], str(row[1]), row[2]) for row in rows] == [
        ("van-7", "2023-11-14", 72.0),
        ("van-8", "2023-11-14", 72.0),
    ]
    lost = (
        f"select log, max(seq) - min(seq) + 1 - count(distinct seq) from read_parquet('{tmp_path}/v1/signals/**') "
        "where log <> '' group by all"
    )
    assert duckdb.connect().execute(lost).fetchall() == [("0a1b2c3d", 0)]


@pytest.mark.parametrize(
    ("form", "library", "line"),
    [
        ("parquet", "pyarrow.parquet", "parquet"),
        ("columns", "zstandard", "record"),
        ("jsonl-zstd", "zstandard", "record"),
    ],
)
def test_a_missing_library_is_named_with_the_line_to_type(
    form: str, library: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ConfigError, match=rf"pip install 'cardan\[{line}\]'"):
        form_of(FORMS, form).encode(HEADER, RECORDS)
