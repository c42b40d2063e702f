"""CUDA through `cuda-bindings`, NVIDIA's own. The one module that imports it."""

from __future__ import annotations

import ctypes
import logging
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardan.engines.backends.backend import BackendError, StickyError
from cardan.engines.cuda.device import Handle, Priority, check
from cardan.engines.tensors import Tensor

log = logging.getLogger("cardan.engines.cuda")

NON_BLOCKING = 1
"""CU_STREAM_NON_BLOCKING: does not wait for the legacy stream that other libraries may use."""
THREAD_LOCAL = 1
"""CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: what other threads do meanwhile does not break the capture."""


class BindingsCuda:
    """The first GPU, its primary context current on every thread that calls."""

    def __init__(self) -> None:
        self._driver = _driver()
        self.name = f"cuda-bindings {_version()}"
        self._context: Any = None
        self._thread = threading.local()
        self._call("cuInit", 0)
        self._device = self._call("cuDeviceGet", 0)
        self._context = self._call("cuDevicePrimaryCtxRetain", self._device)

    def allocate(self, size: int) -> int:
        return int(self._call("cuMemAlloc", size))

    def free(self, address: int) -> None:
        self._call("cuMemFree", address)

    def pinned(self, tensor: Tensor) -> NDArray[Any]:
        address = int(self._call("cuMemHostAlloc", tensor.bytes, 0))
        memory = (ctypes.c_byte * tensor.bytes).from_address(address)
        array: NDArray[Any] = np.frombuffer(memoryview(memory), np.dtype(tensor.dtype)).reshape(tensor.shape)
        array[...] = 0
        return array

    def free_pinned(self, array: NDArray[Any]) -> None:
        self._call("cuMemFreeHost", array.ctypes.data)

    def register(self, array: NDArray[Any]) -> bool:
        try:
            self._call("cuMemHostRegister", array.ctypes.data, array.nbytes, 0)
        except StickyError:
            raise
        except BackendError:
            return False
        return True

    def unregister(self, array: NDArray[Any]) -> None:
        self._call("cuMemHostUnregister", array.ctypes.data)

    def stream(self, priority: Priority) -> Handle:
        least, greatest = self._call("cuCtxGetStreamPriorityRange")
        return self._call("cuStreamCreateWithPriority", NON_BLOCKING, greatest if priority == "high" else least)

    def drop_stream(self, stream: Handle) -> None:
        self._call("cuStreamDestroy", stream)

    def stream_address(self, stream: Handle) -> int:
        return int(stream)

    def copy_in(self, address: int, array: NDArray[Any], stream: Handle) -> None:
        self._call("cuMemcpyHtoDAsync", address, array.ctypes.data, array.nbytes, stream)

    def copy_out(self, array: NDArray[Any], address: int, stream: Handle) -> None:
        self._call("cuMemcpyDtoHAsync", array.ctypes.data, address, array.nbytes, stream)

    def capture_or_none(self, enqueue: Callable[[], None], stream: Handle) -> Handle | None:
        mode = self._driver.CUstreamCaptureMode(THREAD_LOCAL)
        self._call("cuStreamBeginCapture", stream, mode)
        enqueued = False
        try:
            enqueue()
            enqueued = True
        except StickyError:
            raise
        except BackendError as error:  # a network with loops or conditions cannot be captured: it is enqueued each time
            log.info("no graph of this network: %s", error.message)
        finally:
            code, graph = self._driver.cuStreamEndCapture(stream)
        if int(code) != 0:
            return None
        try:
            return self._call("cuGraphInstantiate", graph, 0) if enqueued else None
        finally:
            self._call("cuGraphDestroy", graph)

    def launch(self, graph: Handle, stream: Handle) -> None:
        self._call("cuGraphLaunch", graph, stream)

    def drop_graph(self, graph: Handle) -> None:
        self._call("cuGraphExecDestroy", graph)

    def event(self) -> Handle:
        return self._call("cuEventCreate", 0)

    def record(self, event: Handle, stream: Handle) -> None:
        self._call("cuEventRecord", event, stream)

    def elapsed_s(self, begin: Handle, end: Handle) -> float:
        return float(self._call("cuEventElapsedTime", begin, end)) / 1e3

    def wait(self, stream: Handle) -> None:
        self._call("cuStreamSynchronize", stream)

    def memory_bytes(self) -> tuple[int, int]:
        free, total = self._call("cuMemGetInfo")
        return int(free), int(total)

    def close(self) -> None:
        if self._context is not None:
            self._context = None
            self._call("cuDevicePrimaryCtxRelease", self._device)

    def _call(self, name: str, *arguments: Any) -> Any:
        """One function of the driver: its result without the error code, which is checked."""
        if self._context is not None and not hasattr(self._thread, "entered"):
            self._thread.entered = True
            self._call("cuCtxSetCurrent", self._context)
        try:
            code, *results = getattr(self._driver, name)(*arguments)
        except RuntimeError as error:  # cuda-bindings looks a function up when it is called first
            raise BackendError(f"CUDA: the driver has no {name}: {error}", hint="update the driver") from error
        if int(code) != 0:
            check(int(code), getattr(code, "name", str(code)), name)
        return results[0] if len(results) == 1 else tuple(results) if results else None


def _driver() -> Any:
    try:
        from cuda.bindings import driver
    except ImportError as error:
        raise BackendError(f"cuda-bindings is not installed: {error}", hint="pip install 'cardan[cuda]'") from error
    return driver


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("cuda-bindings")
    except PackageNotFoundError:
        return "of unknown version"
