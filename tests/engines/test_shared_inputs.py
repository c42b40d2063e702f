"""One frame for several networks: who reads it, who gets a copy, and that each has the frame that it says."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from cardan.engines.model import Model
from cardan.engines.model_text import model_text
from cardan.engines.served import OVERWRITTEN, read_into
from cardan.engines.shared_inputs import SharedInputs
from cardan.engines.tensors import Tensor
from cardan.runtime.graph import load_plan
from cardan.runtime.rehearsal import Rehearsal

Drive = Callable[..., dict[str, int]]


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[Drive]:
    """Some frames for engines (name -> class and form): what each has in its input at the end, and `filled`: how often
    one was filled from a frame."""
    shutil.copy(Path(__file__).parent / "form_engine.py", tmp_path)
    (tmp_path / "net.onnx").write_bytes(b"net")
    model = Model(
        name="net",
        file="net.onnx",
        sha256=hashlib.sha256(b"net").hexdigest(),
        inputs={"pixel": Tensor(dtype="uint8", shape=(1,))},
        outputs={"depth": Tensor(dtype="float32", shape=(1,), minimum=0.0, maximum=80.0)},
        rate_hz=20.0,
        deadline_ms=50.0,
        backends=("sim",),
    )
    (tmp_path / "net.toml").write_text(model_text(model))
    with ExitStack() as closing:

        def go(frames: int, **engines: tuple[str, str]) -> dict[str, int]:
            text = 'schema = 1\nname = "shared"\n[nodes.camera]\nuse = "form_engine:Camera"\n'
            text += '[nodes.engines]\nuse = "engine-host"\nprocess = "exec"\n'
            for name, (kind, form) in engines.items():
                text += f'[engines.{name}]\nuse = "form_engine:{kind}"\nmodel = "net.toml"\ninput = "camera/frame"\n'
                text += f'config = {{ form = "{form}" }}\n' if form else ""
            (tmp_path / "vehicle.toml").write_text(text)
            rehearsal = closing.enter_context(Rehearsal(load_plan(str(tmp_path)), tmp_path))
            rehearsal.run_for_s((frames - 0.5) / 20)
            served = rehearsal.node("engines")._served
            found = {name: int(served[name].loaded.session.inputs["pixel"][0]) for name in engines}
            assert {served[name].frame.frame_id for name in engines} == {frames}
            return found | {"filled": len(next(iter(served.values())).loaded.engine.filled)}

        yield go


def test_of_engines_with_one_form_one_reads_the_frame(drive: Drive) -> None:
    found = drive(3, one=("FormEngine", "small"), two=("FormEngine", "small"), three=("FormEngine", "small"))
    assert found == {"one": 3, "two": 3, "three": 3, "filled": 3}


def test_engines_with_other_forms_or_another_way_to_fill_read_it_themselves(drive: Drive) -> None:
    found = drive(3, one=("FormEngine", "small"), two=("FormEngine", "large"), three=("OtherEngine", "small"))
    assert found == {"one": 3, "two": 3, "three": 252, "filled": 9}


def test_engines_that_say_nothing_of_their_form_read_it_themselves(drive: Drive) -> None:
    assert drive(3, one=("FormEngine", ""), two=("FormEngine", "")) == {"one": 3, "two": 3, "filled": 6}


class Filler:
    """An engine that writes the number of a frame into its input."""

    form = "small"
    max_age_s = 0.5

    def fill(self, frame: Any, inputs: dict[str, np.ndarray]) -> None:
        inputs["pixel"][0] = frame.frame_id


def network() -> Any:
    return SimpleNamespace(engine=Filler(), session=SimpleNamespace(inputs={"pixel": np.zeros(1, np.int64)}))


def reader(frame_id: int, topic: str = "camera/frame", intact: bool = True) -> Any:
    return SimpleNamespace(
        newest_id=(topic, 1, frame_id),
        value_or_none=SimpleNamespace(frame_id=frame_id),
        seq=frame_id,
        origin_ns=0,
        valid=True,
        intact=intact,
    )


@given(some.lists(some.tuples(some.integers(0, 3), some.integers(0, 2), some.booleans()), max_size=40))
def test_whoever_reads_whatever_when_each_input_holds_the_frame_that_is_named(
    steps: list[tuple[int, int, bool]],
) -> None:
    """steps: which network, how many frames on, whether the frame stayed until it was read."""
    shared, networks, newest, read_whole = SharedInputs(), [network() for _ in range(4)], 0, set()
    for which, later, intact in steps:
        newest += later
        frame, problem = read_into(networks[which], reader(newest, intact=intact), shared)
        assert frame.frame_id == newest
        assert networks[which].session.inputs["pixel"][0] == newest
        read_whole |= {newest} if intact else set()
        assert problem == (None if newest in read_whole else OVERWRITTEN)


def test_a_frame_that_was_overwritten_while_it_was_read_is_copied_to_nobody() -> None:
    shared, one, two = SharedInputs(), network(), network()
    assert read_into(one, reader(5, intact=False), shared)[1] == OVERWRITTEN
    two.engine.fill = lambda frame, inputs: inputs["pixel"].fill(99)
    assert read_into(two, reader(5), shared)[1] is None
    assert two.session.inputs["pixel"][0] == 99


def test_frames_of_two_cameras_are_two_frames() -> None:
    shared, one, two = SharedInputs(), network(), network()
    read_into(one, reader(5, "front/frame"), shared)
    two.engine.fill = lambda frame, inputs: inputs["pixel"].fill(99)
    read_into(two, reader(5, "rear/frame"), shared)
    assert two.session.inputs["pixel"][0] == 99


def test_inputs_that_are_gone_are_copied_from_no_more() -> None:
    shared, one, two = SharedInputs(), network(), network()
    read_into(one, reader(5), shared)
    one.session.inputs = {}
    read_into(two, reader(5), shared)
    assert two.session.inputs["pixel"][0] == 5
