"""The grammar of `cardan engine ...`, and nothing that takes time to import."""

from __future__ import annotations

from cardan.runtime.cli.parser import Parser, add_place
from cardan.runtime.cli.shapes import Shape

MODULES = {
    "import": "cardan.engines.cli.import_model",
    "build": "cardan.engines.cli.build",
    "list": "cardan.engines.cli.list_plans",
    "show": "cardan.engines.cli.show",
    "verify": "cardan.engines.cli.verify",
    "bench": "cardan.engines.cli.bench",
    "plan": "cardan.engines.cli.plan",
    "status": "cardan.engines.cli.running",
    "swap": "cardan.engines.cli.running",
    "rollback": "cardan.engines.cli.running",
    "sign": "cardan.engines.cli.sign",
    "new-key": "cardan.engines.cli.sign",
}

JSON = {
    "import": Shape("verdict, reasons, model, sha256, notes, peaks"),
    "build": Shape("plans (model, backend, result, said, key)"),
    "list": Shape("folder, plans, damaged"),
    "show": Shape("gpu, models (path, model, backends)"),
    "verify": Shape("checks (what, ok, said)"),
    "bench": Shape("model, backend, loaded, memory_mib, series"),
    "plan": Shape("findings, hosts"),
    "status": Shape("engines (host, engine, model, sha256, backend, precision, stands_in, previous, change)"),
    "swap": Shape("ok, text"),
    "rollback": Shape("ok, text"),
    "sign": Shape("signed (path, key)"),
    "new-key": Shape("private, public"),
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
    "build": """\
Build the plans of models: what each backend of the model makes of it for this computer's GPU or CPU.

Each build runs in a process of its own; Ctrl-C gives it up. A plan is kept under everything that it depends on, and
judged against FP32 on the model's frames before it may be used. A plan that is there already is not built again.

examples:
  cardan engine build road_net
  cardan engine build models/detector.toml --backend tensorrt_rtx --target 8.9""",
    "list": """\
The plans in the data folder, the newest last: for what they were built, and how they did against FP32.""",
    "show": """\
What a model takes, gives and promises; what could run it on this computer, and why the rest cannot.""",
    "verify": """\
Hold the weights to the model's hash, each plan to its own, and run each plan that can run here against FP32 again.

Without a model: those that are shipped with cardan. Exit code 1 when something is not as it should be.""",
    "bench": """\
Run a model on random inputs, back to back and at its own rate, and show how long a run takes.

examples:
  cardan engine bench road_net --for 5s
  cardan engine bench models/detector.toml --backend onnxruntime --json""",
    "plan": """\
Judge the load of each accelerator of a manifest, as `cardan check` does: every engine with its deadline, the way of its
frames, its declared run time, and the least time that is left.

Exit code 1 when an engine may miss deadlines under full load, or has not declared its run time.""",
    "status": """\
What serves each engine of the active run, and what became of its last change.

Exit code 1 while an engine is stood in for.""",
    "swap": """\
Change the network of a running engine. The new one is loaded beside the old one, gets the engine's frames when there is
time, and serves once so many results in a row were data and in time; else it is refused. The old one stays loaded and
comes back by itself when the new one gives bad numbers, or by `cardan engine rollback`.

Refused with exit code 4 unless the vehicle stands still and nobody but the driver drives. With --while-driving that
is left to the trial that the new network has to pass.

examples:
  cardan engine swap road models/road_net_2.toml --yes
  cardan engine swap road models/road_net_2.toml --frames 200 --while-driving""",
    "rollback": """\
Let an engine of the active run serve with the network before its last change. Refused like `cardan engine swap`.""",
    "sign": """\
Vouch for models: write a signature into each model's file, by a key that `cardan engine new-key` has made.

A host with `signed_by = "FOLDER"` in its config takes only models signed by one of the public keys in that folder.""",
    "new-key": """\
Make a key pair for signing models: NAME.key and NAME.pub.""",
}


BACKENDS = ("tensorrt", "tensorrt_rtx", "onnxruntime", "sim")


def _add_look(parser: Parser) -> None:
    add_place(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")


def _add_folder(parser: Parser) -> None:
    parser.add_argument(
        "--data-dir", metavar="DIR", help="its folder `plans` (default: $CARDAN_DATA_DIR, else ~/.local/share/cardan)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")


def _add_models(parser: Parser, count: str) -> None:
    parser.add_argument("models", nargs=count, metavar="MODEL", help="name of a shipped one, or a .toml file")


def _add_build(parser: Parser) -> None:
    _add_models(parser, "+")
    parser.add_argument("--backend", choices=BACKENDS[:-1], help="for this one only (default: all of the model)")
    parser.add_argument("--target", default="", metavar="X.Y", help="compute capability of another GPU, or `any`")
    parser.add_argument("--force", action="store_true", help="build again what is there already")
    parser.add_argument("--verbose", action="store_true", help="show what the library says")
    _add_folder(parser)


def _add_list(parser: Parser) -> None:
    _add_folder(parser)


def _add_show(parser: Parser) -> None:
    _add_models(parser, "+")
    _add_folder(parser)


def _add_verify(parser: Parser) -> None:
    _add_models(parser, "*")
    _add_folder(parser)


def _add_bench(parser: Parser) -> None:
    parser.add_argument("model", metavar="MODEL", help="name of a shipped one, or a .toml file")
    parser.add_argument("--backend", choices=BACKENDS, help="default: the best that is ready")
    parser.add_argument("--for", dest="duration", default="3s", metavar="TIME", help="for each figure (default: 3s)")
    _add_folder(parser)


def _add_plan(parser: Parser) -> None:
    parser.add_argument("manifest", nargs="?", metavar="MANIFEST|DIR", help="default: the reference vehicle")
    parser.add_argument("--profile", metavar="NAME|FILE", help="hardware profile (default: the one the manifest names)")
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")


def _add_action(parser: Parser) -> None:
    parser.add_argument("--yes", action="store_true", help="do it without asking")
    parser.add_argument("--while-driving", action="store_true", help="also while the vehicle moves or is engaged")
    _add_folder(parser)


def _add_swap(parser: Parser) -> None:
    parser.add_argument("engine", metavar="ENGINE")
    parser.add_argument("model", metavar="MODEL", help="a .toml file, or the name of a shipped one")
    parser.add_argument("--frames", type=int, metavar="N", help="how many it has to pass unseen (default: 20)")
    _add_action(parser)


def _add_rollback(parser: Parser) -> None:
    parser.add_argument("engine", metavar="ENGINE")
    _add_action(parser)


def _add_sign(parser: Parser) -> None:
    parser.add_argument("models", nargs="+", metavar="MODEL.toml")
    parser.add_argument("--key", required=True, metavar="NAME.key", help="the private key")
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")


def _add_new_key(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("--output", default=".", metavar="DIR", help="where to write (default: this folder)")
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")


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
    "build": _add_build,
    "list": _add_list,
    "show": _add_show,
    "verify": _add_verify,
    "bench": _add_bench,
    "plan": _add_plan,
    "status": _add_look,
    "swap": _add_swap,
    "rollback": _add_rollback,
    "sign": _add_sign,
    "new-key": _add_new_key,
}
