"""Train the road network on rendered scenes, export it to ONNX, and write down how well it does on unseen ones.

    python examples/road_net/train.py            # about 25 minutes on one core
    python examples/road_net/train.py --quick    # about one minute: a first network to try things with

The same seed and the same versions of numpy and torch give the same scenes; weights may differ in the last digits
between kinds of CPU.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import time
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch
from evaluate import evaluate, table
from network import (
    CAMERA,
    GRID_COLUMNS,
    GRID_ROWS,
    LENS_TO_BUMPER_M,
    OUTPUTS,
    Deployed,
    RoadNet,
    grid_place,
    pixels_per_metre,
)
from scenes import CROP, LABEL_X_M, LEAD_REACH_M, Scenes, make_scenes
from torch import Tensor
from torch.nn import functional

from cardan.drivers.sim.world import FRONT_BUMPER_M

MODELS = Path(__file__).resolve().parents[2] / "engines" / "models"
SEED = 7
BATCH = 32


def main(arguments: list[str], out: TextIO) -> None:
    """Make scenes, train, export, evaluate the exported file."""
    options = _options(arguments)
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    epochs, count = (4, 2400) if options.quick else (options.epochs, options.scenes)
    begin = time.monotonic()
    scenes = make_scenes(count, options.seed)
    out.write(f"{count} scenes in {time.monotonic() - begin:.0f} s\n")
    net = RoadNet()
    train(net, scenes, epochs, options.seed, out, options.state)
    options.models.mkdir(parents=True, exist_ok=True)
    model = options.models / "road_net.onnx"
    export(net, model, options.seed)
    report = evaluate(model, make_scenes(options.unseen, options.seed + 1_000_000), LABEL_X_M, pixels_per_metre())
    numbers = {
        "sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
        "about": "our own numbers, on unseen scenes of the same renderer; synthetic scenes only",
        "seed": options.seed,
        "scenes": count,
        "epochs": epochs,
        "parameters": sum(part.numel() for part in net.parameters()),
        **report,
    }
    (options.models / "road_net.json").write_text(json.dumps(numbers, indent=2) + "\n")
    describe(options.models / "road_net.toml", numbers["sha256"])
    out.write(table(report) + f"{model} written after {time.monotonic() - begin:.0f} s\n")


def train(
    net: RoadNet, scenes: Scenes, epochs: int, seed: int, out: TextIO, state: Path | None = None, rate: float = 3e-3
) -> None:
    """Train `net` on `scenes`; it is in evaluation mode then. state: where each epoch is kept, to go on from. rate: of
    learning, where it is highest."""
    net.to(memory_format=torch.channels_last)
    net.train()
    steps = epochs * (len(scenes.lane) // BATCH)
    optimizer = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.15)
    draw = np.random.default_rng(seed)
    parts = {"net": net, "optimizer": optimizer, "schedule": schedule}
    for epoch in range(_restore(state, parts, draw), epochs):
        begin, losses = time.monotonic(), []
        order = draw.permutation(len(scenes.lane))
        for first in range(0, len(order) - BATCH + 1, BATCH):
            batch = _batch(scenes, np.sort(order[first : first + BATCH]), draw)
            outputs, lane_logits, lead_logits = net.with_maps(batch["image"])
            loss = _loss(outputs, batch) + _map_loss(lane_logits, lead_logits, batch)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
        out.write(f"epoch {epoch + 1}/{epochs}: loss {np.mean(losses):.3f}, {time.monotonic() - begin:.0f} s\n")
        out.flush()
        _keep(state, parts, draw, epoch + 1)
    net.eval()


def _keep(state: Path | None, parts: dict[str, Any], draw: np.random.Generator, epochs_done: int) -> None:
    """Everything that the next epoch depends on, in one file."""
    if state is not None:
        kept = {name: part.state_dict() for name, part in parts.items()}
        torch.save(kept | {"epochs_done": epochs_done, "draw": draw.bit_generator.state}, state)


def _restore(state: Path | None, parts: dict[str, Any], draw: np.random.Generator) -> int:
    """Number of epochs that a run which was cut off has done; its state goes into `parts` and `draw`."""
    if state is None or not state.exists():
        return 0
    kept = torch.load(state, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(kept[name])
    draw.bit_generator.state = kept["draw"]
    return int(kept["epochs_done"])


def export(net: RoadNet, path: Path, seed: int) -> None:
    """Write the ONNX file with what an engine needs to know about it."""
    import onnx

    net = net.to(memory_format=torch.contiguous_format)
    rows, columns = CROP.height // CROP.block, CROP.width // CROP.block
    example = torch.zeros((1, rows, columns, 3), dtype=torch.uint8)
    torch.onnx.export(
        Deployed(net).eval(), (example,), str(path), input_names=["image"], output_names=list(OUTPUTS),
        opset_version=17, dynamo=False,
    )  # fmt: skip
    model = onnx.load(str(path))
    metadata = {
        "name": "road_net",
        "trained_on": "synthetic scenes only: cardan's own renderer; not for use on a real road",
        "x_m": json.dumps(LABEL_X_M),
        "crop": json.dumps({name: getattr(CROP, name) for name in CROP.__struct_fields__}),
        "lead_reach_m": str(LEAD_REACH_M),
        "seed": str(seed),
    }
    for key, value in metadata.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    model.producer_name = "cardan"
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def describe(path: Path, sha256: str) -> None:
    """Write the model's file: the shipped one, with the hash of this network."""
    text = (MODELS / "road_net.toml").read_text()
    path.write_text(re.sub('^sha256 = ".*"$', f'sha256 = "{sha256}"', text, flags=re.MULTILINE))


def _as_it_is(scenes: Scenes, rows: np.ndarray) -> dict[str, Tensor]:
    return {name: torch.from_numpy(getattr(scenes, name)[rows]) for name in vars(scenes)}


def _batch(scenes: Scenes, rows: np.ndarray, draw: np.random.Generator) -> dict[str, Tensor]:
    """One batch, half of it mirrored, with other light and noise."""
    batch = _as_it_is(scenes, rows)
    mirror = torch.from_numpy(draw.random(len(rows)) < 0.5)
    left, right = batch["left_y_m"].clone(), batch["right_y_m"].clone()
    batch["left_y_m"][mirror], batch["right_y_m"][mirror] = -right[mirror], -left[mirror]
    batch["lead_y_m"][mirror] *= -1.0
    batch["image"][mirror] = batch["image"][mirror].flip(2)
    return {**batch, "image": _other_light(batch["image"], draw)}


def _other_light(image: Tensor, draw: np.random.Generator) -> Tensor:
    """Contrast, brightness, colour and noise of a batch of pictures."""
    shape = (len(image), 1, 1, 1)
    contrast = draw.uniform(0.7, 1.25, shape) * draw.uniform(0.9, 1.1, (len(image), 1, 1, 3))
    brightness = 128.0 * (1.0 - contrast) + draw.uniform(-30.0, 30.0, shape)
    noise = torch.from_numpy(draw.uniform(0.0, 7.0, shape).astype(np.float32))
    changed = torch.randn(image.shape).mul_(noise).add_(torch.from_numpy(brightness.astype(np.float32)))
    changed.addcmul_(image.to(torch.float32), torch.from_numpy(contrast.astype(np.float32)))
    return changed.round_().clamp_(0.0, 255.0)


def _loss(outputs: tuple[Tensor, ...], batch: dict[str, Tensor]) -> Tensor:
    """Lines in pixels, the lead, and whether there is a lane."""
    left, right, lane, *lead = outputs
    scale = torch.tensor(pixels_per_metre())
    line_px = torch.cat([left - batch["left_y_m"], right - batch["right_y_m"]], dim=1) * torch.cat([scale, scale])
    off = functional.smooth_l1_loss(line_px, torch.zeros_like(line_px), reduction="none").mean(1)
    sees_lane = functional.binary_cross_entropy_with_logits(lane[:, 0], batch["lane"])
    return (off * batch["lane"]).mean() + sees_lane + _lead_loss(tuple(lead), batch)


def _lead_loss(outputs: tuple[Tensor, ...], batch: dict[str, Tensor]) -> Tensor:
    """Gap by ratio, side in pixels, and whether there is one."""
    lead, log_ahead, lead_y = outputs
    ahead_m = batch["lead_gap_m"] + LENS_TO_BUMPER_M
    ratio = log_ahead[:, 0] - torch.log(ahead_m)
    gaps = functional.smooth_l1_loss(ratio, torch.zeros_like(ratio), beta=0.03, reduction="none") * batch["lead"]
    side_px = (lead_y[:, 0] - batch["lead_y_m"]) / ahead_m * CAMERA.focal_px / CROP.block
    sides = functional.smooth_l1_loss(side_px, torch.zeros_like(side_px), reduction="none") * batch["lead"]
    sees_lead = functional.binary_cross_entropy_with_logits(lead[:, 0], batch["lead"], reduction="none")
    return 8.0 * gaps.mean() + 0.2 * sides.mean() + 2.0 * (sees_lead * batch["lead_counts"]).mean()


def _map_loss(lane_logits: Tensor, lead_logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """Attention should look where the line or the lead stands: it learns much sooner when told."""
    stations = torch.tensor(LABEL_X_M)
    columns = torch.stack([_cells(stations, batch[side])[1] for side in ("left_y_m", "right_y_m")], dim=2)
    lanes = functional.cross_entropy(lane_logits.permute(0, 3, 1, 2), columns, reduction="none").mean(dim=(1, 2))
    return 0.3 * (lanes * batch["lane"]).mean() + _lead_map_loss(lead_logits, batch)


def _lead_map_loss(lead_logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
    row, column = _cells(batch["lead_gap_m"] + FRONT_BUMPER_M, batch["lead_y_m"])
    leads = functional.cross_entropy(lead_logits[:, 0], row * GRID_COLUMNS + column, reduction="none")
    return 0.3 * (leads * batch["lead"]).mean()


def _cells(x_m: Tensor, y_m: Tensor) -> tuple[Tensor, Tensor]:
    """Row and column of the attention cell in which each point of the ground is seen, or of the nearest one."""
    row, column = grid_place(x_m, y_m)
    return row.long().clamp(0, GRID_ROWS - 1), column.long().clamp(0, GRID_COLUMNS - 1)


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train the road network on rendered scenes.")
    parser.add_argument("--quick", action="store_true", help="2400 scenes and 4 epochs: a first network")
    parser.add_argument("--scenes", type=int, default=7200)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--unseen", type=int, default=1500, help="scenes to evaluate on")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--state", type=Path, help="file that keeps each epoch: a run that was cut off goes on from it")
    parser.add_argument("--models", type=Path, default=MODELS, help="folder for road_net.onnx and road_net.json")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:], sys.stdout)
