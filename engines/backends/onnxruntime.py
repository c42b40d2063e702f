"""The onnxruntime backend: any CPU, bound arrays, no spinning threads. The one module that imports onnxruntime."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from cardan.engines.backends.backend import BackendError, require_fit, require_tensors
from cardan.engines.model import Model
from cardan.engines.tensors import Tensor

DTYPES = {
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(float16)": "float16",
    "tensor(float)": "float32",
    "tensor(bool)": "bool",
}
ERRORS_AND_ABOVE = 3
"""At the level of warnings onnxruntime writes a line for each initialiser of an old model: a thousand of them."""


class OnnxRuntime:
    """Networks on the CPU, straight from their ONNX files. Engines that run the same network share its weights."""

    name = "onnxruntime"
    builds = False

    def __init__(self) -> None:
        self._networks: WeakValueDictionary[tuple[bytes, int], Any] = WeakValueDictionary()

    def version(self) -> str:
        return str(_library().__version__)

    def load(self, model: Model, content: bytes) -> OnnxRuntimeSession:
        """content: an ONNX file (or its ORT form) with fixed shapes."""
        threads = model.onnxruntime.threads
        key = (hashlib.sha256(content).digest(), threads)
        network = self._networks.get(key)
        if network is None:
            network = self._networks[key] = _open(content, threads)
        return OnnxRuntimeSession(model, network)


class OnnxRuntimeSession:
    """A network on the CPU with buffers of its own. network: an InferenceSession, which others may run as well."""

    def __init__(self, model: Model, network: Any) -> None:
        self._model = model
        self._session = network
        tensors = tensors_of(self._session)
        self.inputs = {name: tensor.empty() for name, tensor in tensors[0].items()}
        self.outputs = {name: tensor.empty() for name, tensor in tensors[1].items()}
        require_tensors(model, self.inputs, self.outputs)
        self._binding = self._session.io_binding()
        for name, array in self.inputs.items():
            self._binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        for name, array in self.outputs.items():
            self._binding.bind_output(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)

    def bind(self, name: str, array: NDArray[Any]) -> None:
        require_fit(self._model, name, array)
        self.inputs[name] = array
        self._binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)

    def start(self) -> None:
        """Nothing: the CPU is ours, so the work is done in `finish`."""

    def finish(self) -> None:
        try:
            self._session.run_with_iobinding(self._binding)
        except Exception as error:  # onnxruntime's errors have no common base but Exception
            raise BackendError(f'model "{self._model.name}" failed on the CPU: {_first_line(error)}') from error

    def run(self) -> None:
        self.finish()

    def close(self) -> None:
        self._binding = self._session = None


def tensors_of(session: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Inputs and outputs of an onnxruntime session; BackendError for types and shapes that are not ours."""
    return (
        {tensor.name: _tensor(tensor) for tensor in session.get_inputs()},
        {tensor.name: _tensor(tensor) for tensor in session.get_outputs()},
    )


def tensors_in(content: bytes) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Inputs and outputs of an ONNX file; errors as in `load`."""
    return tensors_of(plain_session(content))


def plain_session(content: bytes) -> Any:
    """An onnxruntime session that computes each operator as the file has it, none fused: the FP32 reference."""
    return _open(content, 1, plain=True)


def optimised(content: bytes, threads: int = 1) -> bytes:
    """The network with everything fused that this CPU can use, in the ORT format: it loads two to four times faster."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.ort"
        _open(content, threads, save_to=path)
        return path.read_bytes()


def _tensor(tensor: Any) -> Tensor:
    dtype = DTYPES.get(tensor.type)
    if dtype is None or not all(isinstance(size, int) and size > 0 for size in tensor.shape):
        raise BackendError(
            f'tensor "{tensor.name}" is {tensor.type} {tensor.shape}, expected fixed sizes of {", ".join(DTYPES)}',
            hint="export the model with fixed shapes",
        )
    return Tensor(dtype=np.dtype(dtype).name, shape=tuple(tensor.shape))


def _open(content: bytes, threads: int, *, plain: bool = False, save_to: Path | None = None) -> Any:
    library = _library()
    options = library.SessionOptions()
    if plain:
        options.graph_optimization_level = library.GraphOptimizationLevel.ORT_DISABLE_ALL
    if save_to is not None:
        options.optimized_model_filepath = str(save_to)
        options.add_session_config_entry("session.save_model_format", "ORT")
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = ERRORS_AND_ABOVE
    try:
        return library.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # as above
        raise BackendError(f"onnxruntime cannot load the model: {_first_line(error)}") from error


def _library() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise BackendError(
            "onnxruntime is not installed, and this engine runs on the CPU with it",
            hint="pip install 'cardan[ort]'",
        ) from error
    return onnxruntime


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
