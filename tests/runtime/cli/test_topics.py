"""`cardan topic list|bw|lat|info`: what the vitals and the rings of a run say about its topics."""

from __future__ import annotations

import json
from typing import Any, Protocol

import msgpack
import pytest

from cardan.runtime.bus.codec import EXT_SLOT
from cardan.runtime.bus.envelope import pack, unpack
from cardan.runtime.cli.edges import edges_of, losses, verdict_on
from cardan.runtime.cli.main import main
from cardan.runtime.cli.measure import Limits, measure
from cardan.runtime.cli.runs import find_run
from cardan.runtime.cli.snapshot import Spread, take_snapshot
from cardan.runtime.cli.status import at_start
from cardan.runtime.cli.summary import Jitter
from cardan.runtime.cli.topic_hz import interval_ms
from cardan.runtime.cli.topic_types import fields_of
from cardan.runtime.cli.topics import topic_rows
from cardan.runtime.clock import FakeClock
from cardan.runtime.histogram import BUCKETS, bucket_of
from cardan.runtime.messages import CanFrames, VehicleState, schema_id
from cardan.runtime.plan import Plan
from cardan.runtime.vitals import NodeState, NodeVitals, SeriesKind, SeriesVitals, Vitals


class Run(Protocol):
    """The fixture `active`."""

    def send(self, topic: str, value: Any = None, *, schema: int = 7) -> None: ...


def series(vitals: Vitals, node: str, port: str, topic: str) -> SeriesVitals:
    found = vitals.nodes[node].find(SeriesKind.INPUT, port, topic)
    assert found is not None
    return found


def test_an_edge_tells_where_and_why_messages_went_missing(plan: Plan, driven: Vitals, clock: FakeClock) -> None:
    before = take_snapshot(plan, driven, clock.now_ns())
    recorded = series(driven, "recorder", "everything", "camera/frame").words
    recorded[SeriesVitals.LOST], recorded[SeriesVitals.DROPPED], recorded[SeriesVitals.TORN] = 2, 1200, 1
    edges = edges_of(plan, take_snapshot(plan, driven, clock.now_ns()), before)
    edge = next(edge for edge in edges if (edge.topic, edge.reader) == ("camera/frame", "recorder"))
    assert losses(edge) == [
        "2 never arrived: missing in the sequence",
        "1 200 dropped at recorder.everything: its queue of 20 000 was full, or the frame was overwritten first",
        "1 not whole when they were read: damaged memory, or a reader that is much too slow",
    ]
    assert verdict_on(edges).startswith("1203 messages lost, most from camera/frame to recorder.everything: 2 never")


def test_edges_count_what_lies_between_two_looks(plan: Plan, driven: Vitals, clock: FakeClock) -> None:
    frames = series(driven, "control", "frame", "camera/frame")
    for _ in range(3):
        frames.observe(50_000_000)
    frames.words[SeriesVitals.LATE] = 3
    before = take_snapshot(plan, driven, clock.now_ns())
    for _ in range(100):
        frames.observe(20_000)
    frames.words[SeriesVitals.OVERTAKEN] = 5
    now = take_snapshot(plan, driven, clock.now_ns())
    edge = next(edge for edge in edges_of(plan, now, before) if edge.reader == "control")
    assert (edge.delivered, edge.overtaken, edge.late, edge.max_age_s) == (100, 5, 0, 0.15)
    assert edge.one_way_ms is not None
    assert edge.one_way_ms.max == pytest.approx(0.02, rel=0.07)


def test_the_maximum_since_then_is_that_of_the_highest_bucket() -> None:
    counts = [0] * BUCKETS
    counts[bucket_of(5_000_000)] = 1
    before = Spread(list(counts), 5_000_000)
    counts[bucket_of(1000)] = 4
    since = Spread(counts, 5_000_000).since(before)
    assert since.total == 4
    assert 1000 <= since.maximum <= 1070
    assert before.since(before).maximum == 0


def test_list_begins_with_what_was_lost_and_is_a_finding_then(
    active: Run, driven: Vitals, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["topic", "list"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "ok: 3 200 messages on 4 topics, none lost"
    series(driven, "bridge", "command", "control/command").words[SeriesVitals.LOST] = 1
    assert main(["topic", "list"]) == 1
    assert capsys.readouterr().out.splitlines()[0] == (
        "not ok: 1 message lost, most from control/command to bridge.command: 1 never arrived: missing in the sequence"
    )
    assert main(["topic", "list", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["verdict"].startswith("1 message lost")
    assert [edge["reader"] for edge in document["topics"][0]["edges"]] == ["control", "recorder"]


def test_overtaken_messages_are_no_loss(active: Run, driven: Vitals, capsys: pytest.CaptureFixture[str]) -> None:
    series(driven, "control", "frame", "camera/frame").words[SeriesVitals.OVERTAKEN] = 9
    assert main(["topic", "list"]) == 0
    assert "  9  " in capsys.readouterr().out


def test_lat_is_a_finding_when_messages_come_later_than_their_reader_allows(
    active: Run, driven: Vitals, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["topic", "lat"]) == 3
    frames = series(driven, "control", "frame", "camera/frame")
    for _ in range(200):
        frames.observe(42_000)
    assert main(["topic", "lat", "camera/frame"]) == 0
    output = capsys.readouterr().out
    assert output.splitlines()[0] == "ok: no message was older on arrival than its reader allows"
    assert "42 us" in output
    frames.words[SeriesVitals.LATE] = 4
    assert main(["topic", "lat"]) == 1
    first = capsys.readouterr().out.splitlines()[0]
    assert first == "not ok: 4 of 200 messages were older than 0.15 s at camera/frame to control.frame"


def test_bw_adds_arrays_in_shared_memory_to_what_is_sent(active: Run, capsys: pytest.CaptureFixture[str]) -> None:
    descriptor = msgpack.packb(["camera.frame.1.0", 64, 2, "|u1", [36, 64, 3]])
    active.send("camera/frame", {"frame_id": 1, "image": msgpack.ExtType(EXT_SLOT, descriptor)})
    assert main(["topic", "bw", "--for", "10ms", "--json"]) == 3  # nothing is published in a run that only looks alive
    rows = json.loads(capsys.readouterr().out)["topics"]
    assert [row["slot_bytes"] for row in rows] == [36 * 64 * 3, None, None, None]


def test_info_shows_type_publisher_transport_and_readers(active: Run, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        active.send("bridge/sent", {"frames": []}, schema=schema_id(CanFrames))
    assert main(["topic", "info", "bridge/sent"]) == 0
    output = capsys.readouterr().out
    assert output.startswith("ok\nbridge/sent\n")
    assert f"CanFrames of cardan.runtime.messages, schema {schema_id(CanFrames):08x}" in output
    assert "frames[].id        int" in output
    assert "publisher  bridge, running" in output
    assert "ring in shared memory, which holds the last 3 messages" in output
    assert "recorder.everything: queue of 20 000" in output


def test_info_tells_when_another_shape_is_sent_than_is_installed_here(
    active: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    active.send("bridge/sent", schema=0xBAD)
    assert main(["topic", "info", "bridge/sent"]) == 1
    assert capsys.readouterr().out.startswith("not ok: messages of schema 00000bad are sent, and ")


def test_info_tells_that_the_publisher_is_away(active: Run, driven: Vitals, capsys: pytest.CaptureFixture[str]) -> None:
    active.send("bridge/sent", schema=schema_id(CanFrames))
    driven.nodes["bridge"].words[NodeVitals.STATE] = NodeState.HUNG
    assert main(["topic", "info", "bridge/sent"]) == 1
    assert capsys.readouterr().out.startswith("not ok: its publisher bridge is hung\n")


@pytest.mark.parametrize("command", ["bw", "lat", "info", "echo"])
def test_an_unknown_topic_lists_the_near_ones(active: Run, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["topic", command, "camera/fram"]) == 2
    assert capsys.readouterr().err == 'no topic "camera/fram" in this run\n  hint: did you mean "camera/frame"?\n'


def test_intervals_are_those_between_messages_of_one_process_within_the_measurement() -> None:
    ms = 1_000_000
    stamps = [(1, 5), (1, 15), (1, 25), (1, 45), (2, 46), (2, 56)]
    headers = [unpack(pack(n, at * ms, 1, 7, epoch, valid=True)) for n, (epoch, at) in enumerate(stamps)]
    assert interval_ms(headers, 10 * ms, 60 * ms) == Jitter(p50=10.0, p99=20.0, max=20.0)
    assert interval_ms(headers, 50 * ms, 60 * ms) is None


def test_the_rate_of_a_topic_begins_when_its_node_was_ready(plan: Plan, driven: Vitals, clock: FakeClock) -> None:
    driven.nodes["camera"].words[NodeVitals.READY_NS] = clock.now_ns() - 4 * 10**9
    shot = take_snapshot(plan, driven, clock.now_ns())
    rows = {row.topic: row.rate_hz for row in topic_rows(plan, shot, at_start(shot))}
    assert rows["camera/frame"] == 50.0  # 200 frames
    assert rows["bridge/sent"] == 100.0  # 1000 in ten seconds: its time of readiness is not known
    driven.nodes["camera"].words[NodeVitals.STARTS] = 2
    shot = take_snapshot(plan, driven, clock.now_ns())
    assert topic_rows(plan, shot, at_start(shot))[0].rate_hz == 20.0


def test_a_measurement_ends_when_every_topic_has_had_its_messages(active: Run, driven: Vitals) -> None:
    class Publishing(FakeClock):
        """While somebody sleeps, the bridge publishes."""

        def sleep_until_ns(self, deadline_ns: int, *, spin: bool = False) -> None:
            super().sleep_until_ns(deadline_ns, spin=spin)
            sent = driven.nodes["bridge"].find(SeriesKind.OUTPUT, "sent")
            assert sent is not None
            sent.observe(1)

    clock = Publishing(2_000 * 10**9)
    found = find_run(None)
    looks = measure(found, clock, ["bridge/sent"], Limits(10.0, 5))
    row = next(row for row in topic_rows(found.plan, looks.now, looks.before) if row.topic == "bridge/sent")
    assert row.published == 5
    assert looks.span_s == pytest.approx(0.1)


def test_the_fields_of_a_type_are_shown_with_those_of_its_structs() -> None:
    shown = {field.name: field.type for field in fields_of(CanFrames)}
    assert shown == {
        "frames": "list[CanFrame]",
        "frames[].channel": "str",
        "frames[].id": "int",
        "frames[].data": "bytes",
        "frames[].stamp_ns": "int",
        "frames[].extended": "bool",
        "frames[].fd": "bool",
        "frames[].error": "bool",
    }
    wheels = next(field for field in fields_of(VehicleState) if field.name == "wheel_speed_mps")
    assert wheels.type == "tuple[float, float, float, float]"
