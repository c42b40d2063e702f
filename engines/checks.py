"""What `cardan doctor` asks about engines: what could run them here, and are the networks what their cards say?"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from cardan.engines.cli.common import open_cache, read_models
from cardan.engines.cuda.probe import ask_driver
from cardan.engines.model import model_names
from cardan.engines.native import compiled
from cardan.engines.weights import read_weights
from cardan.runtime.doctor.check import Check, Result, Subject, failed, passed, unknown
from cardan.runtime.errors import CardanError

GPU_S = 8.0
"""The first call after boot takes seconds on embedded computers."""
PACKAGES = {"tensorrt_rtx": "tensorrt-rtx"}
"""Where a backend is called otherwise than its package."""
RUNTIMES = ("onnxruntime", "tensorrt", "tensorrt-rtx")


def accelerator(subject: Subject) -> Result:
    """The GPU answers, if there is one. A driver that hangs or crashes takes only the process of this check with it."""
    probed = ask_driver()
    if probed.gpu is not None:
        return passed(str(probed.gpu))
    if subject.profile.accelerator.kind == "cpu":
        return passed(f"{probed.reason}; the profile runs engines on the CPU")
    return failed(probed.reason, "load the driver: `nvidia-smi`, or on a Jetson `tegrastats`")


def runtimes(subject: Subject) -> Result:
    """At least one library that runs networks is installed. Says also how pictures are shrunk for them."""
    found = [f"{name} {number}" for name in RUNTIMES if (number := _version(name))]
    if found:
        return passed(
            f"{', '.join(found)}; pictures are shrunk {'in numpy' if compiled is None else 'by compiled code'}"
        )
    return failed("nothing here can run a network", "pip install 'cardan[ort]'")


def models(subject: Subject) -> Result:
    """The weights of every model have the hash that its card names."""
    wrong = []
    names = model_names()
    for file in read_models(names):
        try:
            read_weights(file)
        except CardanError as error:
            wrong.append(error.message)
    if wrong:
        return failed("; ".join(wrong), "cardan engine verify; install the package again")
    return passed(f"{len(names)} shipped") if names else unknown("no model is installed")


def plans(subject: Subject) -> Result:
    """Every built plan is whole, was judged good, and was built by the library that is installed now."""
    cache = open_cache(str(subject.data_dir), subject.clock)
    wrong = [f"{key[:12]} {reason}" for key, reason in cache.verify().items()]
    stored = cache.sidecars()
    for sidecar in stored:
        recipe, who = sidecar.recipe, f"{sidecar.model} for {sidecar.recipe.backend}"
        now = _version(PACKAGES.get(recipe.backend, recipe.backend))
        if now and now != recipe.version:
            wrong.append(f"{who} was built by {recipe.version}, and {now} is installed")
        elif sidecar.accuracy is not None and not sidecar.accepted:
            wrong.append(f"{who} deviates too much from FP32")
    if wrong:
        return failed("; ".join(wrong), "cardan engine list; cardan engine build MODEL")
    return passed(f"{len(stored)} built") if stored else passed("none were built")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


CHECKS = (
    Check("engines.accelerator", "does the GPU answer?", accelerator, limit_s=GPU_S),
    Check("engines.runtimes", "is there something that runs networks?", runtimes),
    Check("engines.plans", "are the built plans whole, and of the library that is installed?", plans, limit_s=8.0),
    Check("engines.models", "are the networks what their cards say?", models, limit_s=8.0),
)
