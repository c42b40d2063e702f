"""Ports: what a node declares of its inputs, outputs and measured quantities.

Declarations are class attributes; on a running node the same names are the live ends: Reader, Writer, Meter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar, overload

from cardan.runtime.errors import NodeError
from cardan.runtime.messages import Message
from cardan.runtime.vitals import MICRO, SeriesVitals

if TYPE_CHECKING:
    from cardan.runtime.bus.reader import Reader
    from cardan.runtime.bus.writer import Writer
    from cardan.runtime.node.node import Node

M = TypeVar("M", bound=Message)


class Input(Generic[M]):
    """Declares that a node reads a topic.

    max_age_s: older than this the value is not `fresh`; None = never stale. queue: 0 keeps the newest value only,
    else up to `queue` messages wait for `take()` and the oldest is dropped (and counted) when it is full.
    optional: may stay unwired. many: any number of topics (with AnyMessage, of any type). min_rate_hz: below this the
    input is not `rate_ok`.
    """

    def __init__(
        self,
        message_type: type[M],
        *,
        max_age_s: float | None = None,
        queue: int = 0,
        optional: bool = False,
        many: bool = False,
        min_rate_hz: float | None = None,
    ) -> None:
        self.type = message_type
        self.max_age_s = max_age_s
        self.queue = queue
        self.optional = optional
        self.many = many
        self.min_rate_hz = min_rate_hz
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, node: None, owner: type) -> Input[M]: ...
    @overload
    def __get__(self, node: Node, owner: type) -> Reader[M]: ...
    def __get__(self, node: Node | None, owner: type) -> Input[M] | Reader[M]:
        if node is None:
            return self
        raise _unbound(owner, self.name)


class Output(Generic[M]):
    """Declares that a node publishes a topic `node/output`.

    latched: a reader that starts late, or again, gets the last message at once (settings, maps, calibrations).
    """

    def __init__(self, message_type: type[M], *, latched: bool = False) -> None:
        self.type = message_type
        self.latched = latched
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, node: None, owner: type) -> Output[M]: ...
    @overload
    def __get__(self, node: Node, owner: type) -> Writer[M]: ...
    def __get__(self, node: Node | None, owner: type) -> Output[M] | Writer[M]:
        if node is None:
            return self
        raise _unbound(owner, self.name)


class Metric:
    """Declares a measured quantity that the node keeps in the vitals: count, sum, maximum and a histogram."""

    def __init__(self, unit: str) -> None:
        self.unit = unit
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, node: None, owner: type) -> Metric: ...
    @overload
    def __get__(self, node: Node, owner: type) -> Meter: ...
    def __get__(self, node: Node | None, owner: type) -> Metric | Meter:
        if node is None:
            return self
        raise _unbound(owner, self.name)


def _unbound(owner: type, name: str) -> NodeError:
    return NodeError(
        f"{owner.__name__}.{name} was used before the node was started",
        hint="use ports in open, step and close, not in __init__; test a node with cardan.runtime.testing.Bench",
    )


class Meter:
    """The live end of a Metric."""

    def __init__(self, series: SeriesVitals) -> None:
        self._series = series

    def observe(self, value: float) -> None:
        """Record one value in the metric's unit; its magnitude goes to the histogram."""
        self._series.observe(abs(round(value * MICRO)))
