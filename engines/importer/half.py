"""A network in half precision: weights and activations become FP16, inputs and outputs stay what they are.

Precision belongs into the ONNX file. A builder flag for it is gone in TensorRT 11, and with 10 it would make a network
that the file does not describe.
"""

from __future__ import annotations

from typing import Any

import onnx

from cardan.runtime.errors import ConfigError


def in_half(network: onnx.ModelProto) -> onnx.ModelProto:
    """A converted copy; operators that are unsafe in FP16 keep FP32 between two casts."""
    try:
        from onnxruntime.transformers.float16 import convert_float_to_float16
    except ImportError as error:
        raise ConfigError(
            "half precision needs onnxruntime's converter", hint="pip install 'cardan[ort,import]'"
        ) from error
    copy = onnx.ModelProto()
    copy.CopyFrom(network)
    converted: Any = convert_float_to_float16(copy, keep_io_types=True)
    result: onnx.ModelProto = converted
    _sort(result.graph)
    onnx.checker.check_model(result)
    return result


def _sort(graph: onnx.GraphProto) -> None:
    """Bring each node behind those it needs: the converter puts its casts at the end."""
    waiting = list(graph.node)
    made = {value.name for value in (*graph.input, *graph.initializer)} | {""}
    ordered: list[onnx.NodeProto] = []
    while waiting:
        ready = [node for node in waiting if made.issuperset(node.input)]
        if not ready:
            raise ConfigError("the network needs a tensor that nothing makes", hint="export it again")
        ordered += ready
        made.update(name for node in ready for name in node.output)
        waiting = [node for node in waiting if not made.issuperset(node.output)]
    del graph.node[:]
    graph.node.extend(ordered)
