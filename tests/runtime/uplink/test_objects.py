"""Objects: names and bytes follow from the segment alone, and DuckDB reads them as one table."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import msgspec
import pytest

from cardan.runtime.errors import ConfigError
from cardan.runtime.outbox.names import checked_name
from cardan.runtime.outbox.segment import Record, RecordClass, SegmentHeader
from cardan.runtime.uplink import forms
from cardan.runtime.uplink.forms import forms_with, usual_form
from cardan.runtime.uplink.objects import content_hash, json_lines, object_bytes, object_name

HEADER = SegmentHeader(vehicle="van-7", boot="b1", stream="telemetry", log="0a1b2c3d")
WALL_NS = 1_700_000_000 * 10**9
RECORDS = [
    Record(seq, seq * 10, WALL_NS + seq, RecordClass.TREND, b'{"topic":"a/b","message":{"speed_mps":%d}}' % seq)
    for seq in (41, 42)
]


def test_the_name_is_a_hive_path_with_the_range() -> None:
    assert object_name(HEADER, RECORDS) == (
        "v1/records/date=2023-11-14/vehicle=van-7/boot=b1/telemetry-0a1b2c3d-000000000041-000000000042-HASH.jsonl.gz"
    ).replace("HASH", content_hash(HEADER, RECORDS))


def test_an_unset_clock_gives_a_date_too() -> None:
    first = Record(1, 5, 0, RecordClass.TREND, b"{}")
    assert "/date=1970-01-01/" in object_name(HEADER, [first])


def test_each_line_is_one_record_with_its_place_and_stamps() -> None:
    lines = [json.loads(line) for line in json_lines(HEADER, RECORDS).splitlines()]
    assert lines[0] == {
        "stream": "telemetry",
        "log": "0a1b2c3d",
        "seq": 41,
        "class": "trend",
        "mono_ns": 410,
        "wall_ns": WALL_NS + 41,
        "topic": "a/b",
        "message": {"speed_mps": 41},
    }
    assert [line["seq"] for line in lines] == [41, 42]


def test_the_same_records_give_the_same_bytes() -> None:
    data = object_bytes(HEADER, RECORDS)
    assert data == object_bytes(HEADER, RECORDS)
    assert gzip.decompress(data) == json_lines(HEADER, RECORDS)


def test_the_name_says_what_is_in_it() -> None:
    changes = [
        [RECORDS[0]],
        [RECORDS[0], msgspec.structs.replace(RECORDS[1], payload=b"{}")],
        [RECORDS[0], msgspec.structs.replace(RECORDS[1], wall_ns=1)],
        [RECORDS[0], msgspec.structs.replace(RECORDS[1], kind=RecordClass.EVENT)],
    ]
    hashes = {content_hash(HEADER, records) for records in [RECORDS, *changes]}
    hashes.add(content_hash(msgspec.structs.replace(HEADER, log="other"), RECORDS))
    assert len(hashes) == 6


@pytest.mark.parametrize("name", ["", "a/b", "../x", "a b", "-x", "x" * 65, "a=b"])
def test_what_cannot_be_part_of_a_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="vehicle_id"):
        checked_name("vehicle_id", name)


@pytest.mark.parametrize("form_name", ["jsonl", "jsonl-zstd"])
def test_duckdb_reads_a_store_as_one_table(tmp_path: Path, form_name: str) -> None:
    form = forms_with({})[form_name]
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    for vehicle in ("van-7", "van-8"):
        header = SegmentHeader(vehicle=vehicle, boot="b1", stream="telemetry", log="0a1b2c3d")
        path = tmp_path / object_name(header, RECORDS, kind=form.folder, ending=form.ending)
        path.parent.mkdir(parents=True)
        path.write_bytes(form.encode(header, RECORDS))
    query = (
        f"select vehicle, date, boot, count(*), max(message.speed_mps) "
        f"from read_json('{tmp_path}/**/*.{form.ending}', hive_partitioning = true) group by all order by vehicle"
    )
    rows = duckdb.connect().execute(query).fetchall()
    assert [(row[0], str(row[1]), *row[2:]) for row in rows] == [
        ("van-7", "2023-11-14", "b1", 2, 42),
        ("van-8", "2023-11-14", "b1", 2, 42),
    ]


def test_lines_go_by_zstd_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert usual_form() == "jsonl-zstd"
    monkeypatch.setattr(forms, "find_spec", lambda name: None)
    assert usual_form() == "jsonl"
