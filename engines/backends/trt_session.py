"""A network on a GPU through TensorRT: buffers on both sides, one stream, and a graph where it can be captured.

A run is: inputs to the device, the network, outputs to the host, each in the order of one stream and without waiting;
only `finish` waits. Kernels that were enqueued cannot be taken back, so whoever schedules keeps few runs in flight.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardan.engines.backends.backend import BackendError, StickyError, require_fit, require_tensors
from cardan.engines.backends.trt_library import make_logger
from cardan.engines.cuda.device import Cuda, Handle
from cardan.engines.model import Model
from cardan.engines.tensors import Tensor

MIB = 1 << 20


class TensorrtSession:
    """A plan, deserialised. module: tensorrt or tensorrt_rtx; cuda: of this thread."""

    def __init__(self, model: Model, plan: bytes, module: Any, cuda: Cuda, log: logging.Logger) -> None:
        self._model = model
        self._cuda = cuda
        self.inputs: dict[str, NDArray[Any]] = {}
        self.outputs: dict[str, NDArray[Any]] = {}
        self._addresses: dict[str, int] = {}
        self._staging: dict[str, NDArray[Any]] = {}
        self._registered: dict[str, NDArray[Any]] = {}
        self._stream: Handle | None = None
        self._graph: Handle | None = None
        self._context: Any = None
        self._engine: Any = None
        logger, self._errors = make_logger(module, log)
        self._runtime = module.Runtime(logger)
        try:
            self._open(plan, module)
        except StickyError:
            raise
        except BackendError:
            self.close()
            raise

    def _open(self, plan: bytes, module: Any) -> None:
        self._engine = self._made(self._runtime.deserialize_cuda_engine(plan), "the plan was refused")
        self._require_memory(len(plan))
        self._context = self._made(self._engine.create_execution_context(), "there is no memory to run it in")
        self._stream = self._cuda.stream(self._model.tensorrt.priority)
        self._bind_all(module)
        require_tensors(self._model, self.inputs, self.outputs)
        self._enqueue_and_wait()  # the first run compiles kernels and takes memory: a graph is captured after it
        if self._model.tensorrt.graph:
            self._graph = self._cuda.capture_or_none(self._enqueue, self._stream)

    def bind(self, name: str, array: NDArray[Any]) -> None:
        """Memory that the device can page-lock is read where it lies; other memory goes through a buffer of ours."""
        require_fit(self._model, name, array)
        self._unregister(name)
        if array is not self._staging[name] and self._cuda.register(array):
            self._registered[name] = array
        self.inputs[name] = array

    def start(self) -> None:
        for name, array in self.inputs.items():
            source = array
            if array is not self._staging[name] and name not in self._registered:
                source = self._staging[name]
                np.copyto(source, array)
            self._cuda.copy_in(self._addresses[name], source, self._stream)
        if self._graph is not None:
            self._cuda.launch(self._graph, self._stream)
        else:
            self._enqueue()
        for name, array in self.outputs.items():
            self._cuda.copy_out(array, self._addresses[name], self._stream)

    def finish(self) -> None:
        self._cuda.wait(self._stream)

    def run(self) -> None:
        self.start()
        self.finish()

    def close(self) -> None:
        """Release it. Buffers that were handed out may not be looked at any more."""
        for name in list(self._registered):
            self._unregister(name)
        for address in self._addresses.values():
            self._cuda.free(address)
        for array in (*self._staging.values(), *self.outputs.values()):
            self._cuda.free_pinned(array)
        self._addresses, self._staging, self.inputs, self.outputs = {}, {}, {}, {}
        if self._graph is not None:
            self._cuda.drop_graph(self._graph)
        if self._stream is not None:
            self._cuda.drop_stream(self._stream)
        self._context = self._engine = self._runtime = self._graph = self._stream = None

    def _bind_all(self, module: Any) -> None:
        for index in range(self._engine.num_io_tensors):
            name = self._engine.get_tensor_name(index)
            tensor = _tensor(module, self._engine, name)
            self._addresses[name] = self._cuda.allocate(tensor.bytes)
            if self._engine.get_tensor_mode(name) == module.TensorIOMode.INPUT:
                self.inputs[name] = self._staging[name] = self._cuda.pinned(tensor)
            else:
                self.outputs[name] = self._cuda.pinned(tensor)
            if not self._context.set_tensor_address(name, self._addresses[name]):
                raise self._failed(f'tensor "{name}" could not be bound')

    def _enqueue(self) -> None:
        if not self._context.execute_async_v3(self._cuda.stream_address(self._stream)):
            raise self._failed("the network was not enqueued")

    def _enqueue_and_wait(self) -> None:
        self._enqueue()
        self._cuda.wait(self._stream)

    def _unregister(self, name: str) -> None:
        array = self._registered.pop(name, None)
        if array is not None:
            self._cuda.unregister(array)

    def _require_memory(self, plan_bytes: int) -> None:
        activations = getattr(self._engine, "device_memory_size_v2", None)  # before 10.1 it had its old name only
        if activations is None:
            activations = self._engine.device_memory_size
        needed_mib = (int(activations) + plan_bytes) / MIB
        if needed_mib > self._model.memory_mib:
            raise BackendError(
                f'model "{self._model.name}" needs {needed_mib:.0f} MiB on the GPU, its budget is '
                f"{self._model.memory_mib:g} MiB",
                hint="raise memory_mib, or lower [tensorrt] workspace_mib and build again",
            )

    def _made(self, thing: Any, what: str) -> Any:
        if thing is None:
            raise self._failed(what)
        return thing

    def _failed(self, what: str) -> BackendError:
        said = self._errors[-1][:300] if self._errors else "the library says no more"
        return BackendError(
            f'model "{self._model.name}": {what}: {said}', hint="build the plan again: cardan engine build"
        )


def _tensor(module: Any, engine: Any, name: str) -> Tensor:
    shape = tuple(engine.get_tensor_shape(name))
    if not shape or min(shape) < 1:
        raise BackendError(f'tensor "{name}" has the open shape {shape}', hint="export the model with fixed shapes")
    kind = engine.get_tensor_dtype(name)
    try:
        dtype = np.dtype(module.nptype(kind)).name
    except TypeError as error:
        raise BackendError(
            f'tensor "{name}" is {kind}, which numpy does not know', hint="cast it inside the network"
        ) from error
    return Tensor(dtype=dtype, shape=shape)
