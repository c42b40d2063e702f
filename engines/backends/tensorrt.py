"""The TensorRT backends: plans on an NVIDIA GPU, with the vehicle image's own TensorRT or with TensorRT for RTX."""

from __future__ import annotations

import logging
from importlib import metadata
from typing import Literal

from cardan.engines.backends.backend import BackendError, Session
from cardan.engines.backends.trt_library import library
from cardan.engines.cuda.device import Cuda
from cardan.engines.model import Model

log = logging.getLogger("cardan.engines.tensorrt")


class Tensorrt:
    """One of the two modules. CUDA is opened with the first network, and shared by all of this process."""

    builds = True

    def __init__(self, name: Literal["tensorrt", "tensorrt_rtx"]) -> None:
        self.name: str = name
        self._cuda: Cuda | None = None

    def version(self) -> str:
        """Of the installed package: loading the library to ask it takes hundreds of megabytes."""
        try:
            return metadata.version(self.name)
        except metadata.PackageNotFoundError:
            return str(library(self.name).__version__)

    def load(self, model: Model, content: bytes) -> Session:
        """content: a plan. The driver is asked in a child first: without one, the library would end this process."""
        from cardan.engines.backends.trt_session import TensorrtSession

        module = library(self.name)
        return TensorrtSession(model, content, module, self._open_cuda(), log)

    def _open_cuda(self) -> Cuda:
        if self._cuda is None:
            from cardan.engines.cuda.find import open_cuda
            from cardan.engines.cuda.probe import probe_gpu

            probed = probe_gpu()
            if probed.gpu is None:
                raise BackendError(f"{self.name} has no GPU to run on: {probed.reason}")
            self._cuda = open_cuda()
        return self._cuda
