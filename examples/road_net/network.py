"""The network: a small depthwise encoder and decoder with attention heads, about 180 000 parameters.

Each lane station has its own attention map over the picture; the answer is the mean place under that map plus a
learned shift. So a line is measured where it is seen, and a gap between dashes is bridged by what lies around it.
"""

from __future__ import annotations

import torch
from scenes import CROP, LABEL_X_M
from torch import Tensor, nn

from cardan.drivers.sim.camera_model import CameraModel
from cardan.drivers.sim.world import FRONT_BUMPER_M

ROWS, COLUMNS = CROP.height // CROP.block, CROP.width // CROP.block
GRID_ROWS, GRID_COLUMNS = ROWS // 4, COLUMNS // 4
CAMERA = CameraModel()
LENS_TO_BUMPER_M = FRONT_BUMPER_M - CAMERA.x_m
HORIZON = (CAMERA.horizon_row - CROP.top) / CROP.height * 2.0 - 1.0
"""Row of the horizon, where -1 is the top of the network's picture and 1 its bottom."""
HALF_VIEW = CROP.width / 2.0 / CAMERA.focal_px
"""Half the width of the view at one metre from the lens."""
OUTPUTS = ("left_y", "right_y", "lane_probability", "lead_probability", "lead_gap", "lead_y")


def pixels_per_metre() -> list[float]:
    """Network pixels for a metre across, at each station."""
    return [CAMERA.scale_at(x_m) / CROP.block for x_m in LABEL_X_M]


def _point(inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> nn.Sequential:
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def _depthwise(channels: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, 3, stride, dilation, dilation, groups=channels, bias=False)


class Block(nn.Module):
    """Depthwise then pointwise convolution, with a shortcut where the shape stays."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(_depthwise(inputs, stride, dilation), _point(inputs, outputs))
        self.keeps = inputs == outputs and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        return x + y if self.keeps else y


class RoadNet(nn.Module):
    """uint8 (1, 96, 192, 3) RGB -> what `OUTPUTS` names: metres in the vehicle frame, logits while training."""

    def __init__(self) -> None:
        super().__init__()
        stations = len(LABEL_X_M)
        self.stem = nn.Sequential(_point(3, 16, 3, 2), Block(16, 32, 2), Block(32, 32))
        self.middle = nn.Sequential(Block(32, 64, 2), Block(64, 64), Block(64, 64, dilation=2))
        self.deep = nn.Sequential(
            Block(64, 128, 2), Block(128, 128), Block(128, 128, dilation=2), Block(128, 128), Block(128, 128)
        )
        self.deep_to_middle, self.middle_to_fine = _point(128, 64), _point(64, 48)
        self.skip, self.fuse = _point(32, 48), nn.Sequential(Block(64, 64), Block(64, 64))
        self.fine = nn.Sequential(Block(48, 48), Block(48, 48, dilation=2), Block(48, 64))
        self.lines = 2 * stations
        self.maps = nn.Conv2d(64, self.lines + 2, 1)
        self.lane_shift, self.lead_features = nn.Linear(64, self.lines), nn.Linear(64, 48)
        self.lead = nn.Sequential(nn.Linear(2 * 50 + 1 + 128, 64), nn.ReLU(), nn.Linear(64, 3))
        self.lane = nn.Linear(128, 1)
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        across = (torch.arange(GRID_COLUMNS) + 0.5) / GRID_COLUMNS * 2.0 - 1.0
        down = (torch.arange(GRID_ROWS) + 0.5) / GRID_ROWS * 2.0 - 1.0
        rows, columns = torch.meshgrid(down, across, indexing="ij")
        self.register_buffer("places", torch.stack([columns.flatten(), rows.flatten()], dim=1).contiguous())
        scale = torch.tensor(pixels_per_metre() * 2)
        self.register_buffer("half_width_m", (COLUMNS / 2.0) / scale[None, :])

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return self.with_maps(image)[0]

    def with_maps(self, image: Tensor) -> tuple[tuple[Tensor, ...], Tensor, Tensor]:
        """Outputs, then the logits of the attention maps (batch, map, cell) of the lines and of the lead."""
        x = image.to(torch.float32).permute(0, 3, 1, 2) * (1.0 / 64.0) - 2.0
        low = self.stem(x)
        middle = self.middle(low)
        deep = self.deep(middle)
        whole = deep.mean(dim=(2, 3))
        middle = self.fuse(middle + self.up(self.deep_to_middle(deep)))
        fine = self.fine(self.skip(low) + self.up(self.middle_to_fine(middle)))
        logits = self.maps(fine).flatten(2)
        attention = torch.softmax(logits, dim=2)
        # What is linear in the features needs only their mean under each map: 22 times 64 numbers, not 1152 times.
        seen, places = attention @ fine.flatten(2).transpose(1, 2), attention @ self.places
        lines, stations = self.lines, len(LABEL_X_M)
        shift = (seen[:, :lines] * self.lane_shift.weight).sum(dim=2) + self.lane_shift.bias
        y_m = -(places[:, :lines, 0] + shift) * self.half_width_m
        lead = self._lead_outputs(seen[:, lines:], places[:, lines:], whole)
        return (y_m[:, :stations], y_m[:, stations:], self.lane(whole), *lead), logits[:, :lines], logits[:, lines:]

    def _lead_outputs(self, seen: Tensor, places: Tensor, whole: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(logit, log of the distance from the lens, y): the place in the picture gives a distance and a side on flat
        ground; the rest of the network corrects both."""
        features, column, row = self.lead_features(seen), places[:, :, 0], places[:, :, 1]
        flat = -torch.log((row[:, :1] - HORIZON).clamp_min(0.02))
        lead = self.lead(torch.cat([features.flatten(1), row, column, flat, whole], dim=1))
        log_ahead = flat + lead[:, 1:2]
        side_m = -(column[:, :1] + 0.1 * lead[:, 2:3]) * torch.exp(log_ahead.detach().clamp(0.0, 5.0)) * HALF_VIEW
        return lead[:, :1], log_ahead, side_m


class Deployed(nn.Module):
    """The network as it is exported: probabilities and metres."""

    def __init__(self, net: RoadNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        left, right, lane, lead, log_ahead, lead_y = self.net(image)
        gap_m = (torch.exp(log_ahead) - LENS_TO_BUMPER_M).clamp_min(0.0)
        return left, right, torch.sigmoid(lane), torch.sigmoid(lead), gap_m, lead_y
