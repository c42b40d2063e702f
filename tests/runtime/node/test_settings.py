"""Settings of a real process, as the kernel tells them."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys

import pytest

from cardan.runtime.node import settings

READ_BACK = """
import json, os, sys, threading
from pathlib import Path
from cardan.runtime.node import settings
from cardan.runtime.plan import NodePlan, Plan
from cardan.runtime.profile import Profile
from cardan.runtime.vitals import NodeVitals, create_vitals

folder, cores = Path(sys.argv[1]), json.loads(sys.argv[2])
plan = Plan(name="t", manifest="", manifest_sha256="", profile=Profile(name="t"), envelope={}, envelope_hash="",
            nodes=[NodePlan(name="n", index=0, use="m:C")])
node = create_vitals(folder / "vitals", plan, now_ns=1, wall_ns=2).nodes["n"]
settings.apply_cores(cores)
os.setsid()
settings.apply_nice(7)
settings.sharpen_timers()
done = threading.Event()
helper = threading.Thread(target=done.wait)
helper.start()
settings.read_back(node, cores or [0], "", 77)
done.set()
names = ("READ_BACK_NS", "POLICY", "PRIORITY", "CORES", "STRAY_CORES", "TIMER_SLACK_NS", "THREADS", "HELPERS", "NICE")
found = {name: node.words[getattr(NodeVitals, name)] for name in names}
session = Path("/proc/self/autogroup")
print(json.dumps(found | {"SESSION_NICE": int(session.read_text().split()[-1]) if session.exists() else 7}))
"""


def read_back(folder: object, cores: list[int]) -> dict[str, int]:
    """In a process of its own, with one helper thread. Without cores it is told that it should be on core 0 alone."""
    command = [sys.executable, "-c", READ_BACK, str(folder), json.dumps(cores)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, check=True, text=True, env=environment)
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def test_what_a_process_has_is_in_its_vitals(tmp_path: object) -> None:
    core = min(os.sched_getaffinity(0))
    found = read_back(tmp_path, [core])
    assert (found["READ_BACK_NS"], found["POLICY"], found["PRIORITY"]) == (77, os.SCHED_OTHER, 0)
    assert (found["CORES"], found["STRAY_CORES"]) == (1, 0)
    assert (found["TIMER_SLACK_NS"], found["NICE"], found["SESSION_NICE"]) == (1, 7, 7)
    assert (found["THREADS"], found["HELPERS"]) == (2, 1)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores to stray on")
def test_cores_beyond_those_of_the_plan_are_counted(tmp_path: object) -> None:
    allowed = os.sched_getaffinity(0)
    found = read_back(tmp_path, [])
    assert (found["CORES"], found["STRAY_CORES"]) == (len(allowed), len(allowed - {0}))


def test_coming_before_others_without_the_privilege_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(which: int, who: int, value: int) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "setpriority", refuse)
    assert settings.apply_nice(-10) == "nice -10: Permission denied"


def test_a_core_that_is_not_there_is_refused_in_words() -> None:
    said = settings.apply_cores([4095])
    assert said is not None
    assert "cores [4095]" in said
