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


def planned_store_or_none(plan: Plan) -> PlannedStore | None:
    """The store of a run, with whole paths; None when nothing brings anything there."""
    manifest_dir = Path(plan.manifest).resolve().parent
    uplinks = (node for node in plan.nodes if node.use == UPLINK)
    return next((_store_of(node, manifest_dir) for node in uplinks), None)


def _store_of(node: NodePlan, manifest_dir: Path) -> PlannedStore:
    found = msgspec.convert(node.config, PlannedStore)

    def whole(name: str) -> str:
        return str(manifest_dir / Path(name).expanduser()) if name else ""

    return msgspec.structs.replace(
        found, access_file=whole(found.access_file), encryption_key=whole(found.encryption_key)
    )
