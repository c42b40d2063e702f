"""The engine host: one process that owns the accelerator and runs every engine on it, by deadline.

    news of frames -> slots (newest wins) -> scheduler picks -> fill, run, check -> publish

One run at a time; where the accelerator works by itself, the inputs of the next are filled meanwhile. A run that hangs,
or an accelerator that is lost, ends the process: a spare one takes over (`standby = true` in the manifest).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec

from cardan.engines.backends.backend import StickyError
from cardan.engines.backends.find import find_backend
from cardan.engines.build.background import BackgroundBuilds
from cardan.engines.build.cache import FOLDER, PlanCache
from cardan.engines.build.messages import Done
from cardan.engines.changes import Changes
from cardan.engines.commands import CommandSocket, socket_path
from cardan.engines.cuda.probe import Probed, probe_gpu
from cardan.engines.declared import Declared, declare, engine_classes
from cardan.engines.heap import use_one_arena
from cardan.engines.loaded import Loaded, Source, load
from cardan.engines.opening import ReadWeights
from cardan.engines.pipeline import Lane, Outcome, Pipeline
from cardan.engines.precision import precision_of
from cardan.engines.schedule import Scheduler
from cardan.engines.served import Meters, Served
from cardan.engines.shared_inputs import SharedInputs
from cardan.engines.signing import TrustedKeys
from cardan.engines.watchdog import Watchdog
from cardan.engines.weights import read_weights
from cardan.runtime.clock import MonotonicClock, ns
from cardan.runtime.errors import CardanError, DeviceError
from cardan.runtime.findings import Objection
from cardan.runtime.graph_engines import input_port
from cardan.runtime.manifest import EngineEntry
from cardan.runtime.node import Input, Metric, Node, NodeConfig, Output
from cardan.runtime.node.node import Ports
from cardan.runtime.plan import ANY_INPUT, NodePlan, Plan

EXIT_ACCELERATOR = 3
"""The accelerator hung or was lost; only a new process can go on."""
MARGIN_NS = 300_000
"""Around a run: reading the frame into the inputs, checking the outputs, publishing."""
BURST_NS = 2_000_000
"""So long runs follow each other in one step, without a look for newer frames, which costs as much as a small run: a
newer frame is seen that much later at most."""
CHANGE_EVERY = 8
"""Requests are answered in steps that have nothing to run, and in every eighth of those that have."""
WITHOUT_GPU = frozenset({"onnxruntime", "sim"})
METRICS = {"run": "s", "released": "count", "done": "count", "late": "count", "dropped": "count", "invalid": "count"}


class EngineHostConfig(NodeConfig, frozen=True):
    """Settings of the engine host."""

    engines: dict[str, EngineEntry] = msgspec.field(default_factory=dict)
    """Filled in from the manifest's `[engines]`."""
    signed_by: str = ""
    """Folder of public keys, from the manifest on: only models that one of them has signed are loaded. Empty: any."""
    hang_ms: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """A run that takes longer ends the process. None: 8 times the engine's 99th percentile, 60 ms at least."""


class EngineHost(Node):
    """Runs the manifest's engines. Its outputs are the engines: `HOST/ENGINE`."""

    config: EngineHostConfig
    rate_hz = 20.0
    """The slowest it is stepped: without news it says what is stale."""
    stepped_by = ANY_INPUT
    hosts_engines = True

    end_process: Callable[[int], None] = staticmethod(os._exit)

    @classmethod
    def ports_for(cls, config: NodeConfig, folders: list[str]) -> Ports:
        ports = cls.ports()
        entries = config.engines if isinstance(config, EngineHostConfig) else {}
        for name, engine_class in engine_classes(entries, folders).items():
            ports.inputs[input_port(name)] = Input(engine_class.takes, max_age_s=engine_class.max_age_s)
            ports.outputs[name] = Output(engine_class.gives)
            ports.metrics.update({f"{name}.{metric}": Metric(unit) for metric, unit in METRICS.items()})
        return ports

    @classmethod
    def review(cls, plan: Plan, node: NodePlan) -> list[Objection]:
        from cardan.engines.load_table import review_load

        return review_load(plan, node)

    @classmethod
    def explain(cls, plan: Plan, node: NodePlan) -> list[str]:
        from cardan.engines.load_table import explain_load

        return explain_load(plan, node)

    @classmethod
    def prepare(cls, config: NodeConfig, folders: list[str], folder: Path) -> None:
        """Import the inference libraries and read the networks, so that `open` finds both at hand."""
        entries = config.engines if isinstance(config, EngineHostConfig) else {}
        for declared in declare(entries, folders, folder):
            read_weights(declared.file)
            find_backend(declared.file.model.backends[0], MonotonicClock()).version()

    def open(self) -> None:
        use_one_arena()
        self._served: dict[str, Served] = {}
        self._lanes: dict[str, Lane] = {}
        self._commands: CommandSocket | None = None
        self._steps = 0
        self._shared = SharedInputs()
        self._scheduler = Scheduler([], margin_ns=MARGIN_NS)
        declared = declare(self.config.engines, [str(self.context.manifest_dir)], self.context.manifest_dir)
        cache = PlanCache(self.context.data_dir / FOLDER, self.clock)
        self._source = Source(cache, probe(declared), self.clock, self._read_weights())
        self._changes = Changes(self._served, self._scheduler, self._source, self.log)
        self._watchdog = Watchdog(self.clock, self._on_hang)
        hang_ns = None if self.config.hang_ms is None else ns(self.config.hang_ms / 1000)
        self._pipeline = Pipeline(self._scheduler, self._lanes, self.clock, self._watchdog, self._lose, hang_ns)
        self._noted: dict[str, Loaded] = {}
        for one in declared:
            self._serve(one)
        if self.config.engines and not self._served:
            raise DeviceError("no engine of this host can be served", hint="see its log for the reason of each")
        orders = [order for served in self._served.values() for order in served.loaded.orders]
        self._builds = BackgroundBuilds(orders, self.clock)
        if self.context.run_dir.is_dir():
            self._commands = CommandSocket(socket_path(self.context.run_dir, self.context.name))
        self._watchdog.start()

    def _read_weights(self) -> ReadWeights:
        folder = self.config.signed_by
        return TrustedKeys(self.context.manifest_dir / folder).read_weights if folder else read_weights

    def _serve(self, declared: Declared) -> None:
        """Load what serves an engine; what cannot be served is a fault, and the others go on without it."""
        name = declared.name
        try:
            loaded = load(declared, self._source)
        except StickyError as error:
            self._lose(error.message)
            return
        except CardanError as error:
            self.report_fault("engine-not-served", " ".join(f"{name}: {error.message}".split()))
            return
        for reason in loaded.reasons:
            self.report_fault("engine-fallback", f"{name}: {loaded.label} stands in, because {reason}")
        meters = Meters(**{metric: self.__dict__[f"{name}.{metric}"] for metric in METRICS})
        served = Served(declared, loaded, self.__dict__[input_port(name)], self.__dict__[name], meters, self._shared)
        self._served[name] = self._lanes[name] = served
        self._scheduler.add(declared.demand(loaded.run_ns))
        self._scheduler.in_flight = max(self._scheduler.in_flight, 2 if loaded.overlaps else 1)
        self._note_network(served)

    def _note_network(self, served: Served) -> None:
        """Say in the event log which network serves an engine from now on."""
        loaded = served.loaded
        self._noted[served.name] = loaded
        model = loaded.file.model
        precision = precision_of(loaded.file.weights)
        self.note(
            "engine-serves",
            f"{served.name}: {loaded.label}, {precision}" + (", stands in" if loaded.rank else ""),
            engine=served.name,
            model=model.name,
            sha256=model.sha256,
            backend=loaded.backend,
            precision=precision,
            stands_in=loaded.rank > 0,
        )

    def step(self) -> None:
        for served in self._served.values():
            self._take_news(served)
        ran = self._run_a_while()
        now_ns = self.clock.now_ns()
        for served in self._served.values():
            account = self._scheduler.account(served.name)
            served.say_if_stale(now_ns, account)
            served.count(account)
            if self._noted.get(served.name) is not served.loaded:
                self._note_network(served)
        self._steps += 1
        if not ran or self._steps % CHANGE_EVERY == 0:
            self._change()
        if self._pipeline.busy or self._scheduler.waits:
            self.step_again()

    def _run_a_while(self) -> bool:
        """One run, and short ones behind it, before anybody looks for news; True when something was run."""
        until_ns, ran = self.clock.now_ns() + BURST_NS, False
        while outcomes := self._pipeline.step():
            ran = True
            for outcome in outcomes:
                self._take(outcome)
            if self.clock.now_ns() >= until_ns or not self._scheduler.waits:
                break
        return ran

    def _change(self) -> None:
        if self._commands is not None:
            self._commands.answer(lambda request: self._changes.decide(request, self.context.manifest_dir))
        self._changes.look()
        self._take_what_was_built()
        for name in [name for name in self._lanes if name not in self._served]:
            del self._lanes[name]
        self._lanes.update(self._changes.shadows)

    def _take_what_was_built(self) -> None:
        """A plan that was missing is there now: change to it, as to any other network."""
        if self._builds.idle:
            return
        ended = self._builds.poll()
        if ended is None:
            return
        order, how = ended
        self.log.info("plan of %s for %s: %s", order.model, order.backend, how)
        for served in self._served.values():
            stands_in = served.loaded.rank > 0 and str(served.declared.file.path) == order.model
            if stands_in and isinstance(how, Done) and not how.problems:
                self._changes.begin(served, served.declared.file)

    def _take_news(self, served: Served) -> None:
        frames, name = served.new_frames(), served.name
        if not frames:
            return
        keep = served.keeps_older and not (self._scheduler.is_waiting(name) or self._scheduler.is_in_flight(name))
        self._scheduler.release(name, served.reader.origin_ns, frames)
        self._changes.release(name, served.reader.origin_ns)
        if keep:
            served.keep()

    def _take(self, outcome: Outcome) -> None:
        served = self._served.get(outcome.job.engine)
        if served is None:
            self._changes.take(self._changes.shadows[outcome.job.engine], outcome)
            return
        served.publish(outcome, self._scheduler.account(served.name))
        if outcome.problem is not None:
            self.log.warning("engine %s, frame %d: %s", served.name, served.frame.frame_id, outcome.problem)
        if served.strikes.out(outcome.problem is not None):
            self._give_up(served, outcome.problem or "")

    def _give_up(self, served: Served, why: str) -> None:
        """A network that says nothing usable makes room: for the one before it, else for the next that stands in."""
        if self._changes.go_back(served, why):
            self.report_fault("engine-rolled-back", f"{served.name}: {self._changes.news[served.name]}")
            return
        try:
            loaded = load(served.declared, self._source, skip=served.loaded.rank + 1)
        except CardanError:
            self.report_fault("engine-invalid", f"{served.name}: {why}, and nothing is left to stand in")
            return
        served.replace(loaded)
        self._scheduler.forget_times(served.name, loaded.run_ns)
        self.report_fault("engine-fallback", f"{served.name}: {loaded.label} stands in, because {why}")

    def _on_hang(self, engine: str, taken_ms: float) -> None:
        """On the watchdog's thread."""
        self.report_fault("accelerator-hung", f"a run of engine {engine} has not ended after {taken_ms:.0f} ms")
        self.end_process(EXIT_ACCELERATOR)

    def _lose(self, why: str) -> None:
        """Nothing is closed: it could hang. The process is the unit that is replaced."""
        self.report_fault("accelerator-lost", why)
        self.end_process(EXIT_ACCELERATOR)

    def close(self) -> None:
        parts = self.__dict__
        if "_watchdog" in parts:
            self._watchdog.close()
        if parts.get("_commands") is not None:
            parts.pop("_commands").close()
        if "_builds" in parts:
            self._builds.close()
        if "_changes" in parts:
            self._changes.close()
        for served in parts.get("_served", {}).values():
            served.close()


def probe(declared: list[Declared]) -> Probed:
    """Ask for a GPU, in a process of its own, if one of these engines could use it."""
    models = [one.file.model for one in declared]
    if any(model.fallback or set(model.backends) - WITHOUT_GPU for model in models):
        return probe_gpu()
    return Probed(reason="no engine asks for one")
