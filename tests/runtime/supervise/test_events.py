"""The table of events and the log they go to."""

from __future__ import annotations

import json
from pathlib import Path

from cardan.runtime.clock import FakeClock
from cardan.runtime.supervise.events import Code, EventLog


def test_an_event_is_one_line_of_json_with_its_code_and_text(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "logs" / "supervisor.log", FakeClock())
    log.write(Code.NODE_READY, "camera", after_ms=12.34)
    log.close()
    line = json.loads((tmp_path / "logs" / "supervisor.log").read_text())
    assert (line["code"], line["level"], line["node"]) == ("node-ready", "info", "camera")
    assert line["text"] == "ready after 12.3 ms"
    assert line["after_ms"] == 12.34
    assert line["t_ns"] == FakeClock().now_ns()


def test_a_full_disk_loses_lines_and_stops_nothing() -> None:
    log = EventLog(Path("/dev/full"), FakeClock())
    log.write(Code.RUN_STATE, state="running")
    assert log.lost == 1
    log.close()


def test_every_event_has_its_own_code() -> None:
    assert len({code.code for code in Code}) == len(list(Code))
