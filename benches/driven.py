"""The reference vehicle as the benches of the tools want it: engaged, and with control killed once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from cardan.runtime.cli.runs import find_run
from cardan.runtime.vitals import NodeVitals

CARDAN = [sys.executable, "-m", "cardan.runtime.cli.main"]
WITHIN_S = 90.0


def wait_until_engaged() -> None:
    """Of the run that the environment names. SystemExit when it does not come to that."""
    ends_s = time.monotonic() + WITHIN_S
    ask = [*CARDAN, "control", "state", "--json"]
    while b'"engagement":"enabled"' not in subprocess.run(ask, capture_output=True, check=False).stdout:
        if time.monotonic() > ends_s:
            raise SystemExit("the reference vehicle did not engage")
        time.sleep(0.2)


def kill_control() -> None:
    """As it would die of a mistake of its own."""
    os.kill(find_run(None, must_live=True).vitals.nodes["control"].words[NodeVitals.PID], signal.SIGKILL)
