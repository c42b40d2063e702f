from __future__ import annotations

from typing import Any

from cardan.runtime.cli.runs import FoundRun
from cardan.runtime.clock import FakeClock, ns
from cardan.runtime.log.read import log_folder
from cardan.runtime.log.record import LogRecord, encode
from cardan.runtime.vitals import NodeVitals, Vitals
from cardan.runtime.web.timeline import KEPT, Timeline
from cardan.runtime.web.watcher import Watcher


def _timeline(found: FoundRun) -> Timeline:
    return Timeline(found.vitals.words[Vitals.STARTED_NS])


def _say(timeline: Timeline, found: FoundRun, at_s: float, engagement: str, cause: str = "") -> None:
    sent_ns = found.vitals.words[Vitals.STARTED_NS] + ns(at_s)
    timeline.take_verdict(sent_ns, {"engagement": engagement, "cause": cause})


def test_a_change_of_engagement_has_its_moment_its_cause_and_what_it_means(found: FoundRun, clock: FakeClock) -> None:
    timeline = _timeline(found)
    for at_s, engagement, cause in ((1, "disabled", ""), (2, "enabled", "armed"), (3, "enabled", "armed")):
        _say(timeline, found, at_s, engagement, cause)
    _say(timeline, found, 4.5, "disabled", "driver-brake")
    assert [(drove.at_s, drove.engagement) for drove in timeline.drove] == [
        (1.0, "disabled"),
        (2.0, "enabled"),
        (4.5, "disabled"),
    ]
    newest = timeline.events(found.snapshot(clock))[0]
    assert (newest.at_s, newest.kind, newest.title) == (4.5, "engagement", "enabled → disabled: driver-brake")
    assert newest.detail == "the driver braked"


def test_a_fault_stands_with_its_remedy(found: FoundRun, clock: FakeClock) -> None:
    found.vitals.nodes["camera"].report_fault(clock.now_ns(), "run-mode", "\x1b[31mno picture")
    event = _timeline(found).events(found.snapshot(clock))[0]
    assert event.kind == "fault" and event.at_s == 10.0
    assert event.title == "camera:  [31mno picture (run-mode)"
    assert "bring the node back" in event.hint


def test_a_node_that_is_started_again_is_told_of_once(found: FoundRun, clock: FakeClock) -> None:
    timeline, words = _timeline(found), found.vitals.nodes["camera"].words
    timeline.take_snapshot(found.snapshot(clock))
    words[NodeVitals.STARTS], words[NodeVitals.STARTED_NS] = 2, clock.now_ns()
    for _ in range(3):
        timeline.take_snapshot(found.snapshot(clock))
    assert [event.title for event in timeline.events(found.snapshot(clock))] == ["camera was started again (1)"]


def test_what_is_kept_is_bounded_and_what_was_dropped_is_counted(found: FoundRun, clock: FakeClock) -> None:
    timeline = _timeline(found)
    for index in range(KEPT + 11):
        _say(timeline, found, index, "enabled" if index % 2 else "disabled", "x" * 10_000)
    assert len(timeline.drove) == KEPT and timeline.dropped == 10
    events = timeline.events(found.snapshot(clock))
    assert len(events) == KEPT and all(len(event.title) < 400 for event in events)


def test_what_is_no_verdict_changes_nothing(found: FoundRun) -> None:
    timeline = _timeline(found)
    nonsense: tuple[object, ...] = (None, [], "enabled", {}, {"engagement": ""})
    for fields in nonsense:
        timeline.take_verdict(1, fields)
    assert timeline.engagement == "" and timeline.drove == []


def _record(found: FoundRun, at_s: float, code: str, node: str = "", **fields: Any) -> LogRecord:
    t_ns = found.vitals.words[Vitals.STARTED_NS] + ns(at_s)
    return LogRecord(t_ns=t_ns, wall_s=0.0, level="info", code=code, node=node, text="", fields=fields)


def _turn(found: FoundRun, at_s: float, before: str, after: str, cause: str) -> LogRecord:
    return _record(found, at_s, "engagement", "bridge", before=before, after=after, cause=cause)


def test_what_was_before_the_watching_began_is_taken_from_the_log(found: FoundRun, clock: FakeClock) -> None:
    timeline, camera = _timeline(found), found.vitals.nodes["camera"].words
    camera[NodeVitals.STARTS] = 3
    timeline.take_log(
        [
            _record(found, 0.5, "node-start", "camera", starts=1),
            _turn(found, 1.0, "disabled", "enabled", "armed"),
            _record(found, 2.0, "node-start", "camera", starts=2),
            _record(found, 2.0, "run-mode", mode="degraded:no-perception", why="camera is away"),
            _record(found, 3.0, "node-start", "camera", starts=3),
            _record(found, 3.5, "run-mode-normal", after_ms=1500.0),
            _turn(found, 4.0, "enabled", "disabled", "driver-brake"),
        ]
    )
    for at_s in (0.9, 1.1, 3.9):  # what a ring still has of it is told already
        _say(timeline, found, at_s, "enabled", "armed")
    _say(timeline, found, 5.0, "disabled", "driver-brake")
    timeline.take_snapshot(found.snapshot(clock))
    assert [(drove.at_s, drove.engagement) for drove in timeline.drove] == [
        (0.0, "disabled"),
        (1.0, "enabled"),
        (4.0, "disabled"),
    ]
    assert (timeline.engagement, timeline.cause) == ("disabled", "driver-brake")
    assert [(event.at_s, event.title) for event in timeline.events(found.snapshot(clock))] == [
        (4.0, "enabled → disabled: driver-brake"),
        (3.5, "normal operation"),
        (3.0, "camera was started again (2)"),
        (2.0, "camera was started again (1)"),
        (2.0, "degraded:no-perception"),
        (1.0, "disabled → enabled: armed"),
    ]


def test_a_page_that_is_opened_late_has_the_whole_run(found: FoundRun, clock: FakeClock) -> None:
    folder = log_folder(found.data_dir) / found.run_id
    folder.mkdir(parents=True)
    (folder / "bridge.log").write_bytes(encode(_turn(found, 1.0, "disabled", "enabled", "armed")) + b"printed\n{}\n")
    (folder / "supervisor.log").write_bytes(encode(_record(found, 2.0, "node-start", "control", starts=2)))
    (folder / "camera.log").write_bytes(encode(_turn(found, 3.0, "enabled", "disabled", "nobody may say that")))
    watcher = Watcher(found, clock)
    document = watcher.document()
    watcher.close()
    assert document.engagement == "enabled"
    assert [event.title for event in document.events] == ["control was started again (1)", "disabled → enabled: armed"]
