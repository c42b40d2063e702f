"""Perception: compiled networks with named tensors, run as nodes."""

if __name__ == "engines":
    raise ImportError('import "cardan.engines", not "engines": src/cardan links to this folder')
