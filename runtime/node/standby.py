"""A spare process of a node: it has imported everything, opened nothing, and waits until it is needed.

It is no second node: it has no ports, no device, and no place in the vitals before it takes over.
"""

from __future__ import annotations

import gc
import logging
import os
from pathlib import Path

import msgspec

from cardan.runtime.birth import Birth, TakeOver
from cardan.runtime.errors import CardanError
from cardan.runtime.node import settings
from cardan.runtime.node.wiring import convert_config
from cardan.runtime.plan import read_plan
from cardan.runtime.registry import load_node_class

LONGEST = 4096


def stand_by(birth: Birth) -> Birth | None:
    """Load what the node will need, and wait; the birth to live by, or None when it was never needed.

    What cannot be loaded is left to the node itself, which will say why.
    """
    settings.name_process(f"spare-{birth.node}")
    try:
        _load(birth)
    except CardanError as error:
        logging.getLogger(f"cardan.{birth.node}").warning("the spare process could not load everything: %s", error)
    gc.collect()
    told = os.read(birth.go_fd, LONGEST)
    if not told:
        return None
    over = msgspec.json.decode(told, type=TakeOver)
    return msgspec.structs.replace(birth, starts=over.starts, group=over.group, standby=False)


def _load(birth: Birth) -> None:
    plan = read_plan(birth.paths.plan)
    node = plan.node(birth.node)
    node_class = load_node_class(node.use, node.sys_path)
    config = convert_config(node_class, node.config)
    node_class.prepare(config, node.sys_path, Path(plan.manifest).resolve().parent)
