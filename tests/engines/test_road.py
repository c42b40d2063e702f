from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cardan.engines.road import RoadEngine, RoadEngineConfig
from cardan.runtime.errors import ConfigError
from cardan.runtime.messages import CameraFrame, RoadView
from cardan.runtime.testing import Bench

MakeNet = Callable[..., bytes]


def picture(frame_id: int = 0, grey: int = 100) -> CameraFrame:
    return CameraFrame(frame_id=frame_id, image=np.full((8, 8, 3), grey, np.uint8))


def bench_with(folder: Path, content: bytes, **config: object) -> Bench[RoadEngine]:
    (folder / "net.onnx").write_bytes(content)
    settings = RoadEngineConfig(model="net.onnx", **config)  # type: ignore[arg-type]  # test settings by name
    return Bench(RoadEngine, config=settings, manifest_dir=folder)


def last(bench: Bench[RoadEngine]) -> RoadView:
    view: RoadView = bench.sent("view")[-1].value
    return view


def test_a_frame_gives_lines_and_lead_with_its_origin(tmp_path: Path, make_road_net: MakeNet) -> None:
    with bench_with(tmp_path, make_road_net()) as bench:
        bench.send("frame", picture(frame_id=4), origin_ns=bench.clock.now_ns() - 5_000_000)
        bench.node.step()
        sample = bench.sent("view")[0]
        view = last(bench)
        assert sample.valid
        assert sample.origin_ns == bench.clock.now_ns() - 5_000_000
        assert (view.status, view.frame_id, view.x_m) == ("ok", 4, (10.0, 20.0))
        assert view.left_y_m == (1.75, 1.75)
        assert view.lead_gap_m == 30.0


def test_without_a_new_frame_nothing_is_sent(tmp_path: Path, make_road_net: MakeNet) -> None:
    with bench_with(tmp_path, make_road_net()) as bench:
        bench.node.step()
        assert bench.sent("view") == []


@pytest.mark.parametrize(
    ("tensor", "value"),
    [("left_y", float("nan")), ("lead_gap", float("inf")), ("lane_probability", 1.5), ("right_y", -1e6)],
)
def test_invalid_output_is_a_status_and_never_data(
    tmp_path: Path, make_road_net: MakeNet, tensor: str, value: float
) -> None:
    size = 2 if tensor.endswith("_y") and tensor != "lead_y" else 1
    with bench_with(tmp_path, make_road_net({tensor: [value] * size})) as bench:
        bench.send("frame", picture())
        bench.node.step()
        assert not bench.sent("view")[0].valid
        assert (last(bench).status, last(bench).x_m, last(bench).left_y_m) == ("invalid", (), ())
        assert last(bench).lead_gap_m == last(bench).lane_probability == 0.0
        assert bench.metric("invalid") == (1, 1.0)


def test_a_result_after_its_deadline_is_marked_late(tmp_path: Path, make_road_net: MakeNet) -> None:
    with bench_with(tmp_path, make_road_net(), deadline_s=0.02) as bench:
        bench.send("frame", picture())
        bench.clock.advance_s(0.03)
        bench.node.step()
        assert last(bench).status == "late"
        assert last(bench).x_m == (10.0, 20.0)


def test_frames_that_were_skipped_are_counted(tmp_path: Path, make_road_net: MakeNet) -> None:
    with bench_with(tmp_path, make_road_net()) as bench:
        for frame_id in (3, 7):
            bench.send("frame", picture(frame_id))
            bench.step()
        assert [sample.value.dropped for sample in bench.sent("view")] == [0, 3]


def test_without_a_lead_its_numbers_are_zero(tmp_path: Path, make_road_net: MakeNet) -> None:
    with bench_with(tmp_path, make_road_net({"lead_probability": [0.2]})) as bench:
        bench.send("frame", picture())
        bench.node.step()
        assert (last(bench).lead_gap_m, last(bench).lead_y_m) == (0.0, 0.0)


def test_a_stale_frame_makes_an_invalid_view(tmp_path: Path, make_road_net: MakeNet) -> None:
    with bench_with(tmp_path, make_road_net()) as bench:
        bench.send("frame", picture(), valid=False)
        bench.node.step()
        assert not bench.sent("view")[0].valid


@pytest.mark.parametrize("metadata", [{}, {"x_m": "[10, 20]", "crop": "{}"}, {"x_m": "ten", "crop": "[]"}])
def test_a_model_that_does_not_say_its_contract_is_refused(
    tmp_path: Path, make_road_net: MakeNet, metadata: dict[str, str]
) -> None:
    with pytest.raises(ConfigError, match="stations and crop"):
        bench_with(tmp_path, make_road_net(metadata=metadata))


def test_a_model_with_other_stations_than_outputs_is_refused(tmp_path: Path, make_road_net: MakeNet) -> None:
    with pytest.raises(ConfigError, match="is no road network"):
        bench_with(tmp_path, make_road_net({"left_y": [1.0], "right_y": [1.0]}))


def test_the_shipped_model_keeps_its_contract_and_says_where_it_may_be_used() -> None:
    with Bench(RoadEngine) as bench:
        assert "synthetic scenes only" in bench.node._session.metadata["trained_on"]
        bench.send("frame", CameraFrame(frame_id=0, image=np.zeros((360, 640, 3), np.uint8)))
        bench.node.step()
        assert last(bench).status == "ok"
        assert last(bench).lane_probability < 0.5
        assert last(bench).x_m == ()


def test_lines_that_cross_are_invalid(tmp_path: Path, make_road_net: MakeNet) -> None:
    with bench_with(tmp_path, make_road_net({"left_y": [1.75, -2.0]})) as bench:
        bench.send("frame", picture())
        bench.node.step()
        assert (last(bench).status, last(bench).left_y_m) == ("invalid", ())


def test_a_lane_that_is_not_seen_has_no_lines(tmp_path: Path, make_road_net: MakeNet) -> None:
    with bench_with(tmp_path, make_road_net({"lane_probability": [0.3], "left_y": [-9.0, -9.0]})) as bench:
        bench.send("frame", picture())
        bench.node.step()
        view = last(bench)
        assert (view.status, view.x_m, view.left_y_m, view.right_y_m) == ("ok", (), (), ())
        assert view.lane_probability == pytest.approx(0.3)
