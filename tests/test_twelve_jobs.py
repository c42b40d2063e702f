"""The twelve jobs of a field engineer: one command answers each, live and on a bundle, with its fault injected."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.field_day import JOBS, Day, Job, Said

from cardan.runtime.cli.parser import parse

pytest.importorskip("onnxruntime", reason="the reference vehicle needs cardan[ort]")
pytest.importorskip("vehiclemodels", reason="the reference vehicle needs cardan[sim]")
pytest.importorskip("can", reason="the reference vehicle needs cardan[can]")
pytest.importorskip("mcap", reason="what led to a fault is recorded with cardan[record]")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
GUIDE = Path(__file__).parents[1] / "docs" / "field_guide.md"
PATIENT_S = 20.0
"""Of one command, on a computer that runs other tests beside it; how fast it is, a benchmark measures."""
SAID = {
    "why disengage": (1, r"first cause node-crash of control, 0\.\d+ s before: ended: killed by SIGKILL"),
    "why dropped": (1, r"camera/frame: \d+ messages never left camera: it missed \d+ cycle"),
    "why late": (1, r"\d+ cycles? missed and \d+ steps? too long"),
    "can health": (1, r"messages with a period in the DBC do not come: STEERING_COMMAND"),
    "bundle make": (0, r"^bundle [2-9A-Z]{3} [2-9A-Z]{3}, "),
    "why upload": (1, r"^uplink does not run: .*store cannot be made: File exists"),
    "engine status": (0, r"(?s)precision.*road +engines +first choice +road_net [0-9a-f]{12} +FP32"),
    "why software": (1, r"^1 difference: the manifest .* was changed after the run began"),
    "doctor": (4, r"(?s)fault-latched.*FAIL fault +second-sender:0x120"),
    "why changed": (1, r"(?s)things have changed since .*plan: node slow is new"),
    "why slow": (1, r"^machine-hot at .*: cpu-thermal has 104 C"),
    "why boot": (1, r"^all nodes were let go \d\.\d+ s after .* the last to be ready was slow, which took [3-9]\.\d"),
}
"""What each command must say, and its exit code."""
ON_BUNDLE = {"can health": r"STEERING_COMMAND"}
"""Where a bundle says it in another way: of a recording, rates are over its whole length."""


class Told:
    """Every job, as it was answered live and on the bundle; and the day itself."""

    def __init__(self, day: Day) -> None:
        self.live: dict[Job, Said] = {}
        self.bundled: dict[Job, Said] = {}
        day.work()
        with day.going_wrong():
            for job in JOBS:
                self.live[job] = day.ask(job.words)
        for job in JOBS:
            if job.words_on_bundle:
                self.bundled[job] = day.ask(job.words_on_bundle, "--bundle", str(day.bundle))
        self.why: dict[str, Any] = day.document("why disengage --at {at} --bundle {bundle}")
        self.over = day.ask("why disengage --at {at}")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    day = Day(tmp_path_factory.mktemp("day"))
    try:
        yield Told(day)
    finally:
        day.close()


def key(job: Job) -> str:
    return next(name for name in SAID if job.words.startswith(name))


@pytest.mark.parametrize("job", JOBS, ids=key)
def test_a_job_is_answered_by_one_command_while_the_vehicle_runs(told: Told, job: Job) -> None:
    said, (code, pattern) = told.live[job], SAID[key(job)]
    assert re.search(pattern, said.out, re.MULTILINE), said
    assert said.code == code and said.seconds < PATIENT_S
    assert "Traceback" not in said.err and "failed unexpectedly" not in said.err


@pytest.mark.parametrize("job", [job for job in JOBS if job.words_on_bundle], ids=key)
def test_a_job_is_answered_by_the_same_command_on_a_bundle(told: Told, job: Job) -> None:
    said, (code, pattern) = told.bundled[job], SAID[key(job)]
    assert re.search(ON_BUNDLE.get(key(job), pattern), said.out, re.MULTILINE), said
    assert said.code == code and said.seconds < PATIENT_S


def test_why_has_the_chain_the_log_around_and_the_signals(told: Told) -> None:
    why = told.why
    assert why["cause"]["who"] == "control" and why["cause"]["code"] == "node-crash"
    codes = [fact["code"] for fact in why["chain"]]
    assert codes.index("node-crash") < codes.index("engagement")
    assert {"engagement", "node-ready"} <= {fact["code"] for fact in why["around"]}
    assert any(row["engagement"] == "enabled" and row["speed_mps"] > 5 for row in why["signals"])
    assert any("cpu-thermal 104 C" in text for text in why["facts"])


def test_a_run_that_is_over_answers_as_well(told: Told) -> None:
    assert re.search(SAID["why disengage"][1], told.over.out), told.over


def test_the_guide_has_every_job_with_its_command_and_what_it_really_says() -> None:
    """The output in the guide is of another day: its verdicts have the same form, and its commands are these."""
    text = GUIDE.read_text()
    for job in JOBS:
        _, _, rest = text.partition(f"$ cardan {re.split(' --(?:at|hurry)', job.words)[0]}")
        assert rest, job.words
        shown = rest.partition("```")[0].partition("\n")[2]
        assert re.search(SAID[key(job)][1], shown, re.MULTILINE), (job.words, shown)
    for line in re.findall(r"\$ (cardan .*)", text):
        words = re.sub(r"FILE|\S+\.zip", "x", line).split()[1:]
        assert parse(words).command


def test_every_job_has_its_own_fault() -> None:
    assert len(JOBS) == len(SAID) == 12 and {key(job) for job in JOBS} == set(SAID)
