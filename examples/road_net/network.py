"""The network: a small depthwise encoder and decoder with attention heads, about 45 000 parameters.

The camera is fixed and the ground flat, so each lane station is seen in one row of the picture. It has its own
attention along that row; the answer is the mean place under it plus a learned shift. So a line is measured where it is
seen, and a gap between dashes is bridged by what lies around it.
"""

from __future__ import annotations

import math

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
FINE = 16
"""Channels where the network looks closely: there each of them costs as much as ten further down."""
INPUT_SCALE = 1.0 / 64.0
SUREST = 7.0
"""Largest logit."""
OUTPUTS = ("left_y", "right_y", "lane_probability", "lead_probability", "lead_gap", "lead_y")


def pixels_per_metre() -> list[float]:
    """Network pixels for a metre across, at each station."""
    return [CAMERA.scale_at(x_m) / CROP.block for x_m in LABEL_X_M]


def grid_place(x_m: Tensor, y_m: Tensor) -> tuple[Tensor, Tensor]:
    """Row and column of the attention grid, as fractions, in which points of flat ground are seen; vehicle frame."""
    ahead, down = x_m - CAMERA.x_m, CAMERA.height_m
    depth = ahead * math.cos(CAMERA.pitch_rad) + down * math.sin(CAMERA.pitch_rad)
    row_px = (down * math.cos(CAMERA.pitch_rad) - ahead * math.sin(CAMERA.pitch_rad)) / depth * CAMERA.focal_px
    row = (row_px + CAMERA.height / 2.0 - CROP.top) / CROP.height * GRID_ROWS
    column = (CAMERA.width / 2.0 - CAMERA.focal_px * y_m / depth - CROP.left) / CROP.width * GRID_COLUMNS
    return row, column


def station_rows() -> list[int]:
    """Row of the attention grid of each station."""
    row, _ = grid_place(torch.tensor(LABEL_X_M), torch.zeros(len(LABEL_X_M)))
    rows: list[int] = row.long().clamp(0, GRID_ROWS - 1).tolist()
    return rows


def _point(inputs: int, outputs: int, size: int = 1) -> nn.Sequential:
    """Each cell of size x size by itself."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, size, size, bias=False), nn.BatchNorm2d(outputs))


class Block(nn.Module):
    """Depthwise then pointwise convolution, with a shortcut where the shape stays.

    The shortcut is added before the ReLU: an inference library does all of that in the second convolution.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.across = nn.Conv2d(inputs, inputs, 3, stride, dilation, dilation, groups=inputs, bias=False)
        self.point = _point(inputs, outputs)
        self.keeps = inputs == outputs and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.point(self.across(x))
        return torch.relu(x + y if self.keeps else y)


class RoadNet(nn.Module):
    """uint8 (1, 96, 192, 3) RGB -> what `OUTPUTS` names: metres in the vehicle frame, logits while training."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.low = _point(3, FINE, 4), Block(FINE, FINE)
        self.middle = nn.Sequential(Block(FINE, 48, 2), Block(48, 48), Block(48, 48, dilation=2))
        self.deep = nn.Sequential(Block(48, 96, 2), Block(96, 96), Block(96, 96, dilation=2))
        self.deep_to_middle, self.middle_to_fine = _point(96, 48), _point(48, FINE)
        self.fuse, self.fine = Block(48, 48), nn.Sequential(Block(FINE, FINE), Block(FINE, FINE))
        self.lines = nn.Parameter(torch.randn(len(LABEL_X_M), 4, FINE) * 0.1)
        self.lead_map, self.lead_look = nn.Conv2d(FINE, 2, 1), nn.Conv2d(48, 4, 1)
        self.lead = nn.Sequential(nn.Linear(2 * (FINE + 2) + 1 + 96 + 4 * 48, 64), nn.ReLU(), nn.Linear(64, 3))
        self.lane = nn.Linear(96, 1)
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        across = (torch.arange(GRID_COLUMNS) + 0.5) / GRID_COLUMNS * 2.0 - 1.0
        down = (torch.arange(GRID_ROWS) + 0.5) / GRID_ROWS * 2.0 - 1.0
        rows, columns = torch.meshgrid(down, across, indexing="ij")
        self.register_buffer("station_rows", torch.tensor(station_rows()))
        self.register_buffer("across", across)
        self.register_buffer("places", torch.stack([rows.flatten(), columns.flatten()], dim=1).contiguous())
        self.register_buffer("metres", -(COLUMNS / 2.0) / torch.tensor(pixels_per_metre())[:, None])

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return self.with_maps(image)[0]

    def with_maps(self, image: Tensor) -> tuple[tuple[Tensor, ...], Tensor, Tensor]:
        """Outputs, then the logits of the attention maps: of the lines (batch, station, side, column), of the lead
        (batch, map, cell)."""
        fine, middle, whole = self.look(image)
        maps, shifts = self._at_stations(fine)
        y_m = (torch.softmax(maps, dim=3) * (self.across + shifts)).sum(dim=3) * self.metres
        lead, lead_logits = self.lead_in(fine, middle, whole)
        return (y_m[:, :, 0], y_m[:, :, 1], self.lane(whole), *lead), maps, lead_logits

    def look(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the body sees: features of small cells, of larger ones, and of the whole picture."""
        x = image.to(torch.float32).permute(0, 3, 1, 2) * INPUT_SCALE
        low = self.low(torch.relu(self.patches(x)))
        middle = self.middle(low)
        deep = self.deep(middle)
        middle = self.fuse(torch.relu(middle + self.up(self.deep_to_middle(deep))))
        fine = self.fine(torch.relu(low + self.up(self.middle_to_fine(middle))))
        return fine, middle, deep.mean(dim=(2, 3))

    def _at_stations(self, fine: Tensor) -> tuple[Tensor, Tensor]:
        """For each station, along the row of the picture in which flat ground at that distance is seen: where the left
        and the right line are, and how far from the middle of the cell."""
        found = self.lines @ fine[:, :, self.station_rows, :].transpose(1, 2)
        return found[:, :, :2], found[:, :, 2:]

    def lead_in(self, fine: Tensor, middle: Tensor, whole: Tensor) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
        """(logit, log of the distance from the lens, y), and the logits of its map: the place in the picture gives a
        distance and a side on flat ground; the rest of the network corrects both."""
        logits = self.lead_map(fine).flatten(2)
        attention = torch.softmax(logits, dim=2)
        places = (attention @ self.places).flatten(1)
        flat = -torch.log((places[:, :1] - HORIZON).clamp_min(0.02))
        close = (attention @ fine.flatten(2).transpose(1, 2)).flatten(1)
        around = torch.softmax(self.lead_look(middle).flatten(2), dim=2) @ middle.flatten(2).transpose(1, 2)
        lead = self.lead(torch.cat([close, places, flat, whole, around.flatten(1)], dim=1))
        log_ahead = (flat + lead[:, 1:2]).clamp(0.0, 5.0)
        side_m = (places[:, 1:2] + 0.1 * lead[:, 2:3]) * torch.exp(log_ahead.detach()) * -HALF_VIEW
        return (lead[:, :1], log_ahead, side_m), logits


class Deployed(nn.Module):
    """The network as it is exported: probabilities and metres."""

    def __init__(self, net: RoadNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        left, right, lane, lead, log_ahead, lead_y = self.net(image)
        gap_m = (torch.exp(log_ahead) - LENS_TO_BUMPER_M).clamp_min(0.0)
        return left, right, _probability(lane), _probability(lead), gap_m, lead_y


def _probability(logit: Tensor) -> Tensor:
    """Never surer than one in a thousand: nearer to 0 the libraries' sigmoids differ in the second digit."""
    return torch.sigmoid(logit.clamp(-SUREST, SUREST))
