"""Where the uplink of a run brings its objects: what its plan says of the store, for who looks from outside."""

from __future__ import annotations

from pathlib import Path

import msgspec

from cardan.runtime.plan import NodePlan, Plan

UPLINK = "cardan.runtime.uplink.node:Uplink"


class PlannedStore(msgspec.Struct, frozen=True, kw_only=True):
    """A store and the keys to it, as the settings of the uplink name them."""

    store: str = ""
    """Empty: the folder `store` of the data folder."""
    access_file: str = ""
    store_options: dict[str, str] = {}
    encryption_key: str = ""
    """As it stands there: a file, or the address of a token. What is not absolute begins in `base`."""
    base: str = ""
    """Folder of the manifest."""


def planned_store_or_none(plan: Plan) -> PlannedStore | None:
    """The store of a run, with the whole path of its key; None when nothing brings anything there."""
    manifest_dir = Path(plan.manifest).resolve().parent
    uplinks = (node for node in plan.nodes if node.use == UPLINK)
    return next((_store_of(node, manifest_dir) for node in uplinks), None)


def _store_of(node: NodePlan, manifest_dir: Path) -> PlannedStore:
    found = msgspec.convert(node.config, PlannedStore)
    access_file = str(manifest_dir / Path(found.access_file).expanduser()) if found.access_file else ""
    return msgspec.structs.replace(found, access_file=access_file, base=str(manifest_dir))
