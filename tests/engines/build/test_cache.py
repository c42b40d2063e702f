from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from cardan.engines.accelerator import Accelerator, any_gpu
from cardan.engines.build.cache import NO_PLAN, PlanCache, Sidecar, last_good
from cardan.engines.build.recipe import Recipe
from cardan.runtime.clock import FakeClock
from cardan.runtime.errors import DeviceError

ORIN = Accelerator(kind="gpu", name="Orin", capability="8.7", multiprocessors=16, memory_mib=30720, driver="12.6")
RECIPE = Recipe(
    model_sha256="ab" * 32,
    backend="tensorrt",
    version="10.3.0.30",
    accelerator=ORIN,
    inputs={"image": "uint8 (1, 96, 192, 3)"},
    options={"level": 3, "workspace_mib": 256.0},
)


def recipe(number: int, backend: str = "tensorrt") -> Recipe:
    return msgspec.structs.replace(RECIPE, model_sha256=f"{number:064x}", backend=backend)


def sidecar(of: Recipe = RECIPE, model: str = "net", *, accepted: bool = True) -> Sidecar:
    accuracy = {"gap": 1e-5} if accepted else None
    return Sidecar(recipe=of, model=model, plan_sha256="", plan_bytes=0, accuracy=accuracy, accepted=accepted)


@pytest.fixture
def cache(tmp_path: Path) -> PlanCache:
    return PlanCache(tmp_path / "plans", FakeClock(), budget_bytes=1000)


def files(cache: PlanCache) -> set[str]:
    return {path.name for path in cache.folder.iterdir()}


def test_a_plan_is_found_by_what_went_into_it(cache: PlanCache) -> None:
    stored = cache.store(sidecar(), b"plan")
    found = cache.find([RECIPE])
    assert (found.sidecar, found.content, found.reason) == (stored, b"plan", "")
    assert stored.serial == 1


@pytest.mark.parametrize(
    "change",
    [
        {"model_sha256": "cd" * 32},
        {"version": "10.3.0.31"},
        {"backend": "tensorrt_rtx"},
        {"inputs": {"image": "uint8 (1, 96, 192, 4)"}},
        {"options": {"level": 5, "workspace_mib": 256.0}},
        {"format": 2},
        *(
            {"accelerator": msgspec.structs.replace(ORIN, **part)}
            for part in (
                {"name": "Orin NX"},
                {"capability": "8.9"},
                {"multiprocessors": 8},
                {"memory_mib": 7680},
                {"driver": "12.2"},
            )
        ),
    ],
)
def test_whatever_differs_is_another_plan_and_no_failure(cache: PlanCache, change: dict[str, object]) -> None:
    cache.store(sidecar(), b"plan")
    found = cache.find([msgspec.structs.replace(RECIPE, **change)])
    assert (found.sidecar, found.reason) == (None, NO_PLAN)


def test_the_first_recipe_that_has_a_plan_wins(cache: PlanCache) -> None:
    portable = msgspec.structs.replace(RECIPE, accelerator=any_gpu("8.7"))
    cache.store(sidecar(portable), b"portable")
    assert cache.find([RECIPE, portable]).content == b"portable"
    cache.store(sidecar(), b"exact")
    assert cache.find([RECIPE, portable]).content == b"exact"


@pytest.mark.parametrize("suffix", ["plan", "json"])
def test_every_flipped_byte_of_plan_and_sidecar_is_refused(cache: PlanCache, suffix: str) -> None:
    cache.store(sidecar(), random.Random(1).randbytes(500))
    path = next(cache.folder.glob(f"*.{suffix}"))
    whole = path.read_bytes()
    for place in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        found = cache.find([RECIPE])
        assert found.sidecar is None
        assert str(path) in found.reason
        assert cache.verify().keys() == {RECIPE.key}
    path.write_bytes(whole)
    assert cache.find([RECIPE]).sidecar is not None


def test_a_plan_that_is_cut_off_is_refused(cache: PlanCache) -> None:
    cache.store(sidecar(), bytes(500))
    os.truncate(next(cache.folder.glob("*.plan")), 499)
    assert "hash differs" in cache.find([RECIPE]).reason


def test_the_sidecar_of_another_plan_is_refused(cache: PlanCache) -> None:
    other = recipe(1)
    cache.store(sidecar(), b"plan")
    cache.store(sidecar(other), b"other")
    (cache.folder / f"{RECIPE.key}.json").write_bytes((cache.folder / f"{other.key}.json").read_bytes())
    assert cache.find([RECIPE]).sidecar is None


def test_the_least_recently_used_go_when_the_folder_is_full(cache: PlanCache) -> None:
    for number in range(3):
        cache.store(sidecar(recipe(number), accepted=False), bytes(300))
    assert cache.find([recipe(0)]).sidecar is not None  # used last
    cache.store(sidecar(recipe(3), accepted=False), bytes(300))
    left = [number for number in range(4) if cache.find([recipe(number)]).sidecar is not None]
    assert left == [0, 2, 3]


def test_the_last_good_plan_of_a_model_is_never_removed(cache: PlanCache) -> None:
    cache.store(sidecar(recipe(0)), bytes(300))
    cache.store(sidecar(recipe(1)), bytes(300))
    for number in range(2, 6):
        cache.store(sidecar(recipe(number), accepted=False), bytes(300))
    left = [number for number in range(6) if cache.find([recipe(number)]).sidecar is not None]
    assert 1 in left
    assert 0 not in left
    assert [one.recipe for one in last_good(cache.sidecars())] == [recipe(1)]


def test_use_is_remembered_also_when_the_wall_clock_jumps_back(tmp_path: Path) -> None:
    clock = FakeClock()
    cache = PlanCache(tmp_path, clock, budget_bytes=700)
    cache.store(sidecar(recipe(0), accepted=False), bytes(300))
    cache.store(sidecar(recipe(1), accepted=False), bytes(300))
    clock.jump_wall_s(-1e8)
    cache.find([recipe(0)])
    cache.store(sidecar(recipe(2), accepted=False), bytes(300))
    assert cache.find([recipe(1)]).sidecar is None
    assert cache.find([recipe(0)]).sidecar is not None


def test_a_plan_is_judged_later_where_it_can_run(cache: PlanCache) -> None:
    cache.store(sidecar(accepted=False), b"plan")
    cache.judge(RECIPE.key, {"gap": 2e-4}, accepted=True)
    found = cache.find([RECIPE]).sidecar
    assert found is not None
    assert (found.accuracy, found.accepted) == ({"gap": 2e-4}, True)


def test_removing_forgets_both_files(cache: PlanCache) -> None:
    cache.store(sidecar(), b"plan")
    cache.remove(RECIPE.key)
    assert files(cache) == {"lock"}


def test_a_folder_that_cannot_be_written_is_an_error_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "plans").write_text("a file")
    with pytest.raises(DeviceError, match=f"{tmp_path}/plans cannot be written"):
        PlanCache(tmp_path / "plans", FakeClock()).store(sidecar(), b"plan")


def test_a_cache_that_another_process_holds_is_an_error_after_a_while(cache: PlanCache) -> None:
    cache.store(sidecar(), b"plan")
    holder = (
        "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); input()"
    )
    command = [sys.executable, "-c", holder, str(cache.folder / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(DeviceError, match="another process has held"):
            cache.store(sidecar(), b"new")
        process.kill()
    assert cache.find([RECIPE]).content == b"plan"


KILLS = """
import json, os, random, signal, sys, time
from pathlib import Path
import msgspec
from cardan.engines.build.cache import PlanCache, Sidecar
from cardan.runtime.clock import MonotonicClock
cache = PlanCache(Path(sys.argv[1]), MonotonicClock())
sidecar = msgspec.json.decode(sys.argv[2], type=Sidecar)
draw = random.Random(7)
begin = time.monotonic()
cache.store(sidecar, os.urandom(200_000))
takes_s = time.monotonic() - begin
serials, reasons = [], []
for trial in range(int(sys.argv[3])):
    kill_after_s = draw.uniform(0.1, 3.0) * takes_s
    if (child := os.fork()) == 0:
        signal.setitimer(signal.ITIMER_REAL, kill_after_s)  # its default action ends the process where it stands
        while True:
            cache.store(sidecar, os.urandom(200_000))
    os.waitpid(child, 0)
    found = cache.find([sidecar.recipe])
    reasons.append(found.reason)
    serials.append(found.sidecar.serial if found.sidecar else 0)
print(json.dumps([reasons, serials]))
"""


@pytest.mark.slow
def test_a_writer_that_is_killed_leaves_the_old_plan_or_the_new_one(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLS, str(tmp_path), msgspec.json.encode(sidecar()).decode(), "40"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=50)
    reasons, serials = json.loads(done.stdout)
    assert set(reasons) == {""}
    assert serials == sorted(serials)
    cache = PlanCache(tmp_path, FakeClock())
    kept = cache.store(sidecar(), b"after")
    assert files(cache) == {"lock", cache.plan_path(kept).name, f"{RECIPE.key}.json"}
