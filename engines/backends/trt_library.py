"""TensorRT's Python modules, 10.x, 11.x and for RTX: found, and spoken to in the words that all of them know.

The one module that imports them. Nothing here may run before the driver was probed, and nothing in a process whose
death matters: with a missing or broken driver the real library ends the process.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from typing import Any

from cardan.engines.backends.backend import BackendError
from cardan.engines.backends.options import TensorrtOptions
from cardan.engines.model import Model

HINTS = {
    "tensorrt": "it comes with the image of the vehicle computer (JetPack, DriveOS); a virtual environment sees it "
    "with --system-site-packages",
    "tensorrt_rtx": "pip install 'cardan[rtx]'",
}
OLDEST = 10
MIB = 1 << 20
WARNING_LEVELS = {"INTERNAL_ERROR": logging.ERROR, "ERROR": logging.ERROR, "WARNING": logging.WARNING}
"""Severity of TensorRT -> level of ours; the rest is thousands of lines for a build."""

Step = Callable[[str, int, int], bool]
"""Told of each step of a build: phase, steps done, steps in all; False cancels the build."""


def library(name: str) -> Any:
    """The module `tensorrt` or `tensorrt_rtx`; BackendError says what to install."""
    try:
        module = importlib.import_module(name)
    except Exception as error:  # its loader raises whatever the missing part makes it raise
        raise BackendError(f"{name} cannot be imported: {error}", hint=HINTS[name]) from error
    version = str(getattr(module, "__version__", ""))
    major = version.split(".", maxsplit=1)[0]
    if name == "tensorrt" and not (major.isdecimal() and int(major) >= OLDEST):
        raise BackendError(f"tensorrt {version or 'of no version'} is too old, expected {OLDEST} or newer")
    return module


def make_logger(module: Any, log: logging.Logger) -> tuple[Any, list[str]]:
    """A logger for the library, and the list in which its errors gather: its calls return None and say nothing else."""
    errors: list[str] = []

    class Logger(module.ILogger):  # type: ignore[misc]  # a vendor class without types
        def __init__(self) -> None:
            module.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            level = WARNING_LEVELS.get(getattr(severity, "name", str(severity).rpartition(".")[2]), logging.DEBUG)
            if level >= logging.ERROR:
                errors.append(" ".join(message.split()))
            if level >= logging.WARNING:
                log.log(level, "%s", message)

    return Logger(), errors


def build_plan(
    name: str, model: Model, onnx: bytes, targets: tuple[str, ...], step: Step, log: logging.Logger
) -> bytes | None:
    """A plan of the network `onnx`; None when `step` cancelled it. BackendError says what the library refused.

    targets: compute capabilities such as "8.9" (only tensorrt_rtx); empty: the GPU that is there.
    """
    module = library(name)
    logger, errors = make_logger(module, log)
    builder = module.Builder(logger)
    network = builder.create_network(_strongly_typed(module))
    parser = module.OnnxParser(network, logger)
    if not parser.parse(onnx):
        raise BackendError(f'{name} cannot import model "{model.name}": {_parser_errors(parser)}')
    config = _configure(module, builder, model.tensorrt, targets)
    monitor = _monitor(module, step)
    config.progress_monitor = monitor
    plan = builder.build_serialized_network(network, config)
    if plan is None and monitor.cancelled:
        return None
    if plan is None:
        raise BackendError(f'{name} cannot build model "{model.name}": {_last(errors)}', hint=_build_hint(errors))
    return bytes(plan)


def _strongly_typed(module: Any) -> int:
    """Precision as the ONNX file has it: an option in 10, the only way in 11."""
    return 1 << int(module.NetworkDefinitionCreationFlag.STRONGLY_TYPED)


def _configure(module: Any, builder: Any, options: TensorrtOptions, targets: tuple[str, ...]) -> Any:
    config = builder.create_builder_config()
    config.builder_optimization_level = options.level
    config.set_memory_pool_limit(module.MemoryPoolType.WORKSPACE, round(options.workspace_mib * MIB))
    if targets:
        config.num_compute_capabilities = len(targets)
        for index, target in enumerate(targets):
            config.set_compute_capability(_capability(module, target), index)
    return config


def _capability(module: Any, target: str) -> Any:
    known = getattr(module, "ComputeCapability", None)
    if known is None:
        raise BackendError(
            f"{module.__name__} builds for the GPU that is there, not for {target}",
            hint="build it on the vehicle computer",
        )
    targets = known_targets(module)
    if target not in targets:
        raise BackendError(
            f'{module.__name__} cannot build for compute capability "{target}"', hint=f"it can for {', '.join(targets)}"
        )
    return known.__members__[f"SM{target.replace('.', '')}"]


def known_targets(module: Any) -> list[str]:
    """The compute capabilities that the library can build for without such a GPU."""
    known = getattr(module, "ComputeCapability", None)
    names = [key for key in (known.__members__ if known else ()) if key.startswith("SM")]
    return [f"{key[2:-1]}.{key[-1]}" for key in names]


def _monitor(module: Any, step: Step) -> Any:
    class Monitor(module.IProgressMonitor):  # type: ignore[misc]  # a vendor class without types
        def __init__(self) -> None:
            module.IProgressMonitor.__init__(self)
            self.cancelled = False
            self._steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._steps[phase_name] = num_steps

        def step_complete(self, phase_name: str, step_number: int) -> bool:
            going_on = step(phase_name, step_number + 1, self._steps.get(phase_name, 0))
            self.cancelled |= not going_on
            return going_on

        def phase_finish(self, phase_name: str) -> None:
            self._steps.pop(phase_name, None)

    return Monitor()


def _parser_errors(parser: Any) -> str:
    """The first error of the parser, with the operator it stumbled over."""
    if not parser.num_errors:
        return "it says no more"
    error = parser.get_error(0)
    where = f"{error.node_operator()} {error.node_name()}".strip() if hasattr(error, "node_operator") else ""
    more = f" (and {parser.num_errors - 1} more)" if parser.num_errors > 1 else ""
    return " ".join(f"{where}: {error.desc()}{more}".split())


def _last(errors: list[str]) -> str:
    return errors[-1][:300] if errors else "it says no more"


def _build_hint(errors: list[str]) -> str:
    if any("cudaError 35" in error for error in errors):
        return "there is no NVIDIA driver here: build on the vehicle computer, or name a target with --target"
    return "`cardan engine build --verbose` shows what the library said"
