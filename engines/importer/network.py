"""One ONNX file through the whole import: read, repair, check, try on frames, and describe as a model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx

from cardan.engines.backends.onnxruntime import OnnxRuntime, tensors_in
from cardan.engines.frames import Frames, as_npz, random_frames, read_frames
from cardan.engines.gate import Outputs, deviations, reference_outputs, session_outputs, too_far
from cardan.engines.importer.audit import FP16_LARGEST, MARGIN, Peak, peaks
from cardan.engines.importer.contract import problems
from cardan.engines.importer.half import in_half
from cardan.engines.importer.pictures import frames_from_pictures
from cardan.engines.importer.repair import fix_shapes, free_initialisers, take_uint8
from cardan.engines.model import Accuracy, BackendName, Criticality, Model
from cardan.engines.tensors import Tensor
from cardan.runtime.errors import ConfigError

HALF_TOLERANCE = 0.01
"""Relative L2 that an FP16 network is allowed, where FP32 has 0.001."""


@dataclass(frozen=True, kw_only=True)
class ImportWish:
    """What the person who imports a network says about it."""

    source: Path
    name: str
    rate_hz: float
    deadline_ms: float
    criticality: Criticality = "medium"
    backends: tuple[BackendName, ...] = ("tensorrt", "tensorrt_rtx", "onnxruntime")
    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    mean: Sequence[float] = ()
    scale: Sequence[float] = ()
    """(x - mean) * scale; both given, or none."""
    folded: bool = False
    half: bool = False
    frames: Path | None = None
    """An .npz, or a folder of pictures. None: random frames."""


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A network that may be used, and what was seen on the way."""

    model: Model
    content: bytes
    frames: bytes
    """Of the .npz that `model.accuracy.frames` names; empty for random frames."""
    notes: list[str]
    peaks: list[Peak]


class ImportRefusedError(ConfigError):
    """The network does not keep the contract. `reasons`: why, one line each."""

    def __init__(self, source: Path, reasons: Sequence[str]) -> None:
        lines = "".join(f"\n  - {reason}" for reason in reasons)
        super().__init__(f"{source} is refused:{lines}")
        self.reasons = list(reasons)


def import_network(wish: ImportWish) -> Imported:
    """Import one network. ImportRefusedError names every reason that can be seen at once; ConfigError, BackendError."""
    network = _read(wish.source)
    notes = _repair(network, wish)
    reasons = problems(network, folded=wish.folded or bool(wish.scale))
    if reasons:
        raise ImportRefusedError(wish.source, reasons)
    _check(network, wish.source)
    inputs, _ = tensors_in(network.SerializeToString())
    frames = _frames(wish, inputs)
    found = peaks(network, frames)
    _require_numbers(wish, found)
    expected = reference_outputs(network.SerializeToString(), frames)
    if wish.half:
        network = in_half(network)
        notes.append("weights and activations are FP16 now; inputs and outputs are as before")
    content = network.SerializeToString() if notes else wish.source.read_bytes()
    model = _model(wish, content, network)
    _try(model, content, frames, expected, wish.source)
    stored = as_npz(frames, expected) if model.accuracy.frames else b""
    return Imported(model=model, content=content, frames=stored, notes=notes, peaks=found)


def _read(source: Path) -> onnx.ModelProto:
    try:
        network = onnx.load(str(source))
    except OSError as error:
        raise ConfigError(f"{source} cannot be read ({error.strerror or error})", hint="name an ONNX file") from error
    except Exception as error:  # protobuf's DecodeError, and onnx's own for weights that lie beside the file
        raise ConfigError(f"{source} is no ONNX file: {_line(error)}", hint="export the network as ONNX") from error
    if not network.graph.node or not network.graph.output:
        raise ConfigError(f"{source} is no ONNX file: it has no graph", hint="export the network as ONNX")
    return network


def _repair(network: onnx.ModelProto, wish: ImportWish) -> list[str]:
    notes = []
    if freed := free_initialisers(network):
        notes.append(f"{freed} initialisers were graph inputs: they are constants now")
    if wish.shapes:
        fix_shapes(network, wish.shapes)
        notes.append("shapes are fixed as given: " + ", ".join(wish.shapes))
    if wish.scale:
        for value in list(network.graph.input):
            if value.type.tensor_type.elem_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16):
                take_uint8(network, value.name, wish.mean, wish.scale)
                notes.append(f'input "{value.name}" is uint8 NHWC now, normalised inside')
    return notes


def _check(network: onnx.ModelProto, source: Path) -> None:
    try:
        onnx.checker.check_model(network, full_check=True)
    except Exception as error:  # ValidationError and InferenceError of onnx have no common base of their own
        raise ImportRefusedError(source, [f"onnx's checker: {_line(error)}"]) from error


def _frames(wish: ImportWish, inputs: Mapping[str, Tensor]) -> Frames:
    if wish.frames is None:
        return random_frames(inputs)
    return frames_from_pictures(wish.frames, inputs) if wish.frames.is_dir() else read_frames(wish.frames, inputs)


def _require_numbers(wish: ImportWish, found: Sequence[Peak]) -> None:
    """Refuse what is not finite in FP32, and what half precision could not hold where that is wished."""
    broken = [peak for peak in found if not peak.value < float("inf")]
    if broken:
        first = broken[0]  # in the order of the graph
        raise ImportRefusedError(
            wish.source, [f'tensor "{first.tensor}" ({first.operator}) is not finite on the sample frames, in FP32']
        )
    wide = [peak for peak in found if not peak.fits_fp16]
    if wish.half and wide:
        raise ImportRefusedError(
            wish.source,
            [
                f'tensor "{peak.tensor}" ({peak.operator}) reaches {peak.value:.4g}, and FP16 ends at '
                f"{FP16_LARGEST:.0f} (a factor {MARGIN:g} is kept): keep FP32, or rescale that layer"
                for peak in wide[:5]
            ],
        )


def _model(wish: ImportWish, content: bytes, network: onnx.ModelProto) -> Model:
    inputs, outputs = tensors_in(content)
    return Model(
        name=wish.name,
        file=f"{wish.name}.onnx",
        sha256=hashlib.sha256(content).hexdigest(),
        inputs=inputs,
        outputs=outputs,
        rate_hz=wish.rate_hz,
        deadline_ms=wish.deadline_ms,
        criticality=wish.criticality,
        backends=wish.backends,
        accuracy=Accuracy(
            relative_l2=HALF_TOLERANCE if wish.half else Accuracy().relative_l2,
            frames=f"{wish.name}.frames.npz" if wish.frames or wish.half else "",
        ),
        meta={entry.key: _meta(entry.value) for entry in network.metadata_props},
    )


def _try(model: Model, content: bytes, frames: Frames, expected: Outputs, source: Path) -> None:
    """Run it as it would be run, through the CPU backend, and hold it against FP32."""
    session = OnnxRuntime().load(model, content)
    reasons = too_far(model, deviations(session_outputs(session, frames), expected))
    session.close()
    if reasons:
        raise ImportRefusedError(source, reasons)


def _meta(text: str) -> Any:
    """A value of the file's metadata, which holds texts only; what reads as JSON is taken as such."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return text if value is None else value


def _line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
