"""A bundle is made part by part: what fails or hangs is named, what is done is kept, what is packed is whole."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from cardan.runtime.apart import Worker
from cardan.runtime.bundle.collectors import Collector, Nothing
from cardan.runtime.bundle.header import NAME, Collected, read_header_or_none
from cardan.runtime.bundle.job import Job
from cardan.runtime.bundle.make import ALPHABET, RESUME_NS, Progress, begin, collect_all, new_id, pack
from cardan.runtime.bundle.unpack import opened
from cardan.runtime.clock import MonotonicClock
from cardan.runtime.errors import RunError
from cardan.runtime.plan import Plan
from cardan.runtime.profile import Profile

WALL_NS = 1_767_225_600_000_000_000
RUN = "20260101-000000-beef"


def job_in(folder: Path) -> Job:
    plan = Plan(
        name="small",
        manifest="",
        manifest_sha256="",
        profile=Profile(name="bench"),
        envelope={},
        envelope_hash="",
        nodes=[],
    )
    return Job(
        folder=folder,
        data_dir=folder.parent,
        run_id=RUN,
        plan=plan,
        plan_path=folder / "plan.json",
        vitals_path=folder / "vitals",
        bus_dir=None,
        is_live=False,
        clock=MonotonicClock(),
    )


def writes(name: str) -> Collector:
    def collect(job: Job) -> str:
        job.write(f"{name}.txt", name.encode())
        return f"{name} is here"

    return Collector(name, collect)


def raises(error: Exception) -> Collector:
    def collect(job: Job) -> str:
        raise error

    return Collector("bad", collect)


def hangs(job: Job) -> str:
    while True:
        time.sleep(1.0)


def dies(job: Job) -> str:
    os._exit(3)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    (tmp_path / "made").mkdir()
    return job_in(tmp_path / "made")


def collected(job: Job, *collectors: Collector) -> list[Collected]:
    progress = Progress(id="K7M4QP", run=RUN, asked="all", began_wall_ns=WALL_NS)
    collect_all(job, progress, lambda item: None, collectors)
    return progress.done


def test_what_a_collector_wrote_is_counted(job: Job) -> None:
    (item,) = collected(job, writes("a"))
    assert (item.ok, item.text, item.files, item.bytes) == (True, "a is here", 1, 1)


@pytest.mark.parametrize(
    ("collector", "ok", "said"),
    [
        (raises(ValueError("no such device")), False, "ValueError: no such device"),
        (raises(Nothing("there is none")), True, "nothing: there is none"),
        (Collector("slow", hangs, 0.2), False, "no answer within 0.2 s"),
        (Collector("dead", dies), False, "it ended without an answer"),
    ],
)
def test_a_collector_that_fails_hangs_or_dies_is_named(job: Job, collector: Collector, ok: bool, said: str) -> None:
    before, item, behind = collected(job, writes("a"), collector, writes("b"))
    assert item.ok is ok and said in item.text and item.seconds < 5.0
    assert before.ok and behind.ok and behind.text == "b is here", "the others have their time all the same"


def test_a_collector_that_the_kernel_holds_is_named_as_that(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    end = Worker.end

    def ends_unseen(worker: Worker) -> None:
        end(worker)

    monkeypatch.setattr(Worker, "end", ends_unseen)
    item, behind = collected(job, Collector("stuck", hangs, 0.1), writes("b"))
    assert not item.ok and item.text.startswith("no answer within 0.1 s: something hangs, and not even SIGKILL ends it")
    assert behind.ok, "another process does the rest"


def test_collectors_share_a_process_until_one_fails_to_answer(job: Job) -> None:
    pids = Collector("pid", lambda job: str(os.getpid()))
    first, second, _, third = collected(job, pids, pids, Collector("dead", dies), pids)
    assert first.text == second.text != third.text != str(os.getpid())


def test_what_is_done_is_not_done_again_after_a_kill(tmp_path: Path) -> None:
    progress, folder = begin(tmp_path, RUN, "all", WALL_NS)
    said: list[Collected] = []
    collect_all(job_in(folder), progress, said.append, [writes("a"), raises(ValueError("x"))])
    again, same_folder = begin(tmp_path, RUN, "all", WALL_NS + 1)
    assert (again.id, same_folder, [item.name for item in again.done]) == (progress.id, folder, ["a", "bad"])
    collect_all(job_in(folder), again, said.append, [writes("a"), raises(ValueError("x")), writes("b")])
    assert [item.name for item in said] == ["a", "bad", "b"]
    assert sorted(path.name for path in folder.iterdir() if path.suffix == ".txt") == ["a.txt", "b.txt"]


@pytest.mark.parametrize(
    ("run", "asked", "wall_ns"),
    [
        ("other", "all", WALL_NS),
        (RUN, "less", WALL_NS),
        (RUN, "all", WALL_NS + RESUME_NS + 1),
        (RUN, "all", WALL_NS - 1),
    ],
)
def test_another_wish_or_an_old_beginning_begins_anew(tmp_path: Path, run: str, asked: str, wall_ns: int) -> None:
    progress, folder = begin(tmp_path, RUN, "all", WALL_NS)
    collect_all(job_in(folder), progress, lambda item: None, [writes("a")])
    anew, folder = begin(tmp_path, run, asked, wall_ns)
    assert anew.done == [] and not (folder / "a.txt").exists()


def test_a_damaged_progress_begins_anew(tmp_path: Path) -> None:
    _, folder = begin(tmp_path, RUN, "all", WALL_NS)
    (folder / "progress.json").write_bytes(b'{"id": 3')
    assert begin(tmp_path, RUN, "all", WALL_NS)[0].done == []


def test_a_packed_bundle_opens_with_its_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    progress, folder = begin(tmp_path, RUN, "all", WALL_NS)
    job = job_in(folder)
    collect_all(job, progress, lambda item: None, [writes("a"), raises(ValueError("x"))])
    target = tmp_path / "out" / "b.cardan.zip"
    header = pack(job, progress, WALL_NS, ("vm", "0.1.0"), target)
    assert not folder.exists() and [path.name for path in target.parent.iterdir()] == ["b.cardan.zip"]
    inside = opened(target)
    assert read_header_or_none(inside) == header and (inside / "a.txt").read_text() == "a"
    assert {item.name: item.ok for item in header.collectors} == {"a": True, "bad": False}
    assert opened(target) == inside == opened(inside)


def test_what_is_no_bundle_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "x").write_bytes(b"PK nothing")
    for named in (tmp_path / "x", tmp_path / "none", tmp_path):
        with pytest.raises(RunError):
            opened(named)


def test_names_that_lead_outside_are_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import zipfile

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    header = b'{"id":"K7M4QP","made_wall_ns":1,"run":"r","was_live":false,"vehicle":"v","computer":"c","cardan":"0"}'
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        for name in ("../outside", "/tmp/outside-of-cardan", "a/../../outside", "inside"):
            archive.writestr(name, b"x")
        archive.writestr(NAME, header)
    folder = opened(tmp_path / "evil.zip")
    assert sorted(path.name for path in folder.rglob("*") if path.is_file()) == ["bundle.json", "inside"]
    assert not list((tmp_path / "cache").rglob("outside")) and not Path("/tmp/outside-of-cardan").exists()


def test_an_id_can_be_read_over_the_phone() -> None:
    ids = {new_id() for _ in range(50)}
    assert len(ids) == 50 and all(len(name) == 6 and set(name) <= set(ALPHABET) for name in ids)
    assert not set("01IO") & set(ALPHABET)
