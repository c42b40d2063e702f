"""Our calls into the real cuda-bindings, down to a driver of our own: what can be tested of a GPU without one."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cardan.engines.backends.backend import BackendError, StickyError
from cardan.engines.cuda.device import check
from cardan.engines.cuda.probe import ask_driver, probe_gpu

HERE = Path(__file__).parent
OnFakeGpu = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds a libcuda.so.1."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler, for the fake driver")
    folder = tmp_path_factory.mktemp("driver")
    source, library = HERE / "fake_cuda.c", folder / "libcuda.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-w", "-o", library, source, "-ldl"], check=True, timeout=30)
    return folder


@pytest.fixture
def on_fake_gpu(driver: Path) -> OnFakeGpu:
    """Runs one case of on_fake_gpu.py."""
    if importlib.util.find_spec("cuda") is None:
        pytest.skip("needs cuda-bindings: pip install 'cardan[cuda]'")

    def run(case: str, fail: str = "") -> dict[str, Any]:
        environment = {**os.environ, "LD_LIBRARY_PATH": str(driver), "FAKE_CUDA_FAIL": fail}
        done = subprocess.run(
            [sys.executable, HERE / "on_fake_gpu.py", case],
            env=environment,
            stdout=subprocess.PIPE,
            timeout=50,
            check=True,
        )
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    return run


@pytest.mark.slow
def test_a_session_fills_runs_reads_and_gives_everything_back(on_fake_gpu: OnFakeGpu) -> None:
    found = on_fake_gpu("runs")
    assert (found["filled"], found["bound"], found["bound memory is read again"]) == (96.0, 144.0, 192.0)
    assert found["during"].startswith("allocated=2 pinned=2 registered=1 streams=1")
    assert found["after"].startswith("allocated=0 pinned=0 registered=0 streams=0 graphs=0")


@pytest.mark.slow
def test_a_network_is_captured_once_and_replayed(on_fake_gpu: OnFakeGpu) -> None:
    found = on_fake_gpu("graph")
    assert found["during"].endswith("graphs=1 launches=3")
    assert "graphs=0" in found["after"]


@pytest.mark.slow
def test_a_network_that_cannot_be_captured_is_enqueued_each_time(on_fake_gpu: OnFakeGpu) -> None:
    found = on_fake_gpu("uncapturable")
    assert found["sum"] == 96.0
    assert found["during"].endswith("graphs=0 launches=0")
    assert found["after"].startswith("allocated=0 pinned=0 registered=0 streams=0 graphs=0")


@pytest.mark.slow
def test_a_session_runs_on_another_thread_than_the_one_that_loaded_it(on_fake_gpu: OnFakeGpu) -> None:
    found = on_fake_gpu("threads")
    assert found["during"].endswith("graphs=1 launches=1")
    assert found["after"].startswith("allocated=0 pinned=0 registered=0 streams=0 graphs=0")


@pytest.mark.slow
def test_memory_that_cannot_be_page_locked_goes_through_a_buffer_of_ours(on_fake_gpu: OnFakeGpu) -> None:
    assert on_fake_gpu("fails", "cuMemHostRegister_v2:801") == {"error": "", "sum": 240.0}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fail", "error"),
    [
        ("cuStreamSynchronize:700", "sticky"),
        ("cuMemcpyDtoHAsync_v2:719", "sticky"),
        ("cuMemAlloc_v2:2", "backend"),
        ("cuInit:100", "backend"),
    ],
)
def test_an_error_that_ends_the_process_is_told_from_one_that_does_not(
    on_fake_gpu: OnFakeGpu, fail: str, error: str
) -> None:
    found = on_fake_gpu("fails", fail)
    assert found["error"] == error
    assert fail.split(":")[1] in found["said"] or "no way to CUDA" in found["said"]


@pytest.mark.slow
def test_a_plan_that_does_not_fit_is_refused_with_what_the_library_said(on_fake_gpu: OnFakeGpu) -> None:
    found = on_fake_gpu("refuses")
    assert "made by another version" in found["bad plan"]
    assert "needs 954 MiB on the GPU, its budget is 64 MiB" in found["memory"]
    assert 'output "sum"' in found["tensors"]
    assert found["after"].startswith("allocated=0 pinned=0 registered=0 streams=0")


@pytest.mark.slow
def test_the_bench_for_a_gpu_runs_and_gives_everything_back(on_fake_gpu: OnFakeGpu) -> None:
    found = on_fake_gpu("bench")
    assert len(found["rows"]) >= 16
    assert found["after"].startswith("allocated=0 pinned=0 registered=0 streams=0 graphs=0")


def test_the_probe_describes_the_gpu(driver: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(driver))
    gpu = probe_gpu().gpu
    assert gpu is not None
    assert (gpu.name, gpu.capability, gpu.multiprocessors, gpu.memory_mib, gpu.driver) == (
        "Fake GPU", "8.7", 16, 8192, "13.0",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [("FAKE_CUDA_FAIL", "cuInit:100", "does not start"), ("FAKE_CUDA_NO_GPU", "1", "knows no GPU")],
)
def test_a_driver_without_a_gpu_is_a_reason(
    driver: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, reason: str
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(driver))
    monkeypatch.setenv(name, value)
    probed = probe_gpu()
    assert probed.gpu is None
    assert reason in probed.reason


def test_no_driver_is_a_reason_as_well() -> None:
    assert "cannot be loaded" in ask_driver("libnothing.so.1").reason


def test_a_driver_that_does_not_answer_is_given_up() -> None:
    assert "has not answered" in probe_gpu(timeout_s=0.001).reason


@pytest.mark.parametrize(
    ("code", "error"), [(700, StickyError), (719, StickyError), (2, BackendError), (1, BackendError)]
)
def test_codes_of_the_driver_become_errors(code: int, error: type[BackendError]) -> None:
    with pytest.raises(error) as caught:
        check(code, "CUDA_ERROR", "cuLaunchKernel")
    assert type(caught.value) is error
    assert str(code) in str(caught.value)
    check(0, "CUDA_SUCCESS", "cuLaunchKernel")
