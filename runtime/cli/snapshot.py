"""A snapshot: the vitals page of a run copied at one moment, so that everything shown is decided in pure functions."""

from __future__ import annotations

from operator import sub

import msgspec

from cardan.runtime.errors import RunError
from cardan.runtime.histogram import bucket_bounds, bucket_of, percentile, percentiles
from cardan.runtime.plan import NodePlan, Plan
from cardan.runtime.vitals import NodeState, NodeVitals, RunState, SeriesKind, SeriesPlan, SeriesVitals, Vitals, Words
from cardan.runtime.wishes import GroupSettings, ProcessSettings

MICRO = 1e-6


class Spread(msgspec.Struct, frozen=True):
    """A histogram of integers with its true maximum."""

    counts: list[int]
    """By bucket; those above the last one that is here hold nothing."""
    maximum: int

    @property
    def total(self) -> int:
        return sum(self.counts)

    def at(self, fraction: float) -> float:
        """Percentile, never above the maximum that was measured."""
        return min(percentile(self.counts, fraction), float(self.maximum))

    def at_each(self, *fractions: float) -> list[float]:
        """Several percentiles at the price of one."""
        return [min(value, float(self.maximum)) for value in percentiles(self.counts, fractions)]

    def since(self, earlier: Spread) -> Spread:
        """What was recorded after `earlier`; its maximum is that of the highest bucket."""
        if self.counts == earlier.counts:
            return self.unused
        top = min(len(self.counts), bucket_of(self.maximum) + 1)  # nothing lies above the true maximum
        counts = [*map(sub, self.counts[:top], earlier.counts), *self.counts[len(earlier.counts) : top]]
        highest = next((index for index in range(top - 1, -1, -1) if counts[index]), None)
        if highest is None:
            return Spread(counts, 0)
        return Spread(counts, min(self.maximum, bucket_bounds(highest)[1] - 1))

    @property
    def unused(self) -> Spread:
        """The same before anything was recorded."""
        return Spread([0] * len(self.counts), 0)


class SeriesShot(msgspec.Struct, frozen=True):
    """One input topic, output or metric."""

    plan: SeriesPlan
    count: int
    lost: int
    overtaken: int
    dropped: int
    last_ns: int
    sum: int
    bytes: int
    restarts: int
    """Of an input: how often its publisher was replaced."""
    worst_age_ns: int
    """Of an input: how old its newest message was at worst when a step began."""
    late: int
    """Of an input: messages that were older than its `max_age_s` when they arrived."""
    torn: int
    """Of an input: messages that were not whole when they were read."""
    spread: Spread
    """Of ages in nanoseconds, or of a metric's values in millionths of its unit."""


class NodeShot(msgspec.Struct, frozen=True):
    """One node."""

    plan: NodePlan
    state: NodeState
    pid: int
    starts: int
    started_ns: int
    ready_ns: int
    exit_code: int
    crashes: int
    hangs: int
    steps: int
    step_end_ns: int
    overruns: int
    missed: int
    lateness: Spread
    step_time: Spread
    fault: tuple[int, str, str] | None
    """Time, code and text of the first fault that the node reported about itself."""
    condition: tuple[int, str] | None
    """Since when something is not as the node wants it, and its code."""
    settings: ProcessSettings | None
    """What its process has; None before it began to step."""
    group: GroupSettings
    series: list[SeriesShot]

    def of_kind(self, kind: SeriesKind) -> list[SeriesShot]:
        """Its inputs, outputs or metrics."""
        return [series for series in self.series if series.plan.kind == kind]

    @property
    def restarts(self) -> int:
        return max(0, self.starts - 1)


class Snapshot(msgspec.Struct, frozen=True):
    """One run at one moment (`taken_ns`, monotonic)."""

    taken_ns: int
    started_ns: int
    started_wall_ns: int
    supervisor_pid: int
    state: RunState
    heartbeat_ns: int
    cause_ns: int
    cause: str
    cause_code: str
    """See cardan.runtime.faults."""
    mode: str
    """`safe-stop`, or `degraded:` and what is missing; empty in normal operation."""
    mode_text: str
    mode_ns: int
    """Since when."""
    wakeup_latency_us: int
    """How long processors may take to wake up; -1 where nothing holds it."""
    groups_text: str
    """Where the control groups of the nodes are, or why there are none."""
    nodes: list[NodeShot]

    @property
    def ended(self) -> bool:
        return self.state in (RunState.STOPPED, RunState.FAILED)

    def metric(self, name: str) -> list[SeriesShot]:
        """Every node's metric of that name."""
        return [series for node in self.nodes for series in node.of_kind(SeriesKind.METRIC) if series.plan.name == name]

    def outputs(self) -> list[tuple[NodeShot, SeriesShot]]:
        """Every topic with its publisher, in plan order."""
        return [(node, series) for node in self.nodes for series in node.of_kind(SeriesKind.OUTPUT)]

    def readers(self, topic: str) -> list[SeriesShot]:
        """Every input that reads `topic`."""
        return [
            series for node in self.nodes for series in node.of_kind(SeriesKind.INPUT) if series.plan.topic == topic
        ]


def take_snapshot(plan: Plan, vitals: Vitals, now_ns: int) -> Snapshot:
    """Copy the page; RunError when it holds a state that no release has written."""
    words = vitals.words
    try:
        return Snapshot(
            taken_ns=now_ns,
            started_ns=words[Vitals.STARTED_NS],
            started_wall_ns=words[Vitals.STARTED_WALL_NS],
            supervisor_pid=words[Vitals.SUPERVISOR_PID],
            state=vitals.run_state,
            heartbeat_ns=words[Vitals.HEARTBEAT_NS],
            cause_ns=words[Vitals.CAUSE_NS],
            cause=vitals.cause,
            cause_code=vitals.cause_code,
            mode=vitals.mode,
            mode_text=vitals.mode_text,
            mode_ns=words[Vitals.MODE_NS],
            wakeup_latency_us=words[Vitals.WAKEUP_LATENCY_US],
            groups_text=vitals.groups_text,
            nodes=[_node(node, vitals.nodes[node.name]) for node in plan.nodes],
        )
    except ValueError as error:
        raise RunError(f"the vitals of this run are damaged: {error}", hint="start a new one: `cardan up`") from None


def _node(plan: NodePlan, vitals: NodeVitals) -> NodeShot:
    words = vitals.words
    return NodeShot(
        plan=plan,
        state=vitals.state,
        pid=words[NodeVitals.PID],
        starts=words[NodeVitals.STARTS],
        started_ns=words[NodeVitals.STARTED_NS],
        ready_ns=words[NodeVitals.READY_NS],
        exit_code=words[NodeVitals.EXIT_CODE],
        crashes=words[NodeVitals.CRASHES],
        hangs=words[NodeVitals.HANGS],
        steps=words[NodeVitals.STEPS],
        step_end_ns=words[NodeVitals.STEP_END_NS],
        overruns=words[NodeVitals.OVERRUNS],
        missed=words[NodeVitals.MISSED],
        lateness=Spread(vitals.lateness.counts(), words[NodeVitals.WORST_LATENESS_NS]),
        step_time=Spread(vitals.step_time.counts(), words[NodeVitals.WORST_STEP_NS]),
        fault=vitals.fault,
        condition=vitals.condition,
        settings=_settings(words),
        group=_group(words),
        series=[_series(plan, series) for plan, series in zip(vitals.plans, vitals.series, strict=True)],
    )


def _settings(words: Words) -> ProcessSettings | None:
    if not words[NodeVitals.READ_BACK_NS]:
        return None
    return ProcessSettings(
        policy=words[NodeVitals.POLICY],
        priority=words[NodeVitals.PRIORITY],
        nice=words[NodeVitals.NICE],
        cores=words[NodeVitals.CORES],
        stray_cores=words[NodeVitals.STRAY_CORES],
        locked_kib=words[NodeVitals.LOCKED_KIB],
        timer_slack_ns=words[NodeVitals.TIMER_SLACK_NS],
        collects=bool(words[NodeVitals.COLLECTS]),
        threads=words[NodeVitals.THREADS],
        helpers=words[NodeVitals.HELPERS],
        in_group=bool(words[NodeVitals.IN_GROUP]),
    )


def _group(words: Words) -> GroupSettings:
    return GroupSettings(
        exists=bool(words[NodeVitals.HAS_GROUP]),
        memory_max_kib=words[NodeVitals.MEMORY_MAX_KIB],
        cpu_weight=words[NodeVitals.CPU_WEIGHT],
        memory_peak_kib=words[NodeVitals.MEMORY_PEAK_KIB],
        cpu_us=words[NodeVitals.CPU_US],
        memory_kills=words[NodeVitals.MEMORY_KILLS],
    )


def _series(plan: SeriesPlan, vitals: SeriesVitals) -> SeriesShot:
    words = vitals.words
    largest = words[SeriesVitals.MAX]
    return SeriesShot(
        plan=plan,
        count=words[SeriesVitals.COUNT],
        lost=words[SeriesVitals.LOST],
        overtaken=words[SeriesVitals.OVERTAKEN],
        dropped=words[SeriesVitals.DROPPED],
        last_ns=words[SeriesVitals.LAST_NS],
        sum=words[SeriesVitals.SUM],
        bytes=words[SeriesVitals.BYTES],
        restarts=words[SeriesVitals.RESTARTS],
        worst_age_ns=words[SeriesVitals.WORST_AGE_NS],
        late=words[SeriesVitals.LATE],
        torn=words[SeriesVitals.TORN],
        spread=Spread(vitals.histogram.counts(largest), largest),
    )
