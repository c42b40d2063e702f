"""Write docs/field_guide.md: the twelve jobs of a field engineer, each with its command and what it said on a real day.

The day is tests/field_day.py: the reference vehicle works, then everything goes wrong. Run it on a quiet computer with
`python -m tests.make_field_guide`.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from tests.field_day import JOBS, Day, Job, Said

DOCS = Path(__file__).resolve().parents[1] / "docs"

LONGEST = 26
"""Lines of one answer; the rest is told."""
WIDEST = 150
HEAD = """\
# Field guide

You stand beside a vehicle with a laptop and ten minutes. Twelve questions, one command each. Every command works
while the vehicle runs, while it hangs, and after it has ended; with `--at 14:32` of an earlier time (UTC), and with
`--bundle FILE` on your desk.

The first line is the verdict. Exit code 0: all is well, 1: something was found, 3: there is nothing to look at, 4:
refused or not ready. `--json` prints the same for a program. What was not recorded is said as `not recorded`, never
guessed. Codes such as `node-crash` are explained in [faults.md](faults.md).

The answers below are real: they were taken from one drive of the reference vehicle on which the camera stood still
for 0.4 s, control was killed, the computer became hot, the store was in its own way, a node took 3 s to open,
somebody changed a limit before the drive and the manifest during it, and somebody else sent a steering command.
`python -m tests.make_field_guide` drives it again; `tests/test_twelve_jobs.py` holds every command to its answer.

| question | command |
|---|---|
"""
NOTES = {
    "why disengage": (
        "The chain begins with the first fault that was recorded of what the command depends on, and ends when "
        "control drove again. Below it the log and what bridge and vehicle did in the five seconds around."
    ),
    "why dropped": (
        "Frames are lost at the sensor and its driver (they never left), on the way, or in the queue of a reader. "
        "Give the node of the camera, or a topic: `cardan why dropped rear_camera`."
    ),
    "why late": (
        "Late by long steps, or woken late: the two have different cures. `--at` takes the ten seconds around a time."
    ),
    "can health": (
        "Listens for a moment (here a second). The bridge is silent because its fault is latched, so its messages "
        "are missing. `cardan can health NAME` looks at one channel."
    ),
    "bundle make": (
        "Read the id over the phone; secrets and identification numbers are out already, `--no-positions` leaves "
        "out where the vehicle was. Elsewhere: `cardan why disengage --bundle FILE`."
    ),
    "why upload": (
        "Consent, link, budget or disk; or why the uplink itself is not there. `cardan sync why` has it class by class."
    ),
    "engine status": (
        "Hash, precision of the weights, and backend of what serves; `stand-in` when it is not the first choice."
    ),
    "why software": (
        "What the run has against what is installed, the manifest on disk, and what cardan needs of its packages."
    ),
    "doctor --engage": "Every arming check of the bridge, each with what to do. Exit code 4 when it is not ready.",
    "why changed": "Against the newest earlier run that ended with the verdict `ok` and drove.",
    "why slow": ("From the samples of the node `machine`; the doctor looks at this moment: `cardan doctor machine`."),
    "why boot": "From the start of the run. What the computer did before it: `systemd-analyze critical-chain`.",
}


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="cardan-day-") as folder:
        day = Day(Path(folder))
        try:
            day.work()
            with day.going_wrong():
                said = {job: day.ask(job.words) for job in JOBS}
        finally:
            day.close()
        rows = [f"| {job.question.format(at='14:32')} | `cardan {shown(job, '14:32')}` |" for job in JOBS]
        sections = [section(job, said[job], day) for job in JOBS]
    (DOCS / "field_guide.md").write_text(HEAD + "\n".join(rows) + "\n\n" + "\n".join(sections))


def shown(job: Job, at: str) -> str:
    return job.words.format(at=at, bundle="FILE").replace(" --hurry --out FILE", "")


def section(job: Job, said: Said, day: Day) -> str:
    """Question, note, command and answer."""
    lines = [clean(line, day) for line in said.out.rstrip().splitlines()]
    more = [f"... {len(lines) - LONGEST} more lines"] if len(lines) > LONGEST else []
    answer = "\n".join([*lines[:LONGEST], *more])
    note = next(text for name, text in NOTES.items() if job.words.startswith(name))
    command = shown(job, day.disengaged_at)
    return f"## {job.question.format(at='14:32')}\n\n{note}\n\n```\n$ cardan {command}\n{answer}\n```\n"


def clean(line: str, day: Day) -> str:
    """Without the folders of the day, and not too wide."""
    text = line.replace(str(day.bundle), "K7M4QP.cardan.zip").replace(str(day.folder), "/srv/vehicle")
    text = re.sub(r"/\S*/site-packages", "...", text)
    return text if len(text) <= WIDEST else text[: WIDEST - 3] + "..."


if __name__ == "__main__":
    main()
