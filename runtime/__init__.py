"""The part that every vehicle runs: manifest, graph, bus, nodes, supervisor, recorder, outbox and command line.

Imports no sibling: drivers, engines and the firmware bridge stand on it, not the other way round.
"""

if __name__ == "runtime":
    raise ImportError('import "cardan.runtime", not "runtime": src/cardan links to this folder')
