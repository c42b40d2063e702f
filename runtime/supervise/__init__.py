"""Start, watch, restart, order and stop the nodes of one vehicle.

Two processes stand above the nodes. The *guardian* is what `python -m cardan.runtime.supervise` starts: it does
nothing but wait for its only child, the *supervisor*, and when that has ended, for whatever reason, it ends what is
left and sweeps the run. The supervisor forks the nodes from its own, preloaded memory and watches them.
"""
