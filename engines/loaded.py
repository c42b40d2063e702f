"""A network that is loaded and ready, with the engine that fills and reads it; and what stands in when it cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cardan.engines.backends.backend import BackendError, Session, StickyError
from cardan.engines.backends.find import find_backend
from cardan.engines.declared import Declared
from cardan.engines.engine import Engine
from cardan.engines.model import BackendName, ModelFile, read_model
from cardan.engines.validate import violation_or_none
from cardan.engines.weights import read_weights
from cardan.runtime.clock import Clock
from cardan.runtime.errors import CardanError, DeviceError
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
    overlaps: bool = False
    """The accelerator works by itself between `start` and `finish`."""

    @property
    def label(self) -> str:
        """Model and backend, for people."""
        return f"{self.file.model.name} {self.file.short_hash} on {self.backend}"

    def problem_or_none(self) -> str | None:
        """What is wrong with the outputs of the run that has ended, or None."""
        outputs = self.session.outputs
        return violation_or_none(outputs, self.file.model.outputs) or self.engine.implausible_or_none(outputs)


Candidate = tuple[ModelFile, BackendName]


def candidates(file: ModelFile) -> list[Candidate]:
    """What may serve, the best first: the model on each of its backends, then each of its fallbacks likewise.

    A fallback lies beside the model, or is shipped.
    """
    files = [file, *(_fallback(name, file.path.parent) for name in file.model.fallback)]
    return [(one, backend) for one in files for backend in one.model.backends]


def _fallback(name: str, folder: Path) -> ModelFile:
    beside = f"{name}.toml"
    return read_model(beside if (folder / beside).is_file() else name, folder=folder)


def load(declared: Declared, candidate: Candidate, rank: int, clock: Clock) -> Loaded:
    """Load one network and run it twice on empty inputs. ConfigError, DeviceError say why it cannot serve.

    The hash of the weights is checked before any library sees them.
    """
    file, name = candidate
    engine = declared.engine_class(file.model, declared.config)
    backend = find_backend(name, clock)
    session = backend.load(file.model, _content(file, backend.builds))
    try:
        session.run()
        begin_ns = clock.now_ns()
        session.run()
    except StickyError:
        raise
    except BackendError:
        session.close()
        raise
    return Loaded(file, name, session, engine, rank, clock.now_ns() - begin_ns, overlaps=backend.builds)


def _content(file: ModelFile, builds: bool) -> bytes:
    if builds:
        raise BackendError(f'model "{file.model.name}": no plan has been built', hint="cardan engine build")
    return read_weights(file)


def load_first(declared: Declared, clock: Clock, skip: int = 0) -> tuple[Loaded, list[str]]:
    """The best candidate that can be loaded, of those after the first `skip`; and why the ones before it cannot.

    DeviceError lists all reasons when none can.
    """
    reasons: list[str] = []
    for rank, candidate in _ranked(declared, skip):
        try:
            return load(declared, candidate, rank, clock), reasons
        except StickyError:
            raise
        except CardanError as error:
            reasons.append(f"{candidate[0].model.name} on {candidate[1]}: {error.message}")
    raise DeviceError(f'nothing can serve engine "{declared.name}": {"; ".join(reasons) or "nothing is left"}')


def _ranked(declared: Declared, skip: int) -> Iterator[tuple[int, Candidate]]:
    yield from list(enumerate(candidates(declared.file)))[skip:]
