"""Changes of networks while a host runs: load beside, run unseen, switch, and back again.

The new network is loaded on a thread of its own, so that no frame waits for it. Then it belongs to the host's thread,
and gets a slot in the scheduler with the lowest criticality.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cardan.engines.commands import Answer, Request
from cardan.engines.declared import Declared
from cardan.engines.heap import give_back_free_pages
from cardan.engines.loaded import Loaded, Source, load
from cardan.engines.model import ModelFile, read_model
from cardan.engines.pipeline import Outcome
from cardan.engines.precision import precision_of
from cardan.engines.schedule import Criticality, Scheduler
from cardan.engines.served import Served, read_into
from cardan.engines.swap import SHADOW_FRAMES, Next, Trial
from cardan.runtime.errors import CardanError

SUFFIX = "+new"
"""A shadow is called like its engine, and no engine can be called like that."""


class Loader(threading.Thread):
    """Loads a network beside everything else."""

    def __init__(self, declared: Declared, source: Source) -> None:
        super().__init__(name="loader", daemon=True)
        self._declared = declared
        self._source = source
        self.loaded: Loaded | None = None
        self.why_not = ""

    def run(self) -> None:
        try:
            self.loaded = load(self._declared, self._source)
        except CardanError as error:
            self.why_not = error.message


@dataclass
class Shadow:
    """A network that runs unseen."""

    served: Served
    loaded: Loaded
    trial: Trial
    declared: Declared

    def fill(self) -> str | None:
        """Read the newest frame of the engine into the inputs of the new network."""
        return read_into(self.loaded, self.served.reader, self.served.shared)[1]


class Changes:
    """What is being changed in a host. Belongs to its thread."""

    def __init__(self, served: Mapping[str, Served], scheduler: Scheduler, source: Source, log: logging.Logger) -> None:
        self._served = served
        self._scheduler = scheduler
        self._source = source
        self._log = log
        self._loading: dict[str, tuple[Loader, int]] = {}
        self.shadows: dict[str, Shadow] = {}
        """Name in the scheduler -> what runs there."""
        self.news: dict[str, str] = {}
        """Engine -> what became of its last change."""

    def decide(self, request: Request, folder: Path) -> Answer:
        """Answer one request. folder: where paths of models start."""
        if request.action == "show":
            return Answer(ok=True, text=f"{len(self._served)} engines", engines=self._shown())
        served = self._served.get(request.engine)
        if served is None:
            return Answer(ok=False, text=f'no engine "{request.engine}" here; known: {", ".join(self._served)}')
        if request.action == "rollback":
            return self._roll_back(served)
        if request.action == "swap":
            return self._swap(served, request, folder)
        return Answer(ok=False, text=f'unknown action "{request.action}"')

    def _swap(self, served: Served, request: Request, folder: Path) -> Answer:
        try:
            file = read_model(request.model, folder=folder)
            served.declared.engine_class(file.model, served.declared.config)
        except CardanError as error:
            return Answer(ok=False, text=str(error))
        if not self.begin(served, file, request.frames if request.frames is not None else SHADOW_FRAMES):
            return Answer(ok=False, text=f'engine "{served.name}" is being changed already')
        return Answer(ok=True, text=self.news[served.name])

    def begin(self, served: Served, file: ModelFile, frames: int = SHADOW_FRAMES) -> bool:
        """Load another network for an engine; False while one is on its way."""
        name = served.name
        if name in self._loading or name + SUFFIX in self.shadows:
            return False
        loader = Loader(replace(served.declared, file=file), self._source)
        self._loading[name] = (loader, frames)
        loader.start()
        self._say(name, f"loading {file.model.name} {file.short_hash}")
        return True

    def _roll_back(self, served: Served) -> Answer:
        if not self.go_back(served, "asked for"):
            return Answer(ok=False, text=f'engine "{served.name}" has no network to go back to')
        return Answer(ok=True, text=self.news[served.name])

    def go_back(self, served: Served, why: str) -> bool:
        """Serve with the network before; False when there is none."""
        bad = served.loaded
        if not served.roll_back():
            return False
        self._scheduler.forget_times(served.name, served.loaded.run_ns)
        self._say(served.name, f"rolled back from {bad.label} to {served.loaded.label}: {why}")
        return True

    def look(self) -> None:
        """Take over what has been loaded meanwhile."""
        for name, (loader, frames) in list(self._loading.items()):
            if loader.is_alive():
                continue
            del self._loading[name]
            if loader.loaded is None:
                self._say(name, f"refused: {loader.why_not}")
            else:
                self._run_unseen(self._served[name], loader.loaded, frames)

    def _run_unseen(self, served: Served, loaded: Loaded, frames: int) -> None:
        declared = replace(served.declared, file=loaded.file)
        shadow = Shadow(served, loaded, Trial(declared.deadline_ns, frames), declared)
        if frames <= 0:
            self._switch(shadow)
            return
        name = served.name + SUFFIX
        self._scheduler.add(replace(declared.demand(loaded.run_ns), name=name, criticality=Criticality.LOW))
        self.shadows[name] = shadow
        self._say(served.name, f"{loaded.label} runs unseen for {frames} frames")

    def release(self, engine: str, origin_ns: int) -> None:
        """A new frame of an engine has come."""
        name = engine + SUFFIX
        if name in self.shadows:
            self._scheduler.release(name, origin_ns)

    def take(self, shadow: Shadow, outcome: Outcome) -> None:
        """A shadow has run."""
        if not outcome.start_ns:
            return
        bad = shadow.served.problem is not None
        following = shadow.trial.ran(outcome.problem, outcome.end_ns - outcome.start_ns, other_is_bad=bad)
        if following is Next.GO_ON:
            return
        self._scheduler.remove(shadow.served.name + SUFFIX)
        del self.shadows[shadow.served.name + SUFFIX]
        if following is Next.SWITCH:
            self._switch(shadow)
        else:
            shadow.loaded.session.close()
            give_back_free_pages()
            self._say(shadow.served.name, f"refused {shadow.loaded.label}: {shadow.trial.why_refused}")

    def _switch(self, shadow: Shadow) -> None:
        shadow.served.replace(shadow.loaded)
        give_back_free_pages()
        self._scheduler.forget_times(shadow.served.name, shadow.loaded.run_ns)
        self._say(shadow.served.name, f"{shadow.loaded.label} serves")

    def _say(self, engine: str, text: str) -> None:
        self.news[engine] = " ".join(text.split())
        self._log.info("engine %s: %s", engine, self.news[engine])

    def _shown(self) -> list[dict[str, object]]:
        return [
            {
                "engine": name,
                "model": served.loaded.file.model.name,
                "sha256": served.loaded.file.model.sha256,
                "backend": served.loaded.backend,
                "precision": precision_of(served.loaded.file.weights),
                "stands_in": served.loaded.rank > 0,
                "previous": served.previous.label if served.previous is not None else None,
                "change": self.news.get(name),
            }
            for name, served in self._served.items()
        ]

    def close(self) -> None:
        """Release what runs unseen."""
        for shadow in self.shadows.values():
            shadow.loaded.session.close()
