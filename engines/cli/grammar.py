"""The grammar of `cardan engine ...`, and nothing that takes time to import."""

from __future__ import annotations

from cardan.runtime.cli.parser import Parser

MODULES = {
    "import": "cardan.engines.cli.import_model",
}

DESCRIPTIONS = {
    "import": """\
Check an ONNX file against the contract of models, repair what can be repaired, and write NAME.onnx and NAME.toml.

The contract: fixed shapes; pictures come as uint8, the first operator is a Cast, normalisation is inside the graph.
Weights that the exporter left among the inputs become constants. A float picture input is brought to uint8 NHWC with
--mean and --scale: (grey level - mean) * scale. With --fp16 the largest number of every tensor is measured on sample
frames first, and the import is refused where half precision could not hold it. Exit code 4 when it is refused; each
reason is a line.

examples:
  cardan engine import detector.onnx --rate 20 --deadline 50ms --mean 0 --scale 0.00392157 --frames pictures/
  cardan engine import lanes.onnx --rate 10 --deadline 80ms --shape image=1x96x192x3 --output models/""",
}


def _add_import(parser: Parser) -> None:
    parser.add_argument("source", metavar="FILE.onnx")
    parser.add_argument("--name", metavar="NAME", help="name of the model (default: of the file)")
    parser.add_argument("--output", metavar="DIR", default=".", help="where to write (default: this folder)")
    parser.add_argument("--rate", required=True, type=float, metavar="HZ", help="how often a new input comes")
    parser.add_argument("--deadline", required=True, metavar="TIME", help="from capture to output, such as 50ms")
    parser.add_argument("--criticality", choices=("high", "medium", "low"), default="medium")
    parser.add_argument("--shape", action="append", default=[], metavar="INPUT=1x3x96x192", help="fix an open shape")
    parser.add_argument("--mean", metavar="X[,X,X]", help="of the normalisation, in grey levels (default: 0)")
    parser.add_argument("--scale", metavar="X[,X,X]", help="of the normalisation: 1 / standard deviation")
    parser.add_argument("--folded", action="store_true", help="the first layer's weights contain the normalisation")
    parser.add_argument("--fp16", action="store_true", help="convert to half precision")
    parser.add_argument("--frames", metavar="NPZ|DIR", help="sample frames, or a folder of pictures (default: noise)")
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")


ADD = {
    "import": _add_import,
}
