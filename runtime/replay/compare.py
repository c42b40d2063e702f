"""What was recorded beside what came out now, field by field."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np

from cardan.runtime.bus.envelope import Sample


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """The first message of a topic that is not the same."""

    number: int
    """Counted from 0 over the messages of the topic in the recording."""
    field: str
    """Path of the field, such as `lanes[2].y_m`; `valid` and `origin_ns` are those of the envelope."""
    recorded: Any
    replayed: Any


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """One output of a replayed node."""

    topic: str
    recorded: int
    replayed: int
    equal: int
    """Messages that are the same in every field, compared in order."""
    first: Difference | None
    largest: Difference | None
    """Where two numbers differ most, of fields that are numbers in both."""

    @property
    def is_same(self) -> bool:
        """True when there are as many messages and all are equal."""
        return self.recorded == self.replayed == self.equal


def compare(topic: str, recorded: Sequence[Sample[Any]], replayed: Sequence[Sample[Any]]) -> Comparison:
    """Compare two rows of messages in order; envelopes by validity and origin, values by every field."""
    pairs = list(zip(recorded, replayed, strict=False))
    found = [list(_differences(number, _plain(a), _plain(b), "")) for number, (a, b) in enumerate(pairs)]
    everything = [difference for differences in found for difference in differences]
    numbers = [difference for difference in everything if _distance(difference) is not None]
    return Comparison(
        topic=topic,
        recorded=len(recorded),
        replayed=len(replayed),
        equal=sum(not differences for differences in found),
        first=next(iter(everything), None),
        largest=max(numbers, key=lambda difference: _distance(difference) or 0.0, default=None),
    )


def _plain(sample: Sample[Any]) -> dict[str, Any]:
    fields = msgspec.to_builtins(sample.value, enc_hook=_array)
    return {"valid": sample.valid, "origin_ns": sample.origin_ns, **fields}


def _array(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return {"dtype": str(value.dtype), "shape": list(value.shape), "data": value.tobytes()}
    raise TypeError(f"a {type(value).__name__} cannot be compared")


def _differences(number: int, before: Any, now: Any, path: str) -> Iterator[Difference]:
    """Every place where two plain values differ; NaN equals NaN, 0.0 does not equal -0.0."""
    if isinstance(before, dict) and isinstance(now, dict) and before.keys() == now.keys():
        for key in before:
            yield from _differences(number, before[key], now[key], f"{path}.{key}" if path else str(key))
    elif isinstance(before, (list, tuple)) and isinstance(now, (list, tuple)) and len(before) == len(now):
        for place, (a, b) in enumerate(zip(before, now, strict=True)):
            yield from _differences(number, a, b, f"{path}[{place}]")
    elif not _is_equal(before, now):
        yield Difference(number=number, field=path, recorded=before, replayed=now)


def _distance(difference: Difference) -> float | None:
    """How far apart two numbers are; None where one is no finite number, and for stamps."""
    a, b = difference.recorded, difference.replayed
    numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in (a, b))
    if not numbers or difference.field.endswith("_ns") or not (math.isfinite(a) and math.isfinite(b)):
        return None
    return abs(float(b) - float(a))


def _is_equal(before: Any, now: Any) -> bool:
    if isinstance(before, float) and isinstance(now, float):
        same_sign = math.copysign(1.0, before) == math.copysign(1.0, now)
        return (before == now and same_sign) or (math.isnan(before) and math.isnan(now))
    return type(before) is type(now) and bool(before == now)
