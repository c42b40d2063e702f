"""What runs on the fake driver, a process for each case: `python on_fake_gpu.py CASE`, its findings as JSON."""

from __future__ import annotations

import ctypes
import enum
import json
import logging
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from cardan.engines.backends.backend import BackendError, StickyError
from cardan.engines.backends.options import TensorrtOptions
from cardan.engines.backends.trt_session import TensorrtSession
from cardan.engines.cuda.find import open_cuda
from cardan.engines.cuda.probe import probe_gpu
from cardan.engines.model import Model
from cardan.engines.tensors import Tensor

MODEL = Model(
    name="sum",
    file="sum.onnx",
    sha256="ab" * 32,
    rate_hz=20.0,
    deadline_ms=50.0,
    inputs={"image": Tensor(dtype="uint8", shape=(1, 4, 4, 3))},
    outputs={"sum": Tensor(dtype="float32", shape=(1, 1))},
    memory_mib=64.0,
)


class FakeTensorrt:
    """As much of TensorRT as a session uses. Its one network sums the picture; a plan that says `bad` is refused."""

    class TensorIOMode(enum.Enum):
        INPUT = 1
        OUTPUT = 2

    class ILogger:
        def __init__(self) -> None: ...

    nptype = staticmethod(lambda dtype: dtype)

    class Runtime:
        def __init__(self, logger: Any) -> None:
            self._logger = logger

        def deserialize_cuda_engine(self, plan: bytes) -> Any:
            if plan.startswith(b"bad"):
                self._logger.log("Severity.ERROR", "Error Code 4: the plan was made by another version")
                return None
            return FakeEngine(int(plan or b"0"))


class FakeEngine:
    num_io_tensors = 2

    def __init__(self, memory: int) -> None:
        self.device_memory_size = memory

    def get_tensor_name(self, index: int) -> str:
        return ("image", "sum")[index]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return {"image": (1, 4, 4, 3), "sum": (1, 1)}[name]

    def get_tensor_dtype(self, name: str) -> type:
        return {"image": np.uint8, "sum": np.float32}[name]

    def get_tensor_mode(self, name: str) -> FakeTensorrt.TensorIOMode:
        return FakeTensorrt.TensorIOMode.INPUT if name == "image" else FakeTensorrt.TensorIOMode.OUTPUT

    def create_execution_context(self) -> FakeContext:
        return FakeContext()


class FakeContext:
    refused_call = 0
    """The call of `execute_async_v3` that does nothing but refuse; 0: none does."""

    def __init__(self) -> None:
        self.addresses: dict[str, int] = {}
        self.streams: set[int] = set()
        self.calls = 0

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        self.streams.add(stream)
        self.calls += 1
        if self.calls == FakeContext.refused_call:
            return False
        picture = (ctypes.c_uint8 * 48).from_address(self.addresses["image"])
        ctypes.c_float.from_address(self.addresses["sum"]).value = float(sum(picture))
        return True


def session(plan: bytes = b"1000", *, graph: bool = False, **changes: Any) -> TensorrtSession:
    model = msgspec.structs.replace(MODEL, tensorrt=TensorrtOptions(graph=graph, priority="high"), **changes)
    return TensorrtSession(model, plan, FakeTensorrt, open_cuda(), logging.getLogger("test"))


def driver() -> str:
    library = ctypes.CDLL("libcuda.so.1")
    library.fake_cuda_report.restype = ctypes.c_char_p
    return str(library.fake_cuda_report().decode())


def runs() -> dict[str, Any]:
    """Fill, run, read; bound memory; everything given back."""
    one = session()
    one.inputs["image"][...] = 2
    one.run()
    found = {"filled": float(one.outputs["sum"][0, 0])}
    other = np.full((1, 4, 4, 3), 3, np.uint8)
    one.bind("image", other)
    one.start()
    one.finish()
    found["bound"] = float(one.outputs["sum"][0, 0])
    other[...] = 4
    one.run()
    found["bound memory is read again"] = float(one.outputs["sum"][0, 0])
    during = driver()
    one.close()
    one.close()
    return found | {"during": during, "after": driver()}


def graph() -> dict[str, Any]:
    """The network is captured once, and replayed. The fake replays nothing, so only the launches are looked at."""
    one = session(graph=True)
    for _ in range(3):
        one.run()
    during = driver()
    one.close()
    return {"during": during, "after": driver()}


def uncapturable() -> dict[str, Any]:
    """A network that refuses to be captured is enqueued each time."""
    FakeContext.refused_call = 2
    one = session(graph=True)
    one.inputs["image"][...] = 2
    one.run()
    found = {"sum": float(one.outputs["sum"][0, 0]), "during": driver()}
    one.close()
    return found | {"after": driver()}


def threads() -> dict[str, Any]:
    """Loaded on a thread that has ended since, filled and run on this one."""
    made: list[TensorrtSession] = []
    loader = threading.Thread(target=lambda: made.append(session(graph=True)))
    loader.start()
    loader.join()
    one = made[0]
    one.inputs["image"][...] = 1
    one.run()
    during = driver()
    one.close()
    return {"during": during, "after": driver()}


def fails() -> dict[str, Any]:
    """What FAKE_CUDA_FAIL names goes wrong."""
    try:
        one = session()
        one.bind("image", np.full((1, 4, 4, 3), 5, np.uint8))
        one.run()
    except StickyError as error:
        return {"error": "sticky", "said": error.message}
    except BackendError as error:
        return {"error": "backend", "said": str(error)}
    return {"error": "", "sum": float(one.outputs["sum"][0, 0])}


def refuses() -> dict[str, Any]:
    """Plans and models that do not fit."""
    said = {}
    cases: dict[str, Any] = {
        "bad plan": lambda: session(b"bad"),
        "memory": lambda: session(b"1000000000"),
        "tensors": lambda: session(outputs={"total": MODEL.outputs["sum"]}),
    }
    for name, case in cases.items():
        try:
            case()
        except BackendError as error:
            said[name] = error.message
    return said | {"after": driver()}


def bench() -> dict[str, Any]:
    """The parts of benches/gpu.py that need no built plan, so that they are in order when a GPU is to be had."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "benches"))
    import gpu  # type: ignore[import-not-found]

    gpu.RUNS = 8
    cuda = open_cuda()
    made = gpu.Bench("tensorrt", probe_gpu(), cuda, Path("/nowhere"))
    made.session = lambda graph=True, priority="normal": session(graph=graph)
    parts = (gpu.memory_rows, gpu.call_rows, gpu.gap_rows, gpu.rate_rows, gpu.priority_rows)
    found = [row.name for part in parts for row in part(made)]
    found += [row.name for row in gpu.copy_rows(cuda)]
    return {"rows": found, "after": driver()}


if __name__ == "__main__":
    cases = (runs, graph, uncapturable, threads, fails, refuses, bench)
    print(json.dumps({case.__name__: case for case in cases}[sys.argv[1]]()))
