"""The real stores and the bad link of the tests, for benchmarks."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

SERVERS = Path(__file__).resolve().parent.parent / "tests" / "runtime" / "uplink" / "servers.py"
NAME = "uplink_servers_of_the_tests"


def load_servers() -> Any:
    """The module of the tests, which are no package."""
    if NAME not in sys.modules:
        spec = importlib.util.spec_from_file_location(NAME, SERVERS)
        if spec is None or spec.loader is None:
            raise ImportError(f"{SERVERS} cannot be loaded")
        module = importlib.util.module_from_spec(spec)
        sys.modules[NAME] = module
        spec.loader.exec_module(module)
    return sys.modules[NAME]
