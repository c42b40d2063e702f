"""What an engine needs of CUDA: memory on both sides, streams, events, copies that do not wait, graphs.

Providers are tried in order: `cuda-bindings`, `pycuda` (no priorities, no graphs), none. One process, the primary
context, one thread at a time (a network is loaded on one and runs on another); never in a process that was forked after
CUDA had begun, and never with pycuda.autoinit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol

from numpy.typing import NDArray

from cardan.engines.backends.backend import BackendError, StickyError
from cardan.engines.tensors import Tensor

Priority = Literal["high", "normal"]
Handle = Any
"""A stream, an event or a graph of a provider."""

OUT_OF_MEMORY = 2
STICKY = {
    46, 201, 214, 220, 226, 304, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 721, 802, 999,
}  # fmt: skip
"""CUresult of cuda.h after which the context answers nothing but errors: illegal addresses and instructions, failed
launches, uncorrectable memory, a destroyed context, a device that is gone, and `unknown`."""


class Cuda(Protocol):
    """CUDA on one GPU, through one provider. Every method may raise BackendError or StickyError."""

    name: str
    """Of the provider, with its version."""

    def allocate(self, size: int) -> int:
        """Device memory: its address."""

    def free(self, address: int) -> None:
        """Give device memory back."""

    def pinned(self, tensor: Tensor) -> NDArray[Any]:
        """A page-locked array on the host, zeroed; `free_pinned` gives it back."""

    def free_pinned(self, array: NDArray[Any]) -> None:
        """Give a page-locked array back; nobody may look at it any more."""

    def register(self, array: NDArray[Any]) -> bool:
        """Page-lock memory that somebody else made (a camera's shared memory); False where the device cannot."""

    def unregister(self, array: NDArray[Any]) -> None:
        """Undo `register`."""

    def stream(self, priority: Priority) -> Handle:
        """A stream; providers without priorities give a normal one."""

    def drop_stream(self, stream: Handle) -> None:
        """Give a stream back."""

    def stream_address(self, stream: Handle) -> int:
        """The stream as a library outside Python wants it."""

    def copy_in(self, address: int, array: NDArray[Any], stream: Handle) -> None:
        """Host to device, in the order of the stream, without waiting."""

    def copy_out(self, array: NDArray[Any], address: int, stream: Handle) -> None:
        """Device to host, in the order of the stream, without waiting."""

    def capture_or_none(self, enqueue: Callable[[], None], stream: Handle) -> Handle | None:
        """What `enqueue` gives to the stream, as a graph; None where there are no graphs, or it cannot be captured."""

    def launch(self, graph: Handle, stream: Handle) -> None:
        """Replay a graph."""

    def drop_graph(self, graph: Handle) -> None:
        """Give a graph back."""

    def event(self) -> Handle:
        """An event that takes the time."""

    def record(self, event: Handle, stream: Handle) -> None:
        """Let the event happen when the stream gets there."""

    def elapsed_s(self, begin: Handle, end: Handle) -> float:
        """Between two events that have happened."""

    def wait(self, stream: Handle) -> None:
        """Block until the stream has done everything. A hang is for a watchdog outside this process."""

    def memory_bytes(self) -> tuple[int, int]:
        """Free and total memory of the device."""

    def close(self) -> None:
        """Leave the context."""


def check(code: int, name: str, what: str) -> None:
    """Raise for a CUresult that is not success. what: the call, for people."""
    if code == 0:
        return
    text = f"CUDA: {what}: {name} ({code})"
    if code in STICKY:
        raise StickyError(text, hint="the process ends; if it happens again: `dmesg | grep -i xid`")
    hint = "lower memory_mib, or run fewer engines on this GPU" if code == OUT_OF_MEMORY else None
    raise BackendError(text, hint=hint)
