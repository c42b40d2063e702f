"""What the networks of this computer run on: a GPU, or the CPU, as far as a compiled network depends on it."""

from __future__ import annotations

import platform
import re
from pathlib import Path

import msgspec


class Accelerator(msgspec.Struct, frozen=True, kw_only=True):
    """Two computers whose accelerators are equal can use each other's plans."""

    kind: str
    """gpu or cpu."""
    name: str
    """As the driver or the kernel calls it; `any` for plans that hold for every GPU of a compute capability."""
    capability: str
    """Of a GPU: its compute capability, `8.7`; of a CPU: its instruction set."""
    multiprocessors: int = 0
    memory_mib: int = 0
    """Of a GPU, rounded to 256: what the kernel keeps for itself differs a little from boot to boot."""
    driver: str = ""
    """CUDA version of the driver, `13.0`."""

    def __str__(self) -> str:
        return f"{self.name} ({self.capability})"


def any_gpu(capability: str) -> Accelerator:
    """Every GPU of one compute capability."""
    return Accelerator(kind="gpu", name="any", capability=capability)


def this_cpu(cpuinfo: Path = Path("/proc/cpuinfo")) -> Accelerator:
    """The CPU of this computer. On arm64 the kernel gives no name, so implementer and part stand for it."""
    try:
        text = cpuinfo.read_text(errors="replace")
    except OSError:
        text = ""
    name = _field(text, "model name") or " ".join(
        part for part in (_field(text, "CPU implementer"), _field(text, "CPU part")) if part
    )
    return Accelerator(kind="cpu", name=name or "unknown", capability=platform.machine())


def _field(cpuinfo: str, key: str) -> str:
    found = re.search(rf"^{key}\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return found.group(1).strip() if found else ""
