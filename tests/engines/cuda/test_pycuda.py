"""How pycuda is called, on a stand-in with its rules: a stack of contexts for each thread, which has to be empty when
the thread ends, and calls that need a context on it."""

from __future__ import annotations

import sys
import threading
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from cardan.engines.backends.backend import BackendError, StickyError
from cardan.engines.cuda.pycuda import PycudaCuda
from cardan.engines.tensors import Tensor


class Context:
    """A primary context; what pycuda's own does to the stack of the calling thread."""

    stacks: dict[int, list[Context]]

    def push(self) -> None:
        self.stacks.setdefault(threading.get_ident(), []).append(self)

    def pop(self) -> None:
        self.stacks[threading.get_ident()].pop()

    def detach(self) -> None:
        """It is given back."""


class Driver(ModuleType):
    """pycuda.driver, as far as it is used."""

    class Error(Exception):
        pass

    def __init__(self) -> None:
        super().__init__("pycuda.driver")
        self.stacks: dict[int, list[Context]] = {}
        self.fails = ""
        self.context = Context()
        self.context.stacks = self.stacks

    def init(self) -> None:
        self.began = True

    def Device(self, number: int) -> Any:
        device = ModuleType("device")
        device.retain_primary_context = lambda: self.context  # type: ignore[attr-defined]  # as pycuda's has it
        return device

    def mem_alloc(self, size: int) -> Any:
        self.require("cuMemAlloc")
        return Allocation(self)

    def mem_get_info(self) -> tuple[int, int]:
        self.require("cuMemGetInfo")
        return 6, 8

    def pagelocked_zeros(self, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        self.require("cuMemHostAlloc")
        return np.zeros(shape, dtype)

    def require(self, call: str) -> None:
        if not self.stacks.get(threading.get_ident()):
            raise self.Error(f"{call} failed: invalid device context - no currently active context?")
        if self.fails:
            raise self.Error(f"{call} failed: {self.fails}")


class Allocation:
    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def __int__(self) -> int:
        return 4096

    def free(self) -> None:
        self._driver.require("cuMemFree")


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    package, driver = ModuleType("pycuda"), Driver()
    package.VERSION = (2026, 1)  # type: ignore[attr-defined]  # as pycuda has it
    package.driver = driver  # type: ignore[attr-defined]  # as pycuda has it
    monkeypatch.setitem(sys.modules, "pycuda", package)
    monkeypatch.setitem(sys.modules, "pycuda.driver", driver)
    return driver


def test_each_call_has_the_context_and_none_leaves_it_behind(driver: Driver) -> None:
    cuda = PycudaCuda()
    address = cuda.allocate(100)
    assert cuda.pinned(Tensor(dtype="uint8", shape=(2, 3))).shape == (2, 3)
    cuda.free(address)
    assert cuda.memory_bytes() == (6, 8)
    cuda.close()
    assert cuda.name == "pycuda 2026.1"
    assert not any(driver.stacks.values())


def test_another_thread_may_call_and_ends_with_an_empty_stack(driver: Driver) -> None:
    cuda, found = PycudaCuda(), []
    thread = threading.Thread(target=lambda: found.append(cuda.allocate(100)))
    thread.start()
    thread.join()
    assert found == [4096]
    cuda.free(found[0])
    assert not any(driver.stacks.values())


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("an illegal memory access was encountered", StickyError),
        ("invalid device context", StickyError),
        ("hardware stack error", StickyError),
        ("out of memory", BackendError),
        ("invalid argument", BackendError),
    ],
)
def test_what_the_driver_says_becomes_our_error_and_the_context_is_taken_off(
    driver: Driver, said: str, error: type[BackendError]
) -> None:
    cuda = PycudaCuda()
    driver.fails = said
    with pytest.raises(error) as caught:
        cuda.allocate(100)
    assert type(caught.value) is error
    assert said in caught.value.message
    assert not any(driver.stacks.values())
