"""What a simulated scene looks like: colours, lines, light. One default, and random ones for training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Colour = tuple[float, float, float]
"""Red, green, blue, 0..255."""


@dataclass(frozen=True, kw_only=True)
class Style:
    """The look of the world; nothing in it changes where things are."""

    asphalt: Colour = (92, 93, 97)
    grain: float = 9.0
    """Standard deviation of the asphalt's and half that of the grass's brightness."""
    tracks: float = 7.0
    """How much darker the wheel tracks are."""
    grass: Colour = (96, 128, 62)
    verge: Colour = (139, 129, 100)
    line: Colour = (232, 232, 226)
    line_strength: float = 0.95
    """1 is fresh paint, 0 is no line at all."""
    line_width_m: float = 0.16
    lanes_left: int = 1
    lanes_right: int = 1
    shadow: float = 0.0
    """Strength of tree shadows that lie across the road."""
    light: float = 1.0
    sky_top: Colour = (86, 140, 205)
    sky_low: Colour = (205, 222, 234)
    hills: Colour = (118, 142, 142)
    haze: float = 1.0
    """0 is a clear day, 2 a misty one."""
    trees: bool = True
    seed: int = 1


def random_style(draw: np.random.Generator) -> Style:
    """A style for training, far wider than the default: weather, worn lines, shadows, other lanes."""
    grey = draw.uniform(45, 150)
    asphalt = _near(draw, (grey, grey, grey + 2), 6.0)
    brightness = draw.uniform(max(150.0, grey + 50.0), 250.0)
    yellow = 0.55 if draw.random() < 0.1 else 1.0
    return Style(
        asphalt=asphalt,
        grain=draw.uniform(2.0, 16.0),
        tracks=draw.uniform(0.0, 14.0),
        grass=_near(draw, (draw.uniform(70, 165), draw.uniform(90, 165), draw.uniform(40, 90)), 5.0),
        verge=_near(draw, asphalt if draw.random() < 0.5 else (140, 128, 100), 18.0),
        line=_near(draw, (brightness, brightness, brightness * yellow), 5.0),
        line_strength=draw.uniform(0.5, 1.0),
        line_width_m=draw.uniform(0.11, 0.24),
        lanes_left=int(draw.integers(0, 3)),
        lanes_right=int(draw.integers(0, 3)),
        shadow=draw.uniform(0.15, 0.6) if draw.random() < 0.4 else 0.0,
        light=draw.uniform(0.55, 1.12),
        sky_top=_near(draw, (draw.uniform(60, 190), draw.uniform(110, 200), 210), 12.0),
        sky_low=_near(draw, (205, 215, 225), 22.0),
        hills=_near(draw, (115, 135, 130), 30.0),
        haze=draw.uniform(0.2, 2.0),
        trees=bool(draw.random() < 0.7),
        seed=int(draw.integers(1 << 31)),
    )


def _near(draw: np.random.Generator, colour: Colour, spread: float) -> Colour:
    red, green, blue = np.clip(np.asarray(colour) + draw.normal(0.0, spread, 3), 10.0, 250.0)
    return float(red), float(green), float(blue)
