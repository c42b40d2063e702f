"""A model: one TOML file that says what a network takes, gives, needs and promises, and the hash of its weights.

What is read here decides where and when the network runs; `cardan.engines.weights` opens the weights themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from cardan.engines.backends.options import OnnxRuntimeOptions, SimOptions, TensorrtOptions
from cardan.engines.tensors import Tensor
from cardan.runtime.clock import NS_PER_S, ns
from cardan.runtime.errors import ConfigError, near_names
from cardan.runtime.findings import report
from cardan.runtime.profile_file import check_schema
from cardan.runtime.toml_convert import convert_table
from cardan.runtime.toml_document import read_document

Text = Annotated[str, msgspec.Meta(min_length=1)]
Name = Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_-]{0,31}$")]
Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Positive = Annotated[float, msgspec.Meta(gt=0)]
RateHz = Annotated[float, msgspec.Meta(gt=0, le=1_000)]
BackendName = Literal["tensorrt", "tensorrt_rtx", "onnxruntime", "sim"]
Criticality = Literal["high", "medium", "low"]


class Accuracy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far a compiled network may be from the same network in FP32 on the CPU."""

    relative_l2: Positive = 0.001
    """Largest |compiled - reference| / |reference| of any output over all frames: 1e-3 suits FP32, 1e-2 FP16."""
    frames: str = ""
    """An .npz beside the model: an array for each input, first dimension the frame. Empty: the shipped random ones."""


class Signature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who vouches for this model. It covers every other line of the file, and so the hash of the weights."""

    key: Text
    """Name of the public key that verifies it."""
    ed25519: Text
    """In base64."""


class Model(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The TOML file of one model."""

    name: Name
    file: Text
    """The ONNX file, relative to this one."""
    sha256: Sha256
    """Of the ONNX file."""
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]
    rate_hz: RateHz
    """How often a new input comes."""
    deadline_ms: Positive
    """From the capture of the input to the output."""
    criticality: Criticality = "medium"
    """Under overload the low ones wait first."""
    drop: Literal["older", "newer"] = "older"
    """Which input gives way when one is waiting already; control wants the newest, so the older one."""
    when_late: Literal["drop", "run"] = "drop"
    """What becomes of a job that cannot end by its deadline: dropped unrun, or run and marked late."""
    backends: tuple[BackendName, ...] = ("onnxruntime",)
    """What may run it, the best first. Whatever comes after the first serves while the first is built, or absent."""
    fallback: tuple[Name, ...] = ()
    """Models that stand in when no backend can run this one, in this order; each has outputs of the same names."""
    memory_mib: Positive = 256.0
    """The most that it may take on the accelerator, or of main memory on the CPU."""
    accuracy: Accuracy = Accuracy()
    onnxruntime: OnnxRuntimeOptions = OnnxRuntimeOptions()
    tensorrt: TensorrtOptions = TensorrtOptions()
    sim: SimOptions = SimOptions()
    meta: dict[str, Any] = {}
    """What only the reader of its outputs understands: stations, anchors, class names."""
    signature: Signature | None = None

    def __post_init__(self) -> None:
        if not self.inputs or not self.outputs:
            raise ValueError("a model has at least one input and one output")
        if not self.backends:
            raise ValueError("no backend is named, so nothing could run it")
        if len(set(self.backends)) < len(self.backends):
            raise ValueError("a backend is named twice")
        if self.name in self.fallback:
            raise ValueError("a model cannot be its own fallback")

    @property
    def deadline_ns(self) -> int:
        """From the capture of an input to its output, in nanoseconds."""
        return ns(self.deadline_ms / 1_000)

    @property
    def period_ns(self) -> int:
        """Between two inputs, in nanoseconds."""
        return round(NS_PER_S / self.rate_hz)


@dataclass(frozen=True)
class ModelFile:
    """A model and where it lies."""

    model: Model
    path: Path
    """Of the TOML file."""

    @property
    def weights(self) -> Path:
        """The ONNX file."""
        return self.path.parent / self.model.file

    @property
    def short_hash(self) -> str:
        """First 12 hex digits of the SHA-256: what messages carry and people compare."""
        return self.model.sha256[:12]


def read_model(name: str, *, folder: Path) -> ModelFile:
    """The model `name`: a shipped one (`road_net`), or a path that ends in .toml and starts at `folder`.

    ConfigError lists everything that is wrong with the file, a line each. The weights are not opened.
    """
    path = find_model(name, folder=folder)
    document = read_document(path, str(path), "model")
    table = dict(document.data)
    if table or not document.findings:
        check_schema(table, document.findings)
    model = convert_table(table, Model, (), document.findings) if table else None
    if model is None or document.findings:
        raise ConfigError(report(document.findings.sorted()))
    return ModelFile(model, path)


def find_model(name: str, *, folder: Path) -> Path:
    """Where the TOML file of the model `name` lies; ConfigError says what is near."""
    if name.endswith(".toml"):
        path = (folder / Path(name).expanduser()).absolute()
        if path.is_file():
            return path
        near = near_names(path.name, sorted(other.name for other in path.parent.glob("*.toml")))
        raise ConfigError(f'no model "{name}": there is no file {path}', hint=near)
    if name not in model_names():
        hint = f"{near_names(name, model_names())} or write a path that ends in .toml"
        raise ConfigError(f'no model "{name}" is shipped', hint=hint)
    return Path(str(files("cardan.engines").joinpath("models").joinpath(f"{name}.toml")))


def model_names() -> list[str]:
    """The models that are shipped with cardan."""
    shipped = files("cardan.engines").joinpath("models").iterdir()
    return sorted(item.name.removesuffix(".toml") for item in shipped if item.name.endswith(".toml"))
