"""`cardan engine import`: an ONNX file becomes a model, or one learns why not."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

import msgspec

from cardan.engines.importer.network import Imported, ImportRefusedError, ImportWish, import_network
from cardan.engines.model_text import model_text
from cardan.runtime.cli.durations import parse_duration_s
from cardan.runtime.cli.exits import Exit, UsageError
from cardan.runtime.cli.lines import Line, safe_text, write_lines
from cardan.runtime.disk import make_folder_durably, write_durably

NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
SHOWN_PEAKS = 3


def run(arguments: argparse.Namespace) -> int:
    """Import, write, and say what was done; 4 when the network is refused."""
    wish = _wish(arguments)
    try:
        imported = import_network(wish)
    except ImportRefusedError as refused:
        if arguments.json:
            _print_json(_answer("refused", reasons=refused.reasons))
        else:
            write_lines([Line(f"refused: {wish.source}", "bad"), *_listed(refused.reasons)], sys.stdout)
        return int(Exit.REFUSED)
    path = write_model(imported, Path(arguments.output))
    if arguments.json:
        _print_json(_document(imported, path))
    else:
        write_lines(_report(imported, path), sys.stdout)
    return int(Exit.HEALTHY)


def write_model(imported: Imported, folder: Path) -> Path:
    """Write network, frames, and at last the model file that names them; its path."""
    make_folder_durably(folder.absolute())
    model = imported.model
    write_durably(folder / model.file, imported.content)
    if imported.frames:
        write_durably(folder / model.accuracy.frames, imported.frames)
    path = folder / f"{model.name}.toml"
    write_durably(path, model_text(model).encode())
    return path


def _wish(arguments: argparse.Namespace) -> ImportWish:
    source = Path(arguments.source)
    name = arguments.name or re.sub(r"[^a-z0-9_-]+", "_", source.stem.lower())
    if not NAME.fullmatch(name):
        raise UsageError(
            f'"{name}" cannot be the name of a model',
            hint="give --name: 1 to 32 lower-case letters, digits, _ and -, a letter first",
        )
    if arguments.mean and not arguments.scale:
        raise UsageError("--mean is of no use without --scale", hint="--scale 0.00392157 maps 0..255 to 0..1")
    if not 0.0 < arguments.rate <= 1_000.0:
        raise UsageError(f"--rate {arguments.rate:g} is no rate", hint="expected a number of Hz, up to 1000")
    return ImportWish(
        source=source,
        name=name,
        rate_hz=arguments.rate,
        deadline_ms=parse_duration_s(arguments.deadline, "--deadline") * 1_000.0,
        criticality=arguments.criticality,
        shapes=dict(_shape(text) for text in arguments.shape),
        mean=_numbers(arguments.mean or "0", "--mean") if arguments.scale else (),
        scale=_numbers(arguments.scale, "--scale") if arguments.scale else (),
        folded=arguments.folded,
        half=arguments.fp16,
        frames=Path(arguments.frames) if arguments.frames else None,
    )


def _shape(text: str) -> tuple[str, tuple[int, ...]]:
    name, _, sizes = text.rpartition("=")
    try:
        shape = tuple(int(size) for size in sizes.split("x"))
    except ValueError:
        shape = ()
    if not name or not shape or min(shape) < 1:
        raise UsageError(f'--shape "{text}" is no shape', hint="write it as image=1x3x96x192")
    return name, shape


def _numbers(text: str, option: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f'{option} "{text}" is no list of numbers', hint="write it as 123.7,116.3,103.5") from error


def _report(imported: Imported, path: Path) -> list[Line]:
    model = imported.model
    tensors = [f"  {name}: {tensor}" for name, tensor in (*model.inputs.items(), *model.outputs.items())]
    return [
        Line(safe_text(f"ok  {model.name} {model.sha256[:12]}: {path}"), "good"),
        *(Line(safe_text(text)) for text in tensors),
        *_listed(imported.notes),
        *(
            Line(safe_text(f"  largest numbers: {peak.value:.4g} in {peak.tensor} ({peak.operator})"), "faint")
            for peak in imported.peaks[:SHOWN_PEAKS]
        ),
        Line(f"next: write units, minimum and maximum of each output into {path}, then `cardan engine build {path}`"),
    ]


def _listed(texts: list[str]) -> list[Line]:
    return [Line(safe_text(f"  - {text}")) for text in texts]


def _document(imported: Imported, path: Path) -> dict[str, Any]:
    peaks = [peak._asdict() for peak in imported.peaks[:SHOWN_PEAKS]]
    return _answer("ok", model=str(path), sha256=imported.model.sha256, notes=imported.notes, peaks=peaks)


def _answer(verdict: str, **known: Any) -> dict[str, Any]:
    """Every key, whatever came of it."""
    nothing: dict[str, Any] = {"reasons": [], "model": None, "sha256": None, "notes": [], "peaks": []}
    return {"schema_version": 1, "verdict": verdict, **nothing, **known}


def _print_json(document: dict[str, Any]) -> None:
    sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
