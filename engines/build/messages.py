"""What a build and the child that does it say to each other: lines of JSON over two pipes."""

from __future__ import annotations

import msgspec

from cardan.engines.accelerator import Accelerator


class BuildOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What the child is to do; the first line on its input. A second line of any content cancels it."""

    model: str
    """Path of the model's TOML file."""
    backend: str
    accelerator: Accelerator
    targets: tuple[str, ...] = ()
    cache: str
    budget_bytes: int
    verify_key: str = ""
    """Judge the stored plan of this key instead of building one."""


class Progress(msgspec.Struct, frozen=True, kw_only=True, tag="progress"):
    """How far a build is."""

    phase: str
    done: int
    steps: int
    """In this phase; phases nest, so there is no share of the whole."""


class Done(msgspec.Struct, frozen=True, kw_only=True, tag="done"):
    """The plan is in the cache."""

    key: str
    plan_bytes: int
    build_s: float
    accuracy: dict[str, float] | None = None
    """None: it cannot run here (built for another GPU), so it is judged on the vehicle."""
    problems: tuple[str, ...] = ()
    """Why it was not accepted."""


class Cancelled(msgspec.Struct, frozen=True, kw_only=True, tag="cancelled"):
    """As it was asked to."""


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """No plan, and why."""

    message: str
    hint: str | None = None


Said = Progress | Done | Cancelled | Failed
"""A line of the child."""
