"""`cardan engine show`: a model, and what could run it here."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, dataclass

import msgspec

from cardan.engines.accelerator import this_cpu
from cardan.engines.backends.backend import BackendError
from cardan.engines.backends.find import find_backend
from cardan.engines.build.cache import PlanCache
from cardan.engines.cli.common import open_cache, print_json, read_models, state_of
from cardan.engines.cuda.probe import Probed, probe_gpu
from cardan.engines.model import BackendName, Model, ModelFile
from cardan.engines.opening import plan_for
from cardan.engines.tensors import Tensor
from cardan.runtime.cli.exits import Exit
from cardan.runtime.cli.lines import Line, safe_text, write_lines
from cardan.runtime.clock import Clock, MonotonicClock


@dataclass(frozen=True)
class Readiness:
    """Could this backend run the model now?"""

    backend: str
    ready: bool
    said: str


def run(arguments: argparse.Namespace) -> int:
    """Show each model; 1 when nothing could run one of them."""
    clock = MonotonicClock()
    cache, probed = open_cache(arguments.data_dir, clock), probe_gpu()
    runs = True
    documents = []
    for file in read_models(arguments.models):
        found = [readiness(file, backend, cache, probed, clock) for backend in file.model.backends]
        runs = runs and any(one.ready for one in found)
        documents.append(
            {
                "path": str(file.path),
                "model": msgspec.to_builtins(file.model),
                "backends": [asdict(one) for one in found],
            }
        )
        if not arguments.json:
            write_lines(_lines(file, found, probed), sys.stdout)
    if arguments.json:
        print_json({"schema_version": 1, "gpu": msgspec.to_builtins(probed), "models": documents})
    return int(Exit.HEALTHY if runs else Exit.FINDING)


def readiness(file: ModelFile, name: BackendName, cache: PlanCache, probed: Probed, clock: Clock) -> Readiness:
    """Look without loading: is the library there, the GPU, a good plan?"""
    backend = find_backend(name, clock)
    accelerator = probed.gpu if backend.builds else this_cpu()
    if accelerator is None:
        return Readiness(name, False, probed.reason)
    try:
        version = backend.version()
        found = plan_for(file, backend, cache, accelerator)
    except BackendError as error:
        return Readiness(name, False, error.message)
    if backend.builds and not found.content:
        return Readiness(name, False, f"{version}, {found.reason}: cardan engine build {file.model.name}")
    plan = f", plan {state_of(found.sidecar)}" if found.content and found.sidecar is not None else ""
    return Readiness(name, True, f"{version}{plan}")


def _lines(file: ModelFile, found: list[Readiness], probed: Probed) -> list[Line]:
    model = file.model
    return [
        Line(safe_text(f"{model.name}  {file.path}"), "title"),
        *(Line(safe_text(f"  {label:<13}{text}")) for label, text in _facts(model)),
        *(Line(safe_text(f"  {'in':<13}{_tensor(name, tensor)}")) for name, tensor in model.inputs.items()),
        *(Line(safe_text(f"  {'out':<13}{_tensor(name, tensor)}")) for name, tensor in model.outputs.items()),
        Line(safe_text(f"  {'GPU':<13}{probed.gpu or probed.reason}")),
        *(Line(safe_text(f"  {one.backend:<13}{one.said}"), "good" if one.ready else "warning") for one in found),
    ]


def _facts(model: Model) -> list[tuple[str, str]]:
    fallback = ", ".join(model.fallback) or "none"
    signed = f'signed with "{model.signature.key}"' if model.signature else "not signed"
    return [
        ("weights", f"{model.file}, SHA-256 {model.sha256[:12]}, {signed}"),
        ("rate", f"{model.rate_hz:g} Hz, deadline {model.deadline_ms:g} ms after capture"),
        (
            "load",
            f"{model.criticality} criticality; a full slot drops the {model.drop} input; late jobs: {model.when_late}",
        ),
        ("accuracy", f"within {model.accuracy.relative_l2:g} of FP32 on {model.accuracy.frames or 'random frames'}"),
        ("memory", f"{model.memory_mib:g} MiB at most"),
        ("fallback", fallback),
    ]


def _tensor(name: str, tensor: Tensor) -> str:
    layout = f" {tensor.layout}" if tensor.layout else ""
    limits = [
        f"{word} {value:g}" for word, value in (("from", tensor.minimum), ("to", tensor.maximum)) if value is not None
    ]
    return " ".join(part for part in (f"{name}: {tensor}{layout}", *limits, tensor.units) if part)
