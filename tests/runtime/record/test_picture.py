"""Pictures in a recording: JPEG messages under the schema name that viewers know."""

from __future__ import annotations

import json
import sys
from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from cardan.runtime.errors import ConfigError
from cardan.runtime.messages import CameraFrame
from cardan.runtime.record.picture import PictureForm, is_picture


def gradient(height: int = 36, width: int = 64) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, rows + columns], axis=-1).astype(np.uint8)


def test_a_frame_is_recorded_as_a_jpeg_that_looks_the_same() -> None:
    form = PictureForm("camera/frame", wall_offset_ns=1_700_000_000_000_000_000, quality=90)
    recorded = json.loads(form.encode(CameraFrame(frame_id=7, image=gradient()), 5_000_000_123))
    assert recorded["format"] == "jpeg"
    assert recorded["frame_id"] == "camera/frame"
    assert recorded["message"] == {"frame_id": 7}
    assert recorded["timestamp"] == {"sec": 1_700_000_005, "nsec": 123}
    picture = np.asarray(Image.open(BytesIO(b64decode(recorded["data"]))))
    assert np.abs(picture.astype(int) - gradient()).mean() < 3


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (np.zeros((4, 6, 3), np.uint8), True),
        (np.zeros((4, 6), np.uint8), True),
        (np.zeros((4, 6, 4), np.uint8), False),
        (np.zeros((4, 6, 3), np.float32), False),
        (np.zeros((0, 6, 3), np.uint8), False),
    ],
)
def test_only_what_jpeg_can_hold_is_a_picture(image: np.ndarray, expected: bool) -> None:
    assert is_picture(CameraFrame(frame_id=0, image=image)) is expected


def test_a_missing_pillow_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ConfigError, match=r"cardan\[record\]"):
        PictureForm("c", wall_offset_ns=0, quality=80).encode(CameraFrame(frame_id=0, image=gradient()), 0)
