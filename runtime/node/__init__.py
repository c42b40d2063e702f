"""What a node's author imports: `from cardan.runtime.node import Input, Metric, Node, NodeConfig, Output`."""

from cardan.runtime.bus.envelope import Sample
from cardan.runtime.bus.ports import Input, Meter, Metric, Output
from cardan.runtime.bus.reader import Reader
from cardan.runtime.bus.writer import Writer
from cardan.runtime.node.node import Node, NodeConfig, NodeContext

__all__ = ["Input", "Meter", "Metric", "Node", "NodeConfig", "NodeContext", "Output", "Reader", "Sample", "Writer"]
