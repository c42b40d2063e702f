"""Is there a GPU that answers? Asked of the driver itself, in a child with a time limit, before any other CUDA call.

Without a driver TensorRT returns objects that crash when they are used; with a driver that hangs, so does whoever asks.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
from typing import Any

import msgspec

from cardan.engines.accelerator import Accelerator

PROBE_S = 20.0
"""The first call after boot loads the kernel driver, which takes seconds on embedded computers."""
LIBRARY = "libcuda.so.1"
SUCCESS = 0
MULTIPROCESSORS, CAPABILITY_MAJOR, CAPABILITY_MINOR = 16, 75, 76
"""CUdevice_attribute of cuda.h."""
MEMORY_CLASS_MIB = 256
NAME_BYTES = 256


class Probed(msgspec.Struct, frozen=True, kw_only=True):
    """What the driver said."""

    gpu: Accelerator | None = None
    reason: str = ""
    """Why there is no GPU to be used; empty when there is one."""


def probe_gpu(timeout_s: float = PROBE_S) -> Probed:
    """The first GPU of this computer. Blocks for `timeout_s` at most, never raises, loads no CUDA into this process."""
    command = [sys.executable, "-m", "cardan.engines.cuda.probe"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        return Probed(reason=f"the GPU's driver has not answered for {timeout_s:g} s")
    except OSError as error:
        return Probed(reason=f"the GPU cannot be asked: {error}")
    try:
        return msgspec.json.decode(done.stdout, type=Probed)
    except msgspec.DecodeError:
        return Probed(reason=f"asking the GPU's driver ended with exit code {done.returncode}")


def ask_driver(library: str = LIBRARY) -> Probed:
    """The same in this process, which a broken driver may end."""
    try:
        cuda: Any = ctypes.CDLL(library)
    except OSError:
        return Probed(reason=f"there is no NVIDIA driver ({library} cannot be loaded)")
    error = cuda.cuInit(0)
    if error != SUCCESS:
        return Probed(reason=f"the NVIDIA driver does not start: {_name(cuda, error)}")
    count = ctypes.c_int()
    if cuda.cuDeviceGetCount(ctypes.byref(count)) != SUCCESS or count.value < 1:
        return Probed(reason="the NVIDIA driver knows no GPU")
    return _describe(cuda)


def _describe(cuda: Any) -> Probed:
    device, version, size = ctypes.c_int(), ctypes.c_int(), ctypes.c_size_t()
    name = ctypes.create_string_buffer(NAME_BYTES)
    errors = [
        cuda.cuDeviceGet(ctypes.byref(device), 0),
        cuda.cuDriverGetVersion(ctypes.byref(version)),
        cuda.cuDeviceGetName(name, NAME_BYTES, device),
        cuda.cuDeviceTotalMem_v2(ctypes.byref(size), device),
    ]
    failed = next((error for error in errors if error != SUCCESS), None)
    if failed is not None:
        return Probed(reason=f"the GPU does not describe itself: {_name(cuda, failed)}")
    mib = round(size.value / 2**20 / MEMORY_CLASS_MIB) * MEMORY_CLASS_MIB
    return Probed(
        gpu=Accelerator(
            kind="gpu",
            name=name.value.decode(errors="replace"),
            capability=f"{_attribute(cuda, CAPABILITY_MAJOR, device)}.{_attribute(cuda, CAPABILITY_MINOR, device)}",
            multiprocessors=_attribute(cuda, MULTIPROCESSORS, device),
            memory_mib=mib,
            driver=f"{version.value // 1000}.{version.value % 1000 // 10}",
        )
    )


def _attribute(cuda: Any, attribute: int, device: ctypes.c_int) -> int:
    value = ctypes.c_int()
    cuda.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
    return value.value


def _name(cuda: Any, error: int) -> str:
    text = ctypes.c_char_p()
    known = cuda.cuGetErrorName(error, ctypes.byref(text)) == SUCCESS and text.value
    return f"{text.value.decode()} ({error})" if known and text.value else f"error {error}"


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(ask_driver()))
