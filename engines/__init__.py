"""Perception: compiled networks with named tensors, run as nodes."""

if __name__ == "engines":
    raise ImportError('import "cardan.engines", not "engines": the folder is importable through src/cardan only')
