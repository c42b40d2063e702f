"""The engines that a manifest declares, with their classes and models: what host, plan and commands go by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_type_hints

import msgspec

from cardan.engines.engine import Engine, EngineConfig
from cardan.engines.model import ModelFile, read_model
from cardan.engines.schedule import Criticality, Demand
from cardan.runtime.clock import ns
from cardan.runtime.errors import CardanError, NodeError
from cardan.runtime.findings import ObjectedError, Objection
from cardan.runtime.graph_engines import TABLE
from cardan.runtime.manifest import EngineEntry
from cardan.runtime.messages import EngineResult, Message
from cardan.runtime.registry import load_object, resolve

GROUP = "cardan.engines"
HOW_CRITICAL = {"low": Criticality.LOW, "medium": Criticality.MEDIUM, "high": Criticality.HIGH}


@dataclass(frozen=True)
class Declared:
    """One engine of a manifest."""

    name: str
    entry: EngineEntry
    engine_class: type[Engine[Message, EngineResult]]
    config: EngineConfig
    file: ModelFile

    @property
    def deadline_ns(self) -> int:
        """From capture to result."""
        wanted = self.entry.deadline_ms
        return self.file.model.deadline_ns if wanted is None else ns(wanted / 1000)

    @property
    def criticality(self) -> Criticality:
        return HOW_CRITICAL[self.entry.criticality or self.file.model.criticality]

    def demand(self, expected_ns: int) -> Demand:
        """What it asks of the scheduler. expected_ns: a run, when none is declared."""
        declared = self.entry.run_ms
        return Demand(
            name=self.name,
            deadline_ns=self.deadline_ns,
            criticality=self.criticality,
            expected_ns=expected_ns if declared is None else ns(declared / 1000),
            period_ns=self.file.model.period_ns,
            keep_older=self.file.model.drop == "newer",
            run_late=self.file.model.when_late == "run",
        )


def engine_classes(
    entries: Mapping[str, EngineEntry], folders: list[str]
) -> dict[str, type[Engine[Message, EngineResult]]]:
    """The class of each engine; ObjectedError names every one that cannot be used."""
    found, objections = {}, []
    for name, entry in entries.items():
        try:
            found[name] = load_engine_class(entry.use, folders)
        except CardanError as error:
            objections.append(Objection((TABLE, name, "use"), error.message, error.hint or "correct the class"))
    if objections:
        raise ObjectedError(objections)
    return found


def load_engine_class(use: str, folders: list[str]) -> type[Engine[Message, EngineResult]]:
    """An engine class by entry point or `module:Class`; NodeError when it is none, or its results need data."""
    found = load_object(resolve(use, GROUP, "engine"), folders if ":" in use else [])
    if not (isinstance(found, type) and issubclass(found, Engine)):
        raise NodeError(f"{use} is not an Engine", hint="derive it from cardan.engines.engine.Engine")
    gives: type[EngineResult] = found.gives
    own = msgspec.structs.fields(gives)[len(msgspec.structs.fields(EngineResult)) :]
    without = [field.name for field in own if field.required]
    if without:
        raise NodeError(
            f"{gives.__name__} cannot be sent without data: {', '.join(without)} must be given",
            hint="give each field that it adds to EngineResult a default",
        )
    return found


def declare(entries: Mapping[str, EngineEntry], folders: list[str], folder: Path) -> list[Declared]:
    """Every engine with its settings and model, which fit its class; ObjectedError names every one that cannot be.

    folders: where a user's own classes are looked for first. folder: of the manifest.
    """
    classes = engine_classes(entries, folders)
    found, objections = [], []
    for name, entry in entries.items():
        try:
            config_type = get_type_hints(classes[name]).get("config", EngineConfig)
            config = msgspec.convert(entry.config, config_type)
            file = read_model(entry.model, folder=folder)
            classes[name](file.model, config)
            found.append(Declared(name, entry, classes[name], config, file))
        except msgspec.ValidationError as error:
            objections.append(Objection((TABLE, name, "config"), str(error), f"see the settings of {entry.use}"))
        except CardanError as error:
            objections.append(Objection((TABLE, name, "model"), error.message, error.hint or "name another"))
    if objections:
        raise ObjectedError(objections)
    return found
