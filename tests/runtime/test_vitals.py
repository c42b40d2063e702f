from pathlib import Path

import pytest

from cardan.runtime.errors import RunError
from cardan.runtime.plan import InputPlan, MetricPlan, NodePlan, OutputPlan, Plan, read_plan, write_plan
from cardan.runtime.profile import Profile
from cardan.runtime.vitals import (
    NodeState,
    NodeVitals,
    RunState,
    SeriesKind,
    Vitals,
    create_vitals,
    open_vitals,
    page_bytes,
)


def small_plan(nodes: int = 2) -> Plan:
    return Plan(
        name="small",
        manifest="small.toml",
        manifest_sha256="0" * 64,
        profile=Profile(name="test"),
        envelope={},
        envelope_hash="",
        nodes=[
            NodePlan(
                name=f"n{index}",
                index=index,
                use="x:Y",
                inputs=[InputPlan(port="in", topics=["a/x", "b/y"], many=True)],
                outputs=[OutputPlan(port="out", topic=f"n{index}/out", type="x:Z")],
                metrics=[MetricPlan(name="error", unit="m")],
            )
            for index in range(nodes)
        ],
    )


def create(path: Path, plan: Plan) -> Vitals:
    return create_vitals(path, plan, now_ns=11, wall_ns=22)


def test_what_one_process_writes_another_reads(tmp_path: Path) -> None:
    plan = small_plan()
    writer = create(tmp_path / "vitals", plan)
    reader = open_vitals(tmp_path / "vitals", plan)
    node = writer.nodes["n1"]
    node.words[NodeVitals.STEPS] = 7
    node.words[NodeVitals.EXIT_CODE] = -9
    node.words[NodeVitals.STATE] = NodeState.BACKING_OFF
    node.lateness.add(1500)
    assert reader.nodes["n1"].words[NodeVitals.STEPS] == 7
    assert reader.nodes["n1"].words[NodeVitals.EXIT_CODE] == -9
    assert reader.nodes["n1"].state is NodeState.BACKING_OFF
    assert sum(reader.nodes["n1"].lateness.counts()) == 1
    assert reader.nodes["n0"].words[NodeVitals.STEPS] == 0
    assert (reader.words[Vitals.STARTED_NS], reader.words[Vitals.STARTED_WALL_NS]) == (11, 22)
    assert reader.run_state is RunState.STARTING


def test_every_topic_of_a_many_input_has_a_series_of_its_own(tmp_path: Path) -> None:
    vitals = create(tmp_path / "vitals", small_plan())
    node = vitals.nodes["n0"]
    first = node.find(SeriesKind.INPUT, "in", "a/x")
    second = node.find(SeriesKind.INPUT, "in", "b/y")
    assert first is not None
    assert second is not None
    first.observe(5)
    assert (first.words[first.COUNT], second.words[second.COUNT]) == (1, 0)
    assert node.find(SeriesKind.INPUT, "absent") is None
    assert first.words.text(first.TOPIC, 128) == "a/x"


def test_a_series_keeps_count_sum_and_maximum(tmp_path: Path) -> None:
    series = create(tmp_path / "vitals", small_plan()).nodes["n0"].find(SeriesKind.METRIC, "error")
    assert series is not None
    for value in (3, 10, 7):
        series.observe(value)
    assert [series.words[index] for index in (series.COUNT, series.SUM, series.MAX)] == [3, 20, 10]
    assert sum(series.histogram.counts()) == 3


def test_the_first_fault_is_kept(tmp_path: Path) -> None:
    node = create(tmp_path / "vitals", small_plan()).nodes["n0"]
    assert node.fault is None
    node.report_fault(100, "no-frames", "no frame from can1 for 0.5 s")
    node.report_fault(200, "later", "a consequence")
    assert node.fault == (100, "no-frames", "no frame from can1 for 0.5 s")


def test_the_first_cause_of_the_run_is_kept_and_cut_to_its_field(tmp_path: Path) -> None:
    vitals = create(tmp_path / "vitals", small_plan())
    assert vitals.cause == ""
    vitals.report_cause(5, "x" * 2000)
    vitals.report_cause(6, "later")
    assert vitals.cause == "x" * (Vitals.CAUSE_BYTES - 1)


def test_a_page_of_another_plan_is_refused(tmp_path: Path) -> None:
    create(tmp_path / "vitals", small_plan(2)).close()
    with pytest.raises(RunError, match="not the vitals page of this plan"):
        open_vitals(tmp_path / "vitals", small_plan(3))


@pytest.mark.parametrize("content", [b"", b"\0" * 100])
def test_a_damaged_page_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "vitals").write_bytes(content)
    with pytest.raises(RunError):
        open_vitals(tmp_path / "vitals", small_plan())


def test_a_page_without_its_mark_is_refused(tmp_path: Path) -> None:
    plan = small_plan()
    (tmp_path / "vitals").write_bytes(b"\0" * page_bytes(plan))
    with pytest.raises(RunError, match="not the vitals page"):
        open_vitals(tmp_path / "vitals", plan)


def test_an_absent_page_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=str(tmp_path)):
        open_vitals(tmp_path / "vitals", small_plan())


def test_a_plan_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    plan = small_plan()
    write_plan(plan, tmp_path / "plan.json")
    assert read_plan(tmp_path / "plan.json") == plan
    assert plan.node("n1").index == 1
    assert set(plan.topics()) == {"n0/out", "n1/out"}


def test_a_plan_has_no_unknown_node() -> None:
    with pytest.raises(RunError, match='no node "zzz"'):
        small_plan().node("zzz")


def test_a_damaged_plan_is_an_error_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(RunError, match=r"plan\.json"):
        read_plan(tmp_path / "plan.json")


def test_the_mode_is_kept_with_its_reason_until_it_is_over(tmp_path: Path) -> None:
    vitals = create(tmp_path / "vitals", small_plan())
    assert (vitals.mode, vitals.mode_text) == ("", "")
    vitals.set_mode(7, "degraded:road", "road is lost")
    assert (vitals.mode, vitals.mode_text, vitals.words[Vitals.MODE_NS]) == ("degraded:road", "road is lost", 7)
    vitals.set_mode(8, "", "")
    assert vitals.mode == ""


def test_a_safe_stop_is_asked_for_by_one_word_and_its_reason(tmp_path: Path) -> None:
    vitals = create(tmp_path / "vitals", small_plan())
    assert vitals.stop_wanted == ""
    vitals.set_mode(7, "safe-stop", "camera is lost")
    vitals.ask_for_stop(7, True)
    vitals.ask_for_stop(9, True)
    assert (vitals.stop_wanted, vitals.words[Vitals.STOP_NS]) == ("camera is lost", 7)
    vitals.ask_for_stop(10, False)
    assert vitals.stop_wanted == ""


def test_a_cause_has_its_code(tmp_path: Path) -> None:
    vitals = create(tmp_path / "vitals", small_plan())
    vitals.report_cause(5, "camera is lost", "node-gave-up")
    vitals.report_cause(6, "later", "supervisor-lost")
    assert (vitals.cause_code, vitals.words[Vitals.CAUSE_NS]) == ("node-gave-up", 5)


def test_no_two_fields_of_the_page_overlap(tmp_path: Path) -> None:
    """Texts and words of a block, by the words that they take."""
    header = [(Vitals.CAUSE, Vitals.CAUSE_BYTES), (Vitals.CAUSE_CODE, 64)]
    header += [(Vitals.MODE, Vitals.MODE_BYTES), (Vitals.MODE_TEXT, Vitals.MODE_TEXT_BYTES)]
    node = [(NodeVitals.NAME, 64), (NodeVitals.FAULT_CODE, 64), (NodeVitals.FAULT_TEXT, NodeVitals.FAULT_TEXT_BYTES)]
    node += [(index, 8) for index in (NodeVitals.READ_BACK_NS, NodeVitals.HELPERS, NodeVitals.COLLECTS)]
    for fields, words in ((header, 512), (node, 128)):
        taken = [word for first, size in fields for word in range(first, first + size // 8)]
        assert len(taken) == len(set(taken))
        assert max(taken) < words
