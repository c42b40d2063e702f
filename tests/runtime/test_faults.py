"""The table of faults is whole: every code that the tree reports is in it, and the page says what the table says."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from cardan.firmware_bridge.engage import State
from cardan.runtime.cli.control_causes import meaning
from cardan.runtime.faults import TABLE, Fault, find_fault, page
from cardan.runtime.log.codes import EVENTS, find_event
from cardan.runtime.supervise.events import Code

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("runtime", "drivers", "engines", "firmware_bridge")
ALL = [fault for faults in TABLE.values() for fault in faults]


def reported_codes() -> set[str]:
    """The constant first argument of every `report_fault`, and the code that it has in the vitals."""
    found: set[str] = set()
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            for call in ast.walk(ast.parse(path.read_text())):
                if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "report_fault":
                    constants = [arg.value for arg in call.args[:2] if isinstance(arg, ast.Constant)]
                    found |= {value for value in constants if isinstance(value, str)}
    return found


def test_every_code_that_a_node_reports_is_in_the_table() -> None:
    codes = reported_codes()
    assert {"can-silent", "crash"} <= codes
    causes = {code for code in codes if meaning(code)[0]}  # what ends an engagement: `cardan control why` explains it
    assert {code for code in codes - causes if find_fault(code) is None} == set()
    assert find_fault(State.SAFE_STOP.value) and find_fault(State.FAULT_LATCHED.value)


@pytest.mark.parametrize("code", [code.code for code in Code if code.level in ("warning", "error")])
def test_every_event_that_is_no_mere_information_is_in_the_table(code: str) -> None:
    assert find_fault(code) is not None


def noted_codes() -> set[str]:
    """The constant first argument of every `note` and `coded`."""
    found: set[str] = set()
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            for call in ast.walk(ast.parse(path.read_text())):
                if isinstance(call, ast.Call) and call.args and isinstance(call.args[0], ast.Constant):
                    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
                    found |= {str(call.args[0].value)} if name in ("note", "coded") else set()
    return found


def test_every_code_of_the_log_is_in_a_table_and_only_once() -> None:
    codes = noted_codes() | {code.code for code in Code}
    assert {"engagement", "well-again", "node-ready"} <= codes
    assert {code for code in codes if find_fault(code) is None and find_event(code) is None} == set()
    assert {event.code for event in EVENTS} & {fault.code for fault in ALL} == set()
    assert len({event.code for event in EVENTS}) == len(EVENTS)


def test_a_code_stands_for_one_fault() -> None:
    assert len({fault.code for fault in ALL}) == len(ALL)


@pytest.mark.parametrize("fault", ALL, ids=lambda fault: fault.code)
def test_every_row_is_whole_and_fits_into_a_table(fault: Fault) -> None:
    assert all(fault)
    assert not any("|" in text or "\n" in text for text in fault)
    assert len(fault.code) < 64


def test_the_page_is_what_the_table_says() -> None:
    assert (ROOT / "docs" / "faults.md").read_text() == page(), "run `python docs/make_faults.py`"


def test_a_code_of_somebody_elses_node_is_in_no_row() -> None:
    assert find_fault("my-own") is None
