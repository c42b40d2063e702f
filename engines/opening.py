"""Open a model with the best that is ready now. What is better but not built is named, for others to build meanwhile.

Nothing here waits for a build: a vehicle drives on what it has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from cardan.engines.accelerator import Accelerator, this_cpu
from cardan.engines.backends.backend import Backend, BackendError, Session, StickyError
from cardan.engines.backends.find import find_backend
from cardan.engines.build.cache import Found, PlanCache
from cardan.engines.build.messages import BuildOrder
from cardan.engines.build.orders import order_for
from cardan.engines.build.recipe import recipes_for
from cardan.engines.cuda.probe import Probed
from cardan.engines.model import BackendName, ModelFile, read_model
from cardan.engines.weights import read_weights
from cardan.runtime.clock import Clock
from cardan.runtime.errors import CardanError, ConfigError

ReadWeights = Callable[[ModelFile], bytes]
FindBackend = Callable[[BackendName, Clock], Backend]


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A model that runs, and how it came to that."""

    session: Session
    file: ModelFile
    """Of the model that runs: the one that was asked for, or one of its fallbacks."""
    backend: BackendName
    loaded_sha256: str
    """Of what the backend was given: a plan, or the ONNX file."""
    rank: int
    """Place among what could run: 0 is the model that was asked for, on the first of its backends."""
    reasons: tuple[str, ...]
    """Why what comes before it does not run, a line each."""
    orders: tuple[BuildOrder, ...]
    """Plans that would be better and can be built here."""

    @property
    def preferred(self) -> bool:
        """True when there is nothing better to wait for."""
        return self.rank == 0


def open_model(
    file: ModelFile,
    cache: PlanCache,
    probed: Probed,
    clock: Clock,
    find: FindBackend = find_backend,
    *,
    skip: int = 0,
    read: ReadWeights = read_weights,
) -> Opened:
    """The first backend of the model, or of its fallbacks, that runs now. Takes the time of loading, never of building.

    probed: what `probe_gpu` said in this run. skip: leave out so many of the best. read: gives the weights of
    a model, or refuses it with a ConfigError. ConfigError names every reason when nothing runs; StickyError ends the
    process as always.
    """
    reasons: list[str] = []
    orders: list[BuildOrder] = []
    pairs = ((one, backend) for one in _with_fallbacks(file, reasons) for backend in one.model.backends)
    for rank, (candidate, backend) in enumerate(pairs):
        if rank < skip:
            continue
        try:
            session, loaded = _open_on(candidate, backend, cache, probed, clock, find, orders, read)
        except StickyError:
            raise
        except CardanError as error:
            reasons.append(f"{candidate.model.name} on {backend}: {error.message}")
            continue
        return Opened(
            session=session,
            file=candidate,
            backend=backend,
            loaded_sha256=hashlib.sha256(loaded).hexdigest(),
            rank=rank,
            reasons=tuple(reasons),
            orders=tuple(orders),
        )
    raise ConfigError(
        f'model "{file.model.name}" runs nowhere:' + "".join(f"\n  - {reason}" for reason in reasons),
        hint=f"`cardan engine show {file.path}` says what each backend needs",
    )


def plan_for(file: ModelFile, backend: Backend, cache: PlanCache, accelerator: Accelerator) -> Found:
    """The plan of this model for that accelerator, whole and judged good; else no content, and the reason why.

    Never raises for what the cache holds.
    """
    found = cache.find(recipes_for(file.model, backend, accelerator))
    if found.sidecar is not None and not found.sidecar.accepted:
        what = "deviates too far from FP32" if found.sidecar.accuracy else "has not been judged against FP32 yet"
        return Found(sidecar=found.sidecar, reason=f"its plan {what}")
    return found


def _orders(file: ModelFile, name: BackendName, probed: Probed, cache: PlanCache, found: Found) -> Iterator[BuildOrder]:
    """What would make the plan usable: to build it, or to judge it. One that was judged bad is not built again."""
    order = order_for(file, name, probed, cache)
    if found.sidecar is None:
        yield order
    elif found.sidecar.accuracy is None:
        yield msgspec.structs.replace(order, verify_key=found.sidecar.recipe.key)


def _with_fallbacks(file: ModelFile, reasons: list[str]) -> Iterator[ModelFile]:
    """The model, then those that may stand in for it; one that cannot be read is a reason."""
    yield file
    for name in file.model.fallback:
        beside = file.path.parent / f"{name}.toml"
        try:
            other = read_model(str(beside) if beside.is_file() else name, folder=Path())
        except ConfigError as error:
            reasons.append(f"fallback {name}: {error.message}")
            continue
        missing = file.model.outputs.keys() - other.model.outputs.keys()
        if missing:
            reasons.append(f"fallback {name}: it has no output {', '.join(sorted(missing))}")
            continue
        yield other


def _open_on(
    file: ModelFile,
    name: BackendName,
    cache: PlanCache,
    probed: Probed,
    clock: Clock,
    find: FindBackend,
    orders: list[BuildOrder],
    read: ReadWeights,
) -> tuple[Session, bytes]:
    backend = find(name, clock)
    weights = read(file)
    if name == "sim":
        return backend.load(file.model, weights), weights
    if not backend.builds:
        found = plan_for(file, backend, cache, this_cpu())
        content = found.content or weights
        return backend.load(file.model, content), content
    if probed.gpu is None:
        raise BackendError(f"no GPU: {probed.reason}")
    found = plan_for(file, backend, cache, probed.gpu)
    if not found.content:
        orders += _orders(file, name, probed, cache, found)
        raise BackendError(found.reason)
    return backend.load(file.model, found.content), found.content
