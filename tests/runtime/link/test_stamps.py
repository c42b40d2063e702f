import numpy as np

from cardan.runtime.link.stamps import has_stamps, shift_stamps
from cardan.runtime.messages import CameraFrame, CanFrame, CanFrames, Message, RoadView


class Pose(Message, frozen=True, kw_only=True):
    stamp_ns: int
    x_m: float
    history: tuple[CanFrame, ...] = ()


def earlier(stamp_ns: int) -> int:
    return stamp_ns - 1000


def test_stamps_at_any_depth_are_shifted_and_nothing_else() -> None:
    frames = [CanFrame("vehicle", 1, b"", 5000), CanFrame("vehicle", 2, b"", 0)]
    assert shift_stamps(CanFrames(frames=frames), earlier) == CanFrames(
        frames=[CanFrame("vehicle", 1, b"", 4000), CanFrame("vehicle", 2, b"", 0)]
    ), "0 means that there is none"
    pose = Pose(stamp_ns=9000, x_m=9000.0, history=(frames[0],))
    assert shift_stamps(pose, earlier) == Pose(stamp_ns=8000, x_m=9000.0, history=(CanFrame("vehicle", 1, b"", 4000),))


def test_types_without_stamps_are_known_beforehand() -> None:
    assert has_stamps(Pose) and has_stamps(CanFrames)
    assert not has_stamps(RoadView) and not has_stamps(CameraFrame)


def test_arrays_stay_the_same_object() -> None:
    image = np.zeros((2, 2, 3), np.uint8)
    assert shift_stamps(CameraFrame(frame_id=1, image=image), earlier).image is image
