"""What the supervisor loads before its first fork, so that a node starts in milliseconds and shares those pages.

The supervisor itself uses none of it. Importing these libraries starts no thread: a fork would lose it.
"""

from __future__ import annotations

import gc
import importlib
import logging
import os
import sys

from cardan.runtime.plan import Plan

LIBRARIES = ("numpy", "msgspec", "cardan.runtime.node.process")
OVER_ZMQ = ("zmq", "cardan.runtime.bus.zmq")
OWN_PACKAGE = "cardan."
ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""A BLAS starts helper threads when numpy is imported; they would not survive the fork, nor suit a real-time node."""


def use_one_thread() -> None:
    """Keep BLAS libraries from starting threads, here and in every process that is started from here."""
    for variable in ONE_THREAD:
        os.environ.setdefault(variable, "1")


def preload(plan: Plan) -> None:
    """Import the libraries of every node and our own node classes, and keep the collector off their pages."""
    use_one_thread()
    for module in LIBRARIES + (OVER_ZMQ if plan.bus == "zmq" else ()):
        _import(module)
    for use in _own_classes(plan):
        module, _, name = use.partition(":")
        _import(module)
        for wish in getattr(getattr(sys.modules.get(module), name, None), "preload", ()):
            _import(wish)
    gc.collect()
    gc.freeze()


def _own_classes(plan: Plan) -> list[str]:
    """`module:Class` of our own nodes. Those of others are loaded in their own process only: they may do anything."""
    return sorted({node.use for node in plan.nodes if node.process == "fork" and node.use.startswith(OWN_PACKAGE)})


def _import(module: str) -> None:
    try:
        importlib.import_module(module)
    except ImportError as error:
        logging.getLogger("cardan.supervisor").warning("%s is not preloaded, its node will say why: %s", module, error)
