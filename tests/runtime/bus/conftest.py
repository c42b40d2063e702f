"""The two kinds of the bus's inner parts: compiled, and in Python."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cardan.runtime.bus import bells, frame_copy, native, records, ring_file


@pytest.fixture
def use_python_parts(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let everything that is opened from now on use the parts in Python."""

    def use() -> None:
        monkeypatch.setattr(ring_file, "Records", records.PythonRecords)
        monkeypatch.setattr(bells, "Bell", bells.PythonBell)
        monkeypatch.setattr(frame_copy, "compiled", None)

    return use


@pytest.fixture(params=["compiled", "python"])
def parts(request: pytest.FixtureRequest, use_python_parts: Callable[[], None]) -> str:
    """Every test that asks for it runs with both."""
    if request.param == "python":
        use_python_parts()
    elif native.compiled is None:
        pytest.skip("the compiled parts are not there: install cardan again with a C compiler and Python's headers")
    name: str = request.param
    return name
