"""The CUDA of this process, through whichever provider is there."""

from __future__ import annotations

from cardan.engines.backends.backend import BackendError, StickyError
from cardan.engines.cuda.device import Cuda


def open_cuda() -> Cuda:
    """CUDA on the first GPU. Call it only after `probe_gpu` found one. BackendError says why no provider works."""
    reasons = []
    for provider in (_bindings, _pycuda):
        try:
            return provider()
        except StickyError:
            raise
        except BackendError as error:
            reasons.append(error.message)
    raise BackendError(f"no way to CUDA: {'; '.join(reasons)}", hint="pip install 'cardan[cuda]'")


def _bindings() -> Cuda:
    from cardan.engines.cuda.bindings import BindingsCuda

    return BindingsCuda()


def _pycuda() -> Cuda:
    from cardan.engines.cuda.pycuda import PycudaCuda

    return PycudaCuda()
