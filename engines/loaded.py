"""A network that is loaded and ready, with the engine that fills and reads it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from cardan.engines.backends.backend import Session, StickyError
from cardan.engines.backends.find import Backends
from cardan.engines.build.cache import PlanCache
from cardan.engines.build.messages import BuildOrder
from cardan.engines.cuda.probe import Probed
from cardan.engines.declared import Declared
from cardan.engines.engine import Engine
from cardan.engines.model import ModelFile
from cardan.engines.opening import Opened, ReadWeights, open_model
from cardan.engines.validate import OutputCheck
from cardan.engines.weights import read_weights
from cardan.runtime.clock import Clock
from cardan.runtime.errors import CardanError, ConfigError
from cardan.runtime.messages import EngineResult, Message


@dataclass
class Loaded:
    """One network in memory."""

    file: ModelFile
    backend: str
    session: Session
    engine: Engine[Message, EngineResult]
    rank: int
    """Place in the chain of what may serve: 0 is what the manifest asks for."""
    run_ns: int
    """What its second run took: the first one still sets things up."""
    overlaps: bool
    """The accelerator works by itself between `start` and `finish`."""
    reasons: tuple[str, ...] = ()
    """Why nothing better serves, a line each."""
    orders: tuple[BuildOrder, ...] = ()
    """Plans that would be better and can be built here."""
    check: OutputCheck = field(init=False)

    def __post_init__(self) -> None:
        self.check = OutputCheck(self.session.outputs, self.file.model.outputs)

    @property
    def label(self) -> str:
        """Model and backend, for people."""
        return f"{self.file.model.name} {self.file.short_hash} on {self.backend}"

    def problem_or_none(self) -> str | None:
        """What is wrong with the outputs of the run that has ended, or None."""
        return self.check.violation_or_none() or self.engine.implausible_or_none(self.session.outputs)


@dataclass(frozen=True)
class Source:
    """Where networks come from: the plans of this computer, what its GPU has said, and who may vouch for them."""

    cache: PlanCache
    probed: Probed
    clock: Clock
    read: ReadWeights = read_weights
    backends: Backends = field(default_factory=Backends)


def load(declared: Declared, source: Source, skip: int = 0) -> Loaded:
    """The best network for an engine that can be loaded now, run twice on empty inputs. skip: leave out so many.

    ConfigError lists why nothing can serve. The hashes are checked before any library sees a network.
    """
    reasons: list[str] = []
    while True:
        opened = _open(declared, source, skip, reasons)
        try:
            loaded = _warmed_up(declared, opened, source)
        except StickyError:
            raise
        except CardanError as error:
            opened.session.close()
            reasons.append(f"{opened.file.model.name} on {opened.backend}: {error.message}")
            skip = opened.rank + 1
        else:
            return replace(loaded, reasons=(*reasons, *opened.reasons))


def _open(declared: Declared, source: Source, skip: int, reasons: list[str]) -> Opened:
    try:
        return open_model(
            declared.file,
            source.cache,
            source.probed,
            source.clock,
            source.backends.find,
            skip=skip,
            read=source.read,
        )
    except ConfigError as error:
        what = "".join(f"\n  - {reason}" for reason in reasons)
        raise ConfigError(f"{error.message}{what}", hint=error.hint) from error


def _warmed_up(declared: Declared, opened: Opened, source: Source) -> Loaded:
    engine = declared.engine_class(opened.file.model, declared.config)
    opened.session.run()
    begin_ns = source.clock.now_ns()
    opened.session.run()
    return Loaded(
        file=opened.file,
        backend=opened.backend,
        session=opened.session,
        engine=engine,
        rank=opened.rank,
        run_ns=source.clock.now_ns() - begin_ns,
        overlaps=source.backends.find(opened.backend, source.clock).builds,
        orders=opened.orders,
    )
