"""The newest picture of a camera as JPEG, from its slot in shared memory, with what the network saw in that frame."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from cardan.runtime.bus.codec import MessageDecoder
from cardan.runtime.bus.envelope import HEADER_SIZE, unpack
from cardan.runtime.bus.slots import SlotMaps
from cardan.runtime.bus.tail import Tail, open_tail
from cardan.runtime.cli.exits import NoDataError
from cardan.runtime.cli.runs import FoundRun
from cardan.runtime.clock import Clock
from cardan.runtime.errors import BusError, near_names
from cardan.runtime.messages import CameraCalibration, CameraFrame, Message, RoadView
from cardan.runtime.plan import Plan
from cardan.runtime.record.picture import is_picture, jpeg
from cardan.runtime.web.overlay import Drawing, draw

FRAMES_KEPT = 6
"""Of the slots of a camera, which are eight: older frames are overwritten soon."""
WIDTHS_PX = (160, 320, 640, 1280)
VIEWS_KEPT = 12
QUALITY = 70
TYPES: dict[str, type[Message]] = {
    f"cardan.runtime.messages:{kind.__name__}": kind for kind in (CameraFrame, CameraCalibration, RoadView)
}


@dataclass(frozen=True)
class Picture:
    """One picture."""

    jpeg: bytes
    drawing: str
    """JSON of a Drawing, ASCII."""


@dataclass
class _Heard:
    """What the topics of one camera, and of the networks, have said."""

    frames: deque[tuple[int, bytes]] = field(default_factory=lambda: deque(maxlen=FRAMES_KEPT))
    """Capture and payload, oldest first."""
    calibration: CameraCalibration | None = None


class Pictures:
    """Thread-safe: pages ask at the same time, and one that asks for the same frame again gets the same bytes."""

    def __init__(self, found: Callable[[], FoundRun | None], clock: Clock, widest_px: int) -> None:
        self._found = found
        self._clock = clock
        self._widest_px = widest_px
        self._lock = threading.Lock()
        self._run = ""
        self._tail: Tail | None = None
        self._maps: SlotMaps | None = None
        self._cameras: dict[str, _Heard] = {}
        self._views: deque[tuple[int, RoadView]] = deque(maxlen=VIEWS_KEPT)
        self._made: dict[tuple[str, int], tuple[int, Picture]] = {}

    def newest(self, topic: str, widest_px: int | None = None) -> Picture:
        """The newest picture of the camera topic; NoDataError when there is none to be had, with the reason.

        widest_px: a small screen gets a small picture; never wider than the settings allow.
        """
        with self._lock:
            found = self._found()
            if found is None or not found.live or found.bus_dir is None:
                raise NoDataError("no run is active", hint="of a run that has ended no picture is kept")
            if found.run_id != self._run:
                self._follow(found)
            if topic not in self._cameras:
                raise NoDataError(f'no camera topic "{topic[:80]}"', hint=near_names(topic[:80], list(self._cameras)))
            if self._tail is not None:
                self._tail.drain(self._take)
            return self._picture(topic, self._width_for(widest_px))

    def _width_for(self, asked_px: int | None) -> int:
        """One of few widths, so that viewers share pictures: the smallest that is enough, or the widest allowed."""
        fitting = [width for width in WIDTHS_PX if asked_px is not None and asked_px <= width <= self._widest_px]
        return min(fitting, default=self._widest_px)

    def close(self) -> None:
        with self._lock:
            self._forget()

    def _follow(self, found: FoundRun) -> None:
        self._forget()
        plan, folder = found.plan, found.bus_dir
        if folder is None:
            return
        kinds = {topic: output.type for topic, output in plan.topics().items() if output.type in TYPES}
        self._maps = SlotMaps(folder.parent / "frames")
        self._decoders = {topic: MessageDecoder[Any](TYPES[kind], self._maps) for topic, kind in kinds.items()}
        self._cameras = {topic: _Heard() for topic, kind in kinds.items() if TYPES[kind] is CameraFrame}
        self._calibrates = _calibrates(plan)
        self._tail = open_tail(plan, folder, list(kinds), self._clock, last=FRAMES_KEPT)
        self._run = found.run_id

    def _forget(self) -> None:
        if self._tail is not None:
            self._tail.close()
        if self._maps is not None:
            self._maps.close()
        self._tail = self._maps = None
        self._run = ""
        self._cameras, self._made = {}, {}
        self._views.clear()

    def _take(self, topic: str, message: bytes) -> None:
        with suppress(BusError):
            header, payload = unpack(message), message[HEADER_SIZE:]
            if topic in self._cameras:
                self._cameras[topic].frames.append((header.origin_ns, payload))
                return
            value = self._decoders[topic].decode(payload)
            if isinstance(value, RoadView) and value.status in ("ok", "late", "fallback"):
                self._views.append((header.origin_ns, value))
            elif isinstance(value, CameraCalibration):
                for camera in self._calibrates.get(topic, []):
                    self._cameras[camera].calibration = value

    def _picture(self, topic: str, widest_px: int) -> Picture:
        """The newest frame that a network has seen, if one is still there; else the newest frame."""
        heard = self._cameras[topic]
        views = dict(self._views)
        seen = [frame for frame in heard.frames if frame[0] in views]
        for origin_ns, payload in [*reversed(seen), *reversed(heard.frames)]:
            made = self._made.get((topic, widest_px))
            if made is not None and made[0] == origin_ns:
                return made[1]
            image = self._image_or_none(topic, payload, widest_px)
            if image is not None:
                picture = Picture(jpeg(image, QUALITY), self._drawing(heard, image, origin_ns, views.get(origin_ns)))
                self._made[topic, widest_px] = origin_ns, picture
                return picture
        raise NoDataError(f"no picture came on {topic} yet", hint="is the camera running?")

    def _image_or_none(self, topic: str, payload: bytes, widest_px: int) -> np.ndarray | None:
        """A copy of the picture, made smaller; None when its slot was reused meanwhile, or it is none."""
        decoder = self._decoders[topic]
        try:
            message = decoder.decode(payload)
        except BusError:
            return None
        if not is_picture(message):
            return None
        step = -(-message.image.shape[1] // widest_px)
        image = np.array(message.image[::step, ::step])
        return image if decoder.intact else None

    def _drawing(self, heard: _Heard, image: np.ndarray, origin_ns: int, view: RoadView | None) -> str:
        height, width = image.shape[:2]
        if view is None:
            drawing = Drawing(width=width, height=height)
        elif heard.calibration is None:
            drawing = Drawing(width=width, height=height, note="nothing is drawn: the camera gives no calibration")
        else:
            drawing = draw(heard.calibration, view, width, height)
        age_ms = round((self._clock.now_ns() - origin_ns) / 1e6, 1)
        return msgspec.json.encode(msgspec.structs.replace(drawing, age_ms=age_ms)).decode()


def _calibrates(plan: Plan) -> dict[str, list[str]]:
    """Calibration topic -> the camera topics of the same node."""
    return {
        output.topic: [other.topic for other in node.outputs if TYPES.get(other.type) is CameraFrame]
        for node in plan.nodes
        for output in node.outputs
        if TYPES.get(output.type) is CameraCalibration
    }
