from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cardan.engines.host import EngineHost
from cardan.engines.model import ModelFile, read_model
from cardan.engines.testing import engine_bench
from cardan.runtime.findings import ObjectedError
from cardan.runtime.messages import CameraFrame, RoadView
from cardan.runtime.testing import Bench

MakeNet = Callable[..., bytes]
WriteModel = Callable[..., ModelFile]
BenchWith = Callable[..., Bench[EngineHost]]


def picture(frame_id: int = 0, grey: int = 100) -> CameraFrame:
    return CameraFrame(frame_id=frame_id, image=np.full((8, 8, 3), grey, np.uint8))


@pytest.fixture
def bench_with(tmp_path: Path, make_road_net: MakeNet, write_model: WriteModel) -> BenchWith:
    """The engine on a network of constants. values: of its outputs; changes: of its model file."""

    def make(values: dict[str, list[float]] | None = None, **changes: object) -> Bench[EngineHost]:
        write_model(tmp_path, make_road_net(values), **changes)
        return engine_bench("road", "net.toml", manifest_dir=tmp_path)

    return make


def last(bench: Bench[EngineHost]) -> RoadView:
    view: RoadView = bench.sent("engine")[-1].value
    return view


def test_a_frame_gives_lines_and_lead_with_its_origin(bench_with: BenchWith) -> None:
    with bench_with() as bench:
        bench.send("engine.frame", picture(frame_id=4), origin_ns=bench.clock.now_ns() - 5_000_000)
        bench.node.step()
        sample = bench.sent("engine")[0]
        view = last(bench)
        assert sample.valid
        assert sample.origin_ns == bench.clock.now_ns() - 5_000_000
        assert (view.status, view.frame_id, view.x_m) == ("ok", 4, (10.0, 20.0))
        assert view.left_y_m == (1.75, 1.75)
        assert view.lead_gap_m == 30.0


def test_without_a_new_frame_nothing_is_sent(bench_with: BenchWith) -> None:
    with bench_with() as bench:
        bench.node.step()
        assert bench.sent("engine") == []


@pytest.mark.parametrize(
    ("tensor", "value"),
    [("left_y", float("nan")), ("lead_gap", float("inf")), ("lane_probability", 1.5), ("right_y", -1e6)],
)
def test_invalid_output_is_a_status_and_never_data(bench_with: BenchWith, tensor: str, value: float) -> None:
    size = 2 if tensor.endswith("_y") and tensor != "lead_y" else 1
    with bench_with({tensor: [value] * size}) as bench:
        bench.send("engine.frame", picture())
        bench.node.step()
        assert not bench.sent("engine")[0].valid
        assert (last(bench).status, last(bench).x_m, last(bench).left_y_m) == ("invalid", (), ())
        assert last(bench).lead_gap_m == last(bench).lane_probability == 0.0
        assert bench.metric("engine.invalid") == (1, 1.0)


def test_a_result_after_its_deadline_is_marked_late(bench_with: BenchWith) -> None:
    with bench_with(deadline_ms=20.0, when_late="run") as bench:
        bench.send("engine.frame", picture())
        bench.clock.advance_s(0.03)
        bench.node.step()
        assert last(bench).status == "late"
        assert last(bench).x_m == (10.0, 20.0)
        assert last(bench).deadline_ns == bench.clock.now_ns() - 10_000_000


def test_frames_that_were_skipped_are_counted(bench_with: BenchWith) -> None:
    with bench_with() as bench:
        for frame_ids in ((3,), (4, 5, 6, 7)):
            for frame_id in frame_ids:
                bench.send("engine.frame", picture(frame_id))
            bench.step()
        assert [(sample.value.frame_id, sample.value.dropped) for sample in bench.sent("engine")] == [(3, 0), (7, 3)]


def test_without_a_lead_its_numbers_are_zero(bench_with: BenchWith) -> None:
    with bench_with({"lead_probability": [0.2]}) as bench:
        bench.send("engine.frame", picture())
        bench.node.step()
        assert (last(bench).lead_gap_m, last(bench).lead_y_m) == (0.0, 0.0)


def test_a_stale_frame_makes_an_invalid_view(bench_with: BenchWith) -> None:
    with bench_with() as bench:
        bench.send("engine.frame", picture(), valid=False)
        bench.node.step()
        assert not bench.sent("engine")[0].valid


@pytest.mark.parametrize("meta", [{}, {"x_m": [10, 20], "crop": {}}, {"x_m": "ten", "crop": []}])
def test_a_model_that_does_not_say_its_contract_is_refused(bench_with: BenchWith, meta: dict[str, object]) -> None:
    with pytest.raises(ObjectedError, match=r"engines.engine.model: .* stations and crop"):
        bench_with(meta=meta)


def test_a_model_with_other_stations_than_outputs_is_refused(bench_with: BenchWith) -> None:
    with pytest.raises(ObjectedError, match="is no road network"):
        bench_with({"left_y": [1.0], "right_y": [1.0]})


def test_the_shipped_model_keeps_its_contract_and_says_where_it_may_be_used() -> None:
    assert "synthetic scenes only" in read_model("road_net", folder=Path()).model.meta["trained_on"]
    with engine_bench("road", "road_net") as bench:
        bench.send("engine.frame", CameraFrame(frame_id=0, image=np.zeros((360, 640, 3), np.uint8)))
        bench.node.step()
        assert last(bench).status == "ok"
        assert last(bench).lane_probability < 0.5
        assert last(bench).x_m == ()


def test_lines_that_cross_are_invalid(bench_with: BenchWith) -> None:
    with bench_with({"left_y": [1.75, -2.0]}) as bench:
        bench.send("engine.frame", picture())
        bench.node.step()
        assert (last(bench).status, last(bench).left_y_m) == ("invalid", ())


def test_a_lane_that_is_not_seen_has_no_lines(bench_with: BenchWith) -> None:
    with bench_with({"lane_probability": [0.3], "left_y": [-9.0, -9.0]}) as bench:
        bench.send("engine.frame", picture())
        bench.node.step()
        view = last(bench)
        assert (view.status, view.x_m, view.left_y_m, view.right_y_m) == ("ok", (), (), ())
        assert view.lane_probability == pytest.approx(0.3)
