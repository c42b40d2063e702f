"""The summary says what the vitals hold, and the verdict is the first cause."""

from __future__ import annotations

import msgspec
import pytest

from cardan.runtime.cli.snapshot import Snapshot, take_snapshot
from cardan.runtime.cli.summary import Jitter, actuator_topics, summarise, verdict_of
from cardan.runtime.clock import FakeClock
from cardan.runtime.errors import RunError
from cardan.runtime.plan import MetricPlan, NodePlan, Plan
from cardan.runtime.vitals import NodeVitals, RunState, SeriesKind, SeriesVitals, Vitals, create_vitals

KEYS = [
    "schema_version",
    "verdict",
    "duration_s",
    "armed_after_s",
    "nodes",
    "photon_to_can_ms",
    "published",
    "lost",
    "safe_stops",
    "lane_error_m",
    "recording",
    "synced",
    "frames_carried",
    "checksum_failures",
]


@pytest.fixture
def shot(plan: Plan, driven: Vitals, clock: FakeClock) -> Snapshot:
    return take_snapshot(plan, driven, clock.now_ns())


def with_metrics(plan: Plan, **units: str) -> Plan:
    metrics = [MetricPlan(name=name, unit=unit) for name, unit in units.items()]
    extra = NodePlan(name="meter", index=len(plan.nodes), use="x:Meter", metrics=metrics)
    return msgspec.structs.replace(plan, nodes=[*plan.nodes, extra])


def observed(plan: Plan, clock: FakeClock, tmp_path: object, values: dict[str, list[float]]) -> Snapshot:
    page = create_vitals(tmp_path / "page", plan, now_ns=clock.now_ns(), wall_ns=clock.wall_ns())  # type: ignore[operator]  # a Path
    for name, numbers in values.items():
        series = page.nodes["meter"].find(SeriesKind.METRIC, name)
        assert series is not None
        for number in numbers:
            series.observe(round(number * 1e6))
    return take_snapshot(plan, page, clock.now_ns())


def test_the_document_has_exactly_the_promised_keys_in_order(plan: Plan, shot: Snapshot) -> None:
    document = msgspec.json.decode(msgspec.json.encode(summarise(plan, shot)))
    assert list(document) == KEYS
    assert list(document["nodes"]["bridge"]) == ["starts", "steps", "overruns", "missed", "jitter_ms"]


def test_a_healthy_drive_is_ok_with_its_duration_and_counts(plan: Plan, shot: Snapshot) -> None:
    summary = summarise(plan, shot)
    assert (summary.verdict, summary.duration_s) == ("ok", 10.0)
    assert (summary.published, summary.lost) == (3200, 0)
    assert summary.nodes["control"].steps == 1000


def test_photon_to_can_comes_from_what_the_bridge_sent(plan: Plan, shot: Snapshot) -> None:
    photon = summarise(plan, shot).photon_to_can_ms
    assert photon is not None
    assert actuator_topics(plan) == ["bridge/sent"]
    assert photon.p50 == pytest.approx(34.5, rel=0.06)
    assert photon.max == 39.0
    assert photon.p50 <= photon.p99 <= photon.max


@pytest.mark.parametrize(("unit", "value"), [("ms", 42.0), ("s", 0.042)])
def test_a_bridge_that_measures_photon_to_can_itself_is_believed(
    plan: Plan, clock: FakeClock, tmp_path: object, unit: str, value: float
) -> None:
    plan = with_metrics(plan, photon_to_can=unit)
    photon = summarise(plan, observed(plan, clock, tmp_path, {"photon_to_can": [value]})).photon_to_can_ms
    assert photon == Jitter(p50=42.0, p99=42.0, max=42.0)


def test_what_a_manifest_does_not_have_is_null(plan: Plan, shot: Snapshot) -> None:
    summary = summarise(plan, shot)
    assert summary.lane_error_m is None
    assert summary.frames_carried is None
    assert summary.synced is None
    assert summary.armed_after_s is None
    assert summary.safe_stops == 0


def test_metrics_of_the_recorded_minute_are_summed(plan: Plan, clock: FakeClock, tmp_path: object) -> None:
    plan = with_metrics(plan, frames_carried="count", checksum_failures="count", lane_error="m")
    values = {"frames_carried": [22.0] * 6000 + [3468.0], "checksum_failures": [0.0], "lane_error": [0.1] * 99 + [0.3]}
    summary = summarise(plan, observed(plan, clock, tmp_path, values))
    assert (summary.frames_carried, summary.checksum_failures) == (135_468, 0)
    assert summary.lane_error_m is not None
    assert summary.lane_error_m.p95 == pytest.approx(0.1, rel=0.07)
    assert summary.lane_error_m.max == 0.3


def test_a_node_that_never_stepped_has_no_jitter(plan: Plan, vitals: Vitals, clock: FakeClock) -> None:
    assert summarise(plan, take_snapshot(plan, vitals, clock.now_ns())).nodes["camera"].jitter_ms is None


def test_missing_and_dropped_messages_are_lost_but_overtaken_ones_are_not(
    plan: Plan, driven: Vitals, clock: FakeClock
) -> None:
    series = driven.nodes["recorder"].find(SeriesKind.INPUT, "everything", "bridge/sent")
    assert series is not None
    series.words[SeriesVitals.LOST], series.words[SeriesVitals.DROPPED], series.words[SeriesVitals.OVERTAKEN] = 2, 3, 99
    assert summarise(plan, take_snapshot(plan, driven, clock.now_ns())).lost == 5


def test_the_verdict_is_the_earliest_cause_whoever_saw_it(plan: Plan, driven: Vitals, clock: FakeClock) -> None:
    driven.report_cause(clock.now_ns() + 30, "control is gone")
    driven.nodes["control"].report_fault(clock.now_ns() + 20, "crash", "ZeroDivisionError: division by zero")
    driven.nodes["camera"].report_fault(clock.now_ns() + 10, "node-error", "no frame for 0.5 s")
    shot = take_snapshot(plan, driven, clock.now_ns())
    assert verdict_of(shot, "the supervisor died") == "camera: no frame for 0.5 s (node-error)"


def test_a_dead_supervisor_is_the_verdict_when_nothing_else_is_known(shot: Snapshot) -> None:
    assert verdict_of(shot, "the supervisor died") == "the supervisor died"


def test_a_failed_run_is_never_ok(plan: Plan, driven: Vitals, clock: FakeClock) -> None:
    driven.words[Vitals.RUN_STATE] = RunState.FAILED
    assert verdict_of(take_snapshot(plan, driven, clock.now_ns())) != "ok"


def test_the_duration_of_a_stopped_run_ends_with_its_supervisor(plan: Plan, driven: Vitals, clock: FakeClock) -> None:
    driven.words[Vitals.RUN_STATE] = RunState.STOPPED
    clock.advance_s(3600)
    assert summarise(plan, take_snapshot(plan, driven, clock.now_ns())).duration_s == 10.0


def test_armed_after_counts_from_the_start_of_the_command(plan: Plan, clock: FakeClock, tmp_path: object) -> None:
    plan = with_metrics(plan, armed_after="s")
    shot = observed(plan, clock, tmp_path, {"armed_after": [1.25]})
    assert summarise(plan, shot).armed_after_s == 1.25
    assert summarise(plan, shot, up_started_ns=clock.now_ns() - 500_000_000).armed_after_s == 1.75


def test_without_that_metric_the_first_frame_seen_counts(plan: Plan, shot: Snapshot) -> None:
    first_ns = shot.started_ns + 2_000_000_000
    assert summarise(plan, shot, first_sent_ns=first_ns).armed_after_s == 2.0


def test_damaged_vitals_are_an_error_for_a_person(plan: Plan, driven: Vitals, clock: FakeClock) -> None:
    driven.nodes["camera"].words[NodeVitals.STATE] = 4711
    with pytest.raises(RunError, match="damaged"):
        take_snapshot(plan, driven, clock.now_ns())
