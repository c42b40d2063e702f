"""Vitals: one page of shared memory per run, readable with no help from the processes it describes.

Layout (all numbers 64-bit little-endian, one writer for each field, so that a reader needs no lock):

    page      header (4096 bytes), then one block per node in plan order
    node      the supervisor's fields, the node's own fields, its settings as the kernel has them, two histograms,
              the log of its newest steps (see cardan.runtime.step_log), then its series
    series    one per input topic, output and metric: counters and a histogram

Counters only grow while a run lasts: a restarted node goes on counting where its predecessor was killed.
"""

from __future__ import annotations

import mmap
import os
from enum import IntEnum
from pathlib import Path

import msgspec

from cardan.runtime.errors import RunError
from cardan.runtime.histogram import BUCKETS, bucket_of
from cardan.runtime.plan import NodePlan, Plan
from cardan.runtime.step_log import STEP_LOG_BYTES, StepLog

MAGIC = 0x3153_4C41_5449_5643  # "CVITALS1"
WORD = 8
HEADER_BYTES = 4096
HISTOGRAM_BYTES = BUCKETS * 4
NODE_BYTES = 1024 + 2 * HISTOGRAM_BYTES + STEP_LOG_BYTES
SERIES_BYTES = 512 + HISTOGRAM_BYTES
LARGEST = 2**63 - 1
"""What a word holds."""
MICRO = 1_000_000
"""A metric's histogram counts millionths of its unit."""


class NodeState(IntEnum):
    """Where the supervisor sees a node."""

    WAITING = 0
    STARTING = 1
    READY = 2
    RUNNING = 3
    HUNG = 4
    STOPPING = 5
    BACKING_OFF = 6
    FINISHED = 7
    FAILED = 8
    LATE = 9
    """Running, but silent for more than half of the time after which it counts as hung."""


class RunState(IntEnum):
    """Where the supervisor sees the whole run."""

    STARTING = 0
    RUNNING = 1
    DEGRADED = 2
    STOPPING = 3
    STOPPED = 4
    FAILED = 5


class SeriesKind(IntEnum):
    """What a series counts."""

    INPUT = 0
    OUTPUT = 1
    METRIC = 2


class SeriesPlan(msgspec.Struct, frozen=True):
    """Name and kind of one series of a node."""

    name: str
    """Port for an input or output, metric name otherwise."""
    topic: str
    kind: SeriesKind
    unit: str


def series_of(node: NodePlan) -> list[SeriesPlan]:
    """The series of a node in the order in which they lie in the page."""
    inputs = [SeriesPlan(i.port, topic, SeriesKind.INPUT, "ns") for i in node.inputs for topic in i.topics]
    outputs = [SeriesPlan(output.port, output.topic, SeriesKind.OUTPUT, "ns") for output in node.outputs]
    metrics = [SeriesPlan(metric.name, "", SeriesKind.METRIC, metric.unit) for metric in node.metrics]
    return inputs + outputs + metrics


class Words:
    """A span of 64-bit words in the page; the fields of every block are indices into one."""

    def __init__(self, page: memoryview, offset: int, size: int) -> None:
        self._bytes = page[offset : offset + size]
        self.cells = self._bytes.cast("q")
        """The same words with nothing in between, for what is done with every message."""

    def __getitem__(self, index: int) -> int:
        return self.cells[index]

    def __setitem__(self, index: int, value: int) -> None:
        self.cells[index] = value

    def text(self, index: int, length: int) -> str:
        """The UTF-8 text of at most `length` bytes that starts at word `index`."""
        raw = bytes(self._bytes[index * WORD : index * WORD + length])
        return raw.split(b"\0", 1)[0].decode("utf-8", "replace")

    def set_text(self, index: int, length: int, text: str) -> None:
        """Store `text`, cut to `length` bytes."""
        raw = text.encode()[: length - 1]
        self._bytes[index * WORD : index * WORD + length] = raw.ljust(length, b"\0")

    def release(self) -> None:
        self.cells.release()
        self._bytes.release()


class Histogram:
    """A histogram in the page (see cardan.runtime.histogram)."""

    def __init__(self, page: memoryview, offset: int) -> None:
        self._bytes = page[offset : offset + HISTOGRAM_BYTES]
        self._counts = self._bytes.cast("I")

    def add(self, value: int) -> None:
        """Count one value."""
        self._counts[bucket_of(value)] += 1

    def counts(self, largest: int | None = None) -> list[int]:
        """A copy of all buckets, or of those up to the largest value that was counted."""
        return (self._counts if largest is None else self._counts[: bucket_of(largest) + 1]).tolist()

    def release(self) -> None:
        self._counts.release()
        self._bytes.release()


class SeriesVitals:
    """Counters and histogram of one input topic, output, or metric; its node is the only writer."""

    COUNT, LOST, OVERTAKEN, DROPPED, LAST_NS, MAX, SUM, BYTES, LAST_SEQ, LAST_EPOCH = range(10)
    RESTARTS, WORST_AGE_NS = 10, 11
    """Of an input: how often its publisher was replaced by a new one; how old its newest message was at worst when a
    step began."""
    LAST_INDEX, LATE, TORN = 12, 13, 14
    """Of an input: number of its newest message in the ring of its topic, plus one; messages that were too old when
    they came; messages whose memory was damaged."""
    NAME, TOPIC, UNIT = 16, 24, 40

    def __init__(self, page: memoryview, offset: int) -> None:
        self.words = Words(page, offset, 512)
        self.histogram = Histogram(page, offset + 512)

    def observe(self, value: int) -> None:
        """Count one value (nanoseconds, or millionths of the metric's unit) in sum, maximum and histogram.

        A negative one counts as 0; the sum begins again at 0 beyond 2**63.
        """
        cells = self.words.cells
        value = value if value > 0 else 0
        cells[self.COUNT] += 1
        cells[self.SUM] = (cells[self.SUM] + value) & LARGEST
        if value > cells[self.MAX]:
            cells[self.MAX] = value
        self.histogram.add(value)

    def release(self) -> None:
        self.words.release()
        self.histogram.release()


class NodeVitals:
    """The block of one node."""

    # the supervisor writes
    STATE, PID, STARTS, STARTED_NS, READY_NS, EXIT_CODE, CRASHES, HANGS = range(8)
    HAS_GROUP, MEMORY_MAX_KIB, CPU_WEIGHT, MEMORY_PEAK_KIB, CPU_US, MEMORY_KILLS, LATES = range(8, 15)
    """LATES: how often it became late. The others: of its control group, where it has one: limits that hold (0: none),
    and what it has taken in this run, restarts included. MEMORY_KILLS: processes that the kernel ended at the memory
    limit."""
    # the node writes
    STEPS, STEP_START_NS, STEP_END_NS, OVERRUNS, MISSED, WORST_STEP_NS, PERIOD_NS, FAULT_NS, WORST_LATENESS_NS = range(
        16, 25
    )
    CONDITION_NS, CONDITION = 25, 26
    """What is not as it should be at this moment: since when, 0 while all is well; and its code."""
    CONDITION_BYTES = 48
    NAME, FAULT_CODE, FAULT_TEXT = 32, 40, 48
    FAULT_TEXT_BYTES = 512
    # the node writes, once for each start, what the kernel says about its process; READ_BACK_NS last
    READ_BACK_NS, POLICY, PRIORITY, CORES, STRAY_CORES, LOCKED_KIB, TIMER_SLACK_NS, COLLECTS, THREADS, HELPERS = range(
        112, 122
    )
    IN_GROUP, NICE = 122, 123
    """POLICY: SCHED_* number. CORES: CPUs it may run on; STRAY_CORES: how many of them the plan does not name.
    COLLECTS: 1 while the garbage collector may run inside a step. HELPERS: threads beside its own and ZeroMQ's.
    IN_GROUP: 1 when it is in its own control group. NICE: -20..19."""

    def __init__(self, page: memoryview, offset: int, series: list[SeriesPlan]) -> None:
        self.words = words = Words(page, offset, 1024)
        self.lateness = Histogram(page, offset + 1024)
        self.step_time = Histogram(page, offset + 1024 + HISTOGRAM_BYTES)
        self.log = StepLog(page, offset + NODE_BYTES - STEP_LOG_BYTES, lambda: words[NodeVitals.STEPS])
        first = offset + NODE_BYTES
        self.series = [SeriesVitals(page, first + i * SERIES_BYTES) for i in range(len(series))]
        self.plans = series

    def find(self, kind: SeriesKind, name: str, topic: str | None = None) -> SeriesVitals | None:
        """The series of a port or metric (of one topic of it), or None."""
        for plan, series in zip(self.plans, self.series, strict=True):
            if plan.kind == kind and plan.name == name and topic in (None, plan.topic):
                return series
        return None

    @property
    def state(self) -> NodeState:
        return NodeState(self.words[self.STATE])

    @property
    def fault(self) -> tuple[int, str, str] | None:
        """Time, code and text of the first fault that the node reported about itself, or None."""
        stamp_ns = self.words[self.FAULT_NS]
        if not stamp_ns:
            return None
        return stamp_ns, self.words.text(self.FAULT_CODE, 64), self.words.text(self.FAULT_TEXT, self.FAULT_TEXT_BYTES)

    @property
    def condition(self) -> tuple[int, str] | None:
        """Since when something is not as the node wants it, and its code; None while all is well."""
        since_ns = self.words[self.CONDITION_NS]
        return (since_ns, self.words.text(self.CONDITION, self.CONDITION_BYTES)) if since_ns else None

    def set_condition(self, now_ns: int, code: str) -> None:
        """Keep what is not as it should be from now on; empty: all is well."""
        self.words[self.CONDITION_NS] = 0
        if code:
            self.words.set_text(self.CONDITION, self.CONDITION_BYTES, code)
            self.words[self.CONDITION_NS] = now_ns

    def report_fault(self, now_ns: int, code: str, text: str) -> None:
        """Keep the first fault; later ones are consequences and go to the log only."""
        if self.words[self.FAULT_NS]:
            return
        self.words.set_text(self.FAULT_CODE, 64, code)
        self.words.set_text(self.FAULT_TEXT, self.FAULT_TEXT_BYTES, text)
        self.words[self.FAULT_NS] = now_ns

    def release(self) -> None:
        self.words.release()
        self.lateness.release()
        self.step_time.release()
        self.log.release()
        for series in self.series:
            series.release()


class Vitals:
    """The whole page of one run. Open it with `create_vitals` or `open_vitals`; `close()` unmaps it."""

    MAGIC_AT, NODES, STARTED_NS, STARTED_WALL_NS, SUPERVISOR_PID, RUN_STATE, HEARTBEAT_NS, CAUSE_NS = range(8)
    MODE_NS, STOP_NS, WAKEUP_LATENCY_US = 8, 9, 10
    """Since when this mode holds; since when the supervisor asks for a safe stop, 0 while it does not.
    How long processors may take to wake up, as the kernel says; -1 where nothing holds it."""
    CAUSE, CAUSE_CODE, MODE, MODE_TEXT, GROUPS_TEXT = 64, 128, 136, 152, 216
    CAUSE_BYTES, MODE_BYTES, MODE_TEXT_BYTES, GROUPS_BYTES = 512, 128, 512, 256

    def __init__(self, mapping: mmap.mmap, plan: Plan) -> None:
        self._mapping = mapping
        self._page = memoryview(mapping)
        self.words = Words(self._page, 0, HEADER_BYTES)
        self.nodes: dict[str, NodeVitals] = {}
        offset = HEADER_BYTES
        for node in plan.nodes:
            series = series_of(node)
            self.nodes[node.name] = NodeVitals(self._page, offset, series)
            offset += NODE_BYTES + len(series) * SERIES_BYTES

    @property
    def run_state(self) -> RunState:
        return RunState(self.words[self.RUN_STATE])

    @property
    def cause(self) -> str:
        """The supervisor's first cause of a run that is not healthy; empty while there is none."""
        return self.words.text(self.CAUSE, self.CAUSE_BYTES)

    @property
    def cause_code(self) -> str:
        """Code of that cause (see cardan.runtime.faults); empty while there is none."""
        return self.words.text(self.CAUSE_CODE, 64)

    def report_cause(self, now_ns: int, text: str, code: str = "") -> None:
        """Keep the first cause the supervisor saw."""
        if not self.words[self.CAUSE_NS]:
            self.words.set_text(self.CAUSE, self.CAUSE_BYTES, text)
            self.words.set_text(self.CAUSE_CODE, 64, code)
            self.words[self.CAUSE_NS] = now_ns

    @property
    def mode(self) -> str:
        """`safe-stop`, or `degraded:` and the names of what is missing; empty in normal operation."""
        return self.words.text(self.MODE, self.MODE_BYTES)

    @property
    def mode_text(self) -> str:
        """Why, for a person."""
        return self.words.text(self.MODE_TEXT, self.MODE_TEXT_BYTES)

    def set_mode(self, since_ns: int, mode: str, text: str) -> None:
        """The supervisor's view of what the vehicle can still do."""
        self.words.set_text(self.MODE, self.MODE_BYTES, mode)
        self.words.set_text(self.MODE_TEXT, self.MODE_TEXT_BYTES, text)
        self.words[self.MODE_NS] = since_ns

    @property
    def groups_text(self) -> str:
        """Where the control groups of the nodes are and what they can limit, or why there are none."""
        return self.words.text(self.GROUPS_TEXT, self.GROUPS_BYTES)

    def set_groups_text(self, text: str) -> None:
        self.words.set_text(self.GROUPS_TEXT, self.GROUPS_BYTES, text)

    def ask_for_stop(self, now_ns: int, wanted: bool) -> None:
        """Ask the bridge for a safe stop, or no longer. The bridge reads one word and needs nothing else of us."""
        if wanted != bool(self.words[self.STOP_NS]):
            self.words[self.STOP_NS] = now_ns if wanted else 0

    @property
    def stop_wanted(self) -> str:
        """Why the supervisor asks for a safe stop; empty while it does not."""
        return (self.mode_text or "not said") if self.words[self.STOP_NS] else ""

    def close(self) -> None:
        self.words.release()
        for node in self.nodes.values():
            node.release()
        self._page.release()
        self._mapping.close()


def page_bytes(plan: Plan) -> int:
    """Size of the page of `plan`."""
    return HEADER_BYTES + sum(NODE_BYTES + len(series_of(node)) * SERIES_BYTES for node in plan.nodes)


def create_vitals(path: Path, plan: Plan, *, now_ns: int, wall_ns: int) -> Vitals:
    """Make the page of a new run at `path`; the supervisor does this once."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(descriptor, page_bytes(plan))
        vitals = Vitals(mmap.mmap(descriptor, page_bytes(plan)), plan)
    finally:
        os.close(descriptor)
    words = vitals.words
    words[Vitals.NODES], words[Vitals.STARTED_NS], words[Vitals.STARTED_WALL_NS] = len(plan.nodes), now_ns, wall_ns
    words[Vitals.SUPERVISOR_PID] = os.getpid()
    for name, node in vitals.nodes.items():
        _write_names(name, node)
    words[Vitals.MAGIC_AT] = MAGIC
    return vitals


def _write_names(name: str, node: NodeVitals) -> None:
    node.words.set_text(NodeVitals.NAME, 64, name)
    for plan, series in zip(node.plans, node.series, strict=True):
        series.words.set_text(SeriesVitals.NAME, 64, plan.name)
        series.words.set_text(SeriesVitals.TOPIC, 128, plan.topic)
        series.words.set_text(SeriesVitals.UNIT, 64, plan.unit)


def open_vitals(path: Path, plan: Plan, *, writable: bool = False) -> Vitals:
    """Map the page of a run; RunError when it is absent or was not made from `plan`."""
    access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
    try:
        with path.open("r+b" if writable else "rb") as file:
            mapping = mmap.mmap(file.fileno(), 0, access=access)
    except (OSError, ValueError) as error:
        raise RunError(f"cannot read the vitals {path}: {error}", hint="is a run active? `cardan status`") from error
    magic = int.from_bytes(mapping[:WORD], "little")
    if len(mapping) != page_bytes(plan) or magic != MAGIC:
        mapping.close()
        raise RunError(f"{path} is not the vitals page of this plan", hint="was it written by another release?")
    return Vitals(mapping, plan)
