"""The onnxruntime backend: any CPU, one thread, bound arrays. The one module that imports onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardan.runtime.errors import DeviceError

DTYPES = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(int32)": np.int32}
WARNINGS_AND_ABOVE = 3


class OrtCpuSession:
    """A network on the CPU. model: the bytes of an ONNX file with fixed shapes.

    threads: 1 keeps the run time steady beside a control loop; onnxruntime's own default takes every core and spins
    on it between runs.
    """

    def __init__(self, model: bytes, *, threads: int = 1) -> None:
        self._session = _open(model, threads)
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        self._binding = self._session.io_binding()
        self.inputs = {tensor.name: self._array(tensor) for tensor in self._session.get_inputs()}
        self.outputs = {tensor.name: self._array(tensor) for tensor in self._session.get_outputs()}
        for name, array in self.inputs.items():
            self._binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        for name, array in self.outputs.items():
            self._binding.bind_output(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)

    def run(self) -> None:
        try:
            self._session.run_with_iobinding(self._binding)
        except Exception as error:  # onnxruntime's errors have no common base but Exception
            raise DeviceError(f"the network failed on the CPU: {_first_line(error)}") from error

    def close(self) -> None:
        del self._binding, self._session

    def _array(self, tensor: Any) -> NDArray[Any]:
        dtype = DTYPES.get(tensor.type)
        if dtype is None or not all(isinstance(size, int) for size in tensor.shape):
            raise DeviceError(
                f'tensor "{tensor.name}" is {tensor.type} {tensor.shape}, expected fixed sizes of {", ".join(DTYPES)}',
                hint="export the model with fixed shapes",
            )
        return np.zeros(tensor.shape, dtype)


def _open(model: bytes, threads: int) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise DeviceError(
            "onnxruntime is not installed, and this engine runs on the CPU with it",
            hint="pip install 'cardan[ort]'",
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = WARNINGS_AND_ABOVE
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # as above
        raise DeviceError(f"onnxruntime cannot load the model: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
