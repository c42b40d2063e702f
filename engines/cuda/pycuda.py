"""CUDA through `pycuda`, where a vehicle image has nothing else. The one module that imports it.

It knows neither stream priorities nor graphs: streams are normal, and networks are enqueued kernel by kernel.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from cardan.engines.backends.backend import BackendError, StickyError
from cardan.engines.cuda.device import STICKY, Handle, Priority, check
from cardan.engines.tensors import Tensor

CODES = {
    "CUDA-capable device(s) is/are busy or unavailable": 46,
    "invalid device context": 201,
    "uncorrectable NVLink error": 220,
    "OS call failed": 304,
    "an illegal memory access was encountered": 700,
    "the launch timed out and was terminated": 702,
    "device-side assert triggered": 710,
    "hardware stack error": 714,
    "an illegal instruction was encountered": 715,
    "misaligned address": 716,
    "operation not supported on global/shared address space": 717,
    "invalid program counter": 718,
    "unspecified launch failure": 719,
    "uncorrectable ECC error encountered": 214,
    "context is destroyed": 709,
    "system not yet initialized": 802,
    "unknown error": 999,
    "out of memory": 2,
}
"""pycuda's errors carry the driver's text and no number."""
UNKNOWN = 1


class PycudaCuda:
    """The first GPU. Its primary context is current during each call, and not in between: pycuda keeps a stack of
    contexts for each thread, and ends the process when a thread ends with one on it."""

    def __init__(self) -> None:
        self._driver = _driver()
        self.name = f"pycuda {'.'.join(map(str, _version()))}"
        self._context: Any = None
        self._call("init", self._driver.init)
        self._context = self._call("retain", lambda: self._driver.Device(0).retain_primary_context())
        self._allocated: dict[int, Any] = {}
        self._registered: dict[int, Any] = {}
        self._pinned: dict[int, Any] = {}

    def allocate(self, size: int) -> int:
        memory = self._call("mem_alloc", self._driver.mem_alloc, size)
        self._allocated[int(memory)] = memory
        return int(memory)

    def free(self, address: int) -> None:
        self._call("free", self._allocated.pop(address).free)

    def pinned(self, tensor: Tensor) -> NDArray[Any]:
        array: NDArray[Any] = self._call("pagelocked_zeros", self._driver.pagelocked_zeros, tensor.shape, tensor.dtype)
        self._pinned[array.ctypes.data] = array
        return array

    def free_pinned(self, array: NDArray[Any]) -> None:
        owner = self._pinned.pop(array.ctypes.data)
        self._call("free", owner.base.free)

    def register(self, array: NDArray[Any]) -> bool:
        try:
            self._registered[array.ctypes.data] = self._call("register", self._driver.register_host_memory, array)
        except StickyError:
            raise
        except BackendError:
            return False
        return True

    def unregister(self, array: NDArray[Any]) -> None:
        self._call("unregister", self._registered.pop(array.ctypes.data).base.unregister)

    def stream(self, priority: Priority) -> Handle:
        return self._call("Stream", self._driver.Stream)

    def drop_stream(self, stream: Handle) -> None:
        """Nothing: pycuda gives it back with the last reference."""

    def stream_address(self, stream: Handle) -> int:
        return int(stream.handle)

    def copy_in(self, address: int, array: NDArray[Any], stream: Handle) -> None:
        self._call("memcpy_htod_async", self._driver.memcpy_htod_async, address, array, stream)

    def copy_out(self, array: NDArray[Any], address: int, stream: Handle) -> None:
        self._call("memcpy_dtoh_async", self._driver.memcpy_dtoh_async, array, address, stream)

    def capture_or_none(self, enqueue: Callable[[], None], stream: Handle) -> Handle | None:
        """None: pycuda has no graphs."""
        return None

    def launch(self, graph: Handle, stream: Handle) -> None:
        raise BackendError("pycuda has no graphs", hint="pip install 'cardan[cuda]'")

    def drop_graph(self, graph: Handle) -> None:
        """Nothing: there are none."""

    def event(self) -> Handle:
        return self._call("Event", self._driver.Event)

    def record(self, event: Handle, stream: Handle) -> None:
        self._call("record", event.record, stream)

    def elapsed_s(self, begin: Handle, end: Handle) -> float:
        return float(self._call("time_till", begin.time_till, end)) / 1e3

    def wait(self, stream: Handle) -> None:
        self._call("synchronize", stream.synchronize)

    def memory_bytes(self) -> tuple[int, int]:
        free, total = self._call("mem_get_info", self._driver.mem_get_info)
        return int(free), int(total)

    def close(self) -> None:
        if self._context is not None:
            context, self._context = self._context, None
            self._call("detach", context.detach)

    def _call(self, what: str, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            if self._context is None:
                return function(*arguments)
            self._context.push()
            try:
                return function(*arguments)
            finally:
                self._context.pop()
        except self._driver.Error as error:
            raise _translated(str(error), what) from error


def _translated(text: str, what: str) -> BackendError:
    """The error that `check` makes of a driver's text."""
    code = next((number for words, number in CODES.items() if words in text), UNKNOWN)
    if code == UNKNOWN and (number := re.search(r"error (\d+)", text)) and int(number[1]) in STICKY:
        code = int(number[1])
    try:
        check(code, text, f"pycuda {what}")
    except BackendError as error:
        return error
    return BackendError(f"CUDA: pycuda {what}: {text}")


def _driver() -> Any:
    try:
        from pycuda import driver
    except ImportError as error:
        raise BackendError(f"pycuda is not installed, or finds no driver: {error}") from error
    return driver


def _version() -> tuple[int, ...]:
    from pycuda import VERSION

    return tuple(VERSION)
