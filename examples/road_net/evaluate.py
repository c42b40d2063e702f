"""How well an exported network does on scenes it has not seen."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from scenes import Scenes

Report = dict[str, Any]


def evaluate(model: Path, scenes: Scenes, x_m: tuple[float, ...], pixels_per_metre: list[float]) -> Report:
    """Errors of the lane lines and of the lead, through onnxruntime on one thread."""
    outputs, latency_ms = _run(model, scenes)
    left, right, lane_p, lead_p, gap, lead_y = outputs
    on_road, has_lead = scenes.lane > 0.5, scenes.lead > 0.5
    error_m = np.abs(np.concatenate([left - scenes.left_y_m, right - scenes.right_y_m]))[np.tile(on_road, 2)]
    error_px = error_m * np.asarray(pixels_per_metre)
    counts, said = scenes.lead_counts > 0.5, lead_p[:, 0] > 0.5
    hits = float(np.sum(said & has_lead))
    seen = said & has_lead
    near, far = seen & (scenes.lead_gap_m < 50.0), seen & (scenes.lead_gap_m >= 50.0)
    ratio = np.abs(gap[:, 0] / np.maximum(scenes.lead_gap_m, 0.1) - 1.0)
    side = np.abs(lead_y[:, 0] - scenes.lead_y_m)
    return {
        "unseen_scenes": len(scenes.lane),
        "bytes": model.stat().st_size,
        "latency_ms_p50": round(latency_ms, 3),
        "lane_error_px_of_192": _spread(error_px),
        "lane_error_m": {f"{x:g} m": _spread(error_m[:, i]) for i, x in enumerate(x_m) if x in (10.0, 20.0, 40.0)},
        "lane_seen_correctly": round(float(np.mean((lane_p[:, 0] > 0.5) == on_road)), 4),
        "lead_precision": round(hits / max(1.0, float(np.sum(said & counts))), 4),
        "lead_recall": round(hits / max(1.0, float(np.sum(has_lead & counts))), 4),
        "lead_gap_error_ratio_under_50_m": _spread(ratio[near]),
        "lead_gap_error_ratio_from_50_m": _spread(ratio[far]),
        "lead_y_error_m": _spread(side[near]),
    }


def table(report: Report) -> str:
    """The report as lines for a person."""
    rows = [f"{name:34} {value}\n" for name, value in report.items() if not isinstance(value, dict)]
    for name, value in report.items():
        if isinstance(value, dict) and "p50" in value:
            rows.append(f"{name:34} p50 {value['p50']:.3f}  p95 {value['p95']:.3f}\n")
        elif isinstance(value, dict):
            rows += [f"{name} at {at:22} p50 {part['p50']:.3f}  p95 {part['p95']:.3f}\n" for at, part in value.items()]
    return "".join(rows)


def _run(model: Path, scenes: Scenes) -> tuple[list[np.ndarray], float]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    results, times = [], []
    for image in scenes.image:
        begin = time.perf_counter()
        results.append(session.run(None, {"image": image[np.newaxis]}))
        times.append(time.perf_counter() - begin)
    outputs = [np.concatenate(parts) for parts in zip(*results, strict=True)]
    return outputs, float(np.median(times)) * 1e3


def _spread(values: np.ndarray) -> dict[str, float]:
    if not len(values):
        return {"p50": 0.0, "p95": 0.0}
    return {"p50": round(float(np.median(values)), 4), "p95": round(float(np.percentile(values, 95)), 4)}
