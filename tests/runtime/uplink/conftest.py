"""Real stores for the tests of the uplink, and a bad link in front of them."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

NAME = "uplink_test_servers"


def load_servers() -> Any:
    """The module beside this file; the tests are no package."""
    if NAME not in sys.modules:
        spec = importlib.util.spec_from_file_location(NAME, Path(__file__).with_name("servers.py"))
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[NAME] = module
        spec.loader.exec_module(module)
    return sys.modules[NAME]


@pytest.fixture(scope="session")
def azurite() -> Iterator[Any]:
    """Azure's emulator; the test is skipped, with the reason, where it is not installed."""
    servers = load_servers()
    try:
        server = servers.Azurite()
    except servers.Missing as error:
        pytest.skip(str(error))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def s3() -> Iterator[Any]:
    """An S3 of its own."""
    pytest.importorskip("moto", reason="moto is not installed: pip install 'moto[s3,server]'")
    server = load_servers().S3()
    yield server
    server.stop()


@pytest.fixture
def proxy_to() -> Iterator[Callable[[int], Any]]:
    """Makes a proxy in front of a port."""
    made: list[Any] = []

    def make(port: int, share: float = 0.0) -> Any:
        made.append(load_servers().Proxy(port, share))
        return made[-1]

    yield make
    for proxy in made:
        proxy.stop()
