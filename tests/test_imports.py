"""What an entry point pulls in: the command line answers without loading what it does not use."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {"numpy", "zmq", "can", "cantools", "onnxruntime", "mcap", "zstandard", "PIL", "obstore", "vehiclemodels"}
FORBIDDEN = {
    "cardan.runtime.cli.main": HEAVY,
    "cardan.firmware_bridge.cli.can_grammar": HEAVY,
    "cardan.firmware_bridge.cli.can_dump": HEAVY - {"numpy"},
    "cardan.firmware_bridge.cli.can_health": HEAVY - {"numpy"},
    "cardan.firmware_bridge.envelope": HEAVY,
    "cardan.firmware_bridge.e2e": HEAVY,
    "cardan.runtime.supervise": {"zmq", "can", "onnxruntime"},
}
"""Each entry point and the libraries that importing it must not load."""

PROBE = "import sys, json, importlib; importlib.import_module(sys.argv[1]); print(json.dumps(sorted(sys.modules)))"


def modules_after_import(entry: str) -> set[str]:
    command = [sys.executable, "-c", PROBE, entry]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    return set(json.loads(run.stdout))


@pytest.mark.parametrize("entry", sorted(FORBIDDEN))
def test_importing_an_entry_point_loads_no_heavy_library(entry: str) -> None:
    assert modules_after_import(entry) & FORBIDDEN[entry] == set()


@pytest.mark.parametrize("name", ["cardan.firmware_bridge.envelope", "cardan.firmware_bridge.e2e"])
def test_limits_and_checksums_import_nothing_of_ours(name: str) -> None:
    ours = {module for module in modules_after_import(name) if module.split(".")[0] == "cardan"}
    assert ours == {"cardan", "cardan.firmware_bridge", name}
