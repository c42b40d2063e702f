"""The plan cache: a folder of plans, each with a sidecar that says what it is; nothing is used that does not match.

A plan is written first, under a name of its own, then its sidecar takes the place of the old one, each complete on the
disk before it gets its name: after a power cut there is the old plan or the new one, never half of one. The sidecar
holds the plan's hash and ends in a hash of itself. The least recently used plans go when the folder outgrows its
budget, but never the last good plan of a model.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from cardan.engines.build.recipe import Recipe
from cardan.runtime.clock import Clock, ns
from cardan.runtime.disk import make_folder_durably, write_durably
from cardan.runtime.errors import DeviceError

FOLDER = "plans"
"""In the data folder."""
BUDGET_BYTES = 2_000_000_000
LOCK_S = 10.0
"""Writers hold the folder for as long as one plan takes to reach the disk."""
LOOK_EVERY_S = 0.02
NO_PLAN = "no plan has been built"
PLAN, SIDECAR, NEW = ".plan", ".json", ".new"


class Sidecar(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a plan."""

    recipe: Recipe
    model: str
    """Name of the model: what it belongs to, for people and for keeping the last good one."""
    plan_sha256: str
    plan_bytes: int
    serial: int = 0
    """Of the plans in this folder; a later one has a higher number. Given when it is stored."""
    built_wall_ns: int = 0
    """A label."""
    build_s: float = 0.0
    accuracy: dict[str, float] | None = None
    """Deviation of each output from FP32 on the stored frames; None: not judged yet, so not to be used."""
    accepted: bool = False
    """True when no deviation exceeded the model's tolerance at that time."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a look into the cache gave."""

    sidecar: Sidecar | None = None
    content: bytes = b""
    reason: str = ""
    """Why there is no plan, or why the one there is cannot be used; empty when there is one."""


class PlanCache:
    """Plans in `folder`. Any number of processes may read and write it."""

    def __init__(self, folder: Path, clock: Clock, *, budget_bytes: int = BUDGET_BYTES) -> None:
        self.folder = folder
        self._clock = clock
        self._budget_bytes = budget_bytes

    def find(self, recipes: Sequence[Recipe]) -> Found:
        """The first plan of `recipes` that is whole, its hash checked. Never raises for what is in the folder."""
        reasons = []
        for recipe in recipes:
            found = self._read(recipe)
            if found.sidecar is not None:
                self._mark_used(recipe.key)
                return found
            reasons.append(found.reason)
        return Found(reason=next((reason for reason in reasons if reason), NO_PLAN))

    def store(self, sidecar: Sidecar, content: bytes) -> Sidecar:
        """Keep a plan; what is stored, with its serial. DeviceError names the folder when it cannot be written."""
        key = sidecar.recipe.key
        with self._owned():
            serial = 1 + max((other.serial for other in self.sidecars()), default=0)
            complete = msgspec.structs.replace(
                sidecar,
                serial=serial,
                plan_sha256=hashlib.sha256(content).hexdigest(),
                plan_bytes=len(content),
            )
            write_durably(self.plan_path(complete), content)
            write_durably(self._path(key, SIDECAR), encode_sidecar(complete))
            self._sweep()
            self._mark_used(key)
            self._evict()
        return complete

    def judge(self, key: str, accuracy: dict[str, float], *, accepted: bool) -> None:
        """Record how a stored plan did against FP32."""
        with self._owned():
            sidecar = self._sidecar_or_none(key)
            if sidecar is not None:
                judged = msgspec.structs.replace(sidecar, accuracy=accuracy, accepted=accepted)
                write_durably(self._path(key, SIDECAR), encode_sidecar(judged))

    def remove(self, key: str) -> None:
        """Forget a plan."""
        with self._owned():
            self._unlink(key)

    def sidecars(self) -> list[Sidecar]:
        """Of all plans whose sidecar is whole, the newest last."""
        keys = sorted(path.stem for path in self.folder.glob(f"*{SIDECAR}"))
        found = [sidecar for sidecar in map(self._sidecar_or_none, keys) if sidecar is not None]
        return sorted(found, key=lambda sidecar: sidecar.serial)

    def verify(self) -> dict[str, str]:
        """What is wrong with each file of the folder, by name; empty when all is whole. Reads every plan."""
        wrong = {}
        for path in sorted(self.folder.glob(f"*{SIDECAR}")):
            sidecar = self._sidecar_or_none(path.stem)
            reason = "is damaged" if sidecar is None else self._read(sidecar.recipe).reason
            if reason:
                wrong[path.stem] = reason
        return wrong

    def plan_path(self, sidecar: Sidecar) -> Path:
        """Where a plan lies: its name has its hash, so that an old and a new one can lie beside each other."""
        return self.folder / f"{sidecar.recipe.key}.{sidecar.plan_sha256[:12]}{PLAN}"

    # -------------------------------------------------------------------------------------------------- one plan

    def _path(self, key: str, suffix: str) -> Path:
        return self.folder / f"{key}{suffix}"

    def _sidecar_or_none(self, key: str) -> Sidecar | None:
        try:
            sidecar = decode_sidecar_or_none(self._path(key, SIDECAR).read_bytes())
        except OSError:
            return None
        return sidecar if sidecar is not None and sidecar.recipe.key == key else None

    def _read(self, recipe: Recipe) -> Found:
        key = recipe.key
        if not self._path(key, SIDECAR).exists():
            return Found()
        sidecar = self._sidecar_or_none(key)
        if sidecar is None:
            return Found(reason=f"{self._path(key, SIDECAR)} is damaged: the plan is not used")
        path = self.plan_path(sidecar)
        try:
            content = path.read_bytes()
        except OSError as error:
            return Found(reason=f"{path} cannot be read: {error.strerror}")
        if hashlib.sha256(content).hexdigest() != sidecar.plan_sha256:
            return Found(reason=f"{path} is not the plan that was built: its hash differs, it is not used")
        return Found(sidecar=sidecar, content=content)

    def _unlink(self, key: str) -> None:
        """The sidecar first: a plan without one is never used."""
        self._path(key, SIDECAR).unlink(missing_ok=True)
        for path in self.folder.glob(f"{key}.*{PLAN}"):
            path.unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Let go of what no sidecar names: plans that were replaced, and what dead writers left."""
        named = {self.plan_path(sidecar) for sidecar in self.sidecars()}
        for path in (*self.folder.glob(f".*{NEW}"), *self.folder.glob(f"*{PLAN}")):
            if path not in named:
                path.unlink(missing_ok=True)

    # ---------------------------------------------------------------------------------------------------- the folder

    @contextmanager
    def _owned(self) -> Iterator[None]:
        """Hold the folder against other writers."""
        try:
            make_folder_durably(self.folder.absolute())
            lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            self._take(lock)
            yield
        except OSError as error:
            raise self._unwritable(error) from error
        finally:
            os.close(lock)

    def _take(self, lock: int) -> None:
        give_up_ns = self._clock.now_ns() + ns(LOCK_S)
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if self._clock.now_ns() >= give_up_ns:
                    raise DeviceError(
                        f"another process has held the plan cache {self.folder} for {LOCK_S:g} s",
                        hint="is a build stuck in writing? is the disk full or failing?",
                    ) from None
            self._clock.sleep_until_ns(self._clock.now_ns() + ns(LOOK_EVERY_S))

    def _unwritable(self, error: OSError) -> DeviceError:
        return DeviceError(
            f"the plan cache {self.folder} cannot be written: {error.strerror or error}",
            hint="every start would build its plans again: make the folder writable for this user, with space left",
        )

    def _mark_used(self, key: str) -> None:
        """Let the sidecar's time be the newest in the folder, whatever the wall clock says; not on a read-only disk."""
        try:
            newest = max((path.stat().st_mtime_ns for path in self.folder.glob(f"*{SIDECAR}")), default=0)
            stamp = max(self._clock.wall_ns(), newest + 1)
            os.utime(self._path(key, SIDECAR), ns=(stamp, stamp))
        except OSError:
            return

    def _evict(self) -> None:
        """Let the least recently used go until the rest fits; writer's lock held."""
        known = self.sidecars()
        kept = {sidecar.recipe.key for sidecar in last_good(known)} | {known[-1].recipe.key if known else ""}
        total = sum(sidecar.plan_bytes for sidecar in known)
        by_use = sorted(known, key=lambda sidecar: self._path(sidecar.recipe.key, SIDECAR).stat().st_mtime_ns)
        for sidecar in by_use:
            if total <= self._budget_bytes:
                return
            if sidecar.recipe.key not in kept:
                self._unlink(sidecar.recipe.key)
                total -= sidecar.plan_bytes


def last_good(sidecars: Sequence[Sidecar]) -> list[Sidecar]:
    """The newest accepted plan of each model on each backend."""
    newest = {(one.model, one.recipe.backend): one for one in sidecars if one.accepted}
    return list(newest.values())


def encode_sidecar(sidecar: Sidecar) -> bytes:
    """JSON, and its SHA-256 on a line of its own."""
    text = msgspec.json.encode(sidecar)
    return text + b"\n" + hashlib.sha256(text).hexdigest().encode() + b"\n"


def decode_sidecar_or_none(content: bytes) -> Sidecar | None:
    """The sidecar, or None when a byte of it is not as it was written."""
    text, _, check = content.partition(b"\n")
    if check != hashlib.sha256(text).hexdigest().encode() + b"\n":
        return None
    try:
        return msgspec.json.decode(text, type=Sidecar)
    except msgspec.DecodeError:
        return None
