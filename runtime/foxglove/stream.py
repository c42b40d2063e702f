"""One run to Foxglove: what its topics and its log say is read from outside and shown to whoever has subscribed."""

from __future__ import annotations

from contextlib import suppress
from fnmatch import fnmatchcase

import foxglove
import msgspec
from foxglove.channels import CompressedImageChannel, ImageAnnotationsChannel, LogChannel, SceneUpdateChannel
from foxglove.messages import CompressedImage, Log, LogLevel
from foxglove.websocket import WebSocketServer

from cardan.runtime.bus.envelope import HEADER_SIZE, Header, unpack
from cardan.runtime.bus.tail import Tail, open_tail
from cardan.runtime.cli.exits import NoDataError
from cardan.runtime.cli.foreign import decode_foreign, is_long, json_safe
from cardan.runtime.cli.runs import FoundRun
from cardan.runtime.clock import NS_PER_S, Clock, ns
from cardan.runtime.errors import BusError, ConfigError
from cardan.runtime.foxglove.scene import annotations_of, scene_of, timestamp
from cardan.runtime.foxglove.settings import FoxgloveSettings
from cardan.runtime.log.read import Follower
from cardan.runtime.log.record import LogRecord
from cardan.runtime.messages import CameraCalibration, RoadView
from cardan.runtime.web.overlay import Drawing
from cardan.runtime.web.pictures import Pictures

MESSAGES = "cardan.runtime.messages:"
CAMERA, ROAD, CALIBRATION = (f"{MESSAGES}{name}" for name in ("CameraFrame", "RoadView", "CameraCalibration"))
LEVELS = {"debug": LogLevel.Debug, "info": LogLevel.Info, "warning": LogLevel.Warning, "error": LogLevel.Error}
LOG_EVERY_NS = ns(0.25)
BACKLOG = 256
"""Messages that may wait for one client; the oldest are dropped beyond it, by the library."""


class Stream:
    """`step` it often; `close` it. Not thread-safe. What nobody has subscribed to is not even decoded."""

    def __init__(self, found: FoundRun, settings: FoxgloveSettings, clock: Clock) -> None:
        if found.bus_dir is None:
            raise NoDataError("no run is active", hint="a recording opens in Foxglove as a file: `cardan record list`")
        self._clock = clock
        self._settings = settings
        self._wall_offset_ns = clock.wall_ns() - clock.now_ns()
        self._context = foxglove.Context()
        self._types = {topic: output.type for topic, output in found.plan.topics().items()}
        self._shown = [topic for topic in self._types if self._is_shown(topic)]
        self._json = {topic: self._json_channel(topic) for topic in self._shown}
        cameras = [topic for topic, kind in self._types.items() if kind == CAMERA]
        self._images = {topic: CompressedImageChannel(f"/{topic}", context=self._context) for topic in cameras}
        self._drawn = {topic: ImageAnnotationsChannel(f"/{topic}/seen", context=self._context) for topic in cameras}
        self._scene = SceneUpdateChannel("/scene", context=self._context)
        self._log = LogChannel("/log", context=self._context)
        self._newest: dict[str, tuple[Header, bytes]] = {}
        self._bumper_x_m = 0.0
        self.overtaken = 0
        """Messages that a newer one of their topic replaced before it was time to show it."""
        self._due_ns = dict.fromkeys(("topics", "pictures", "log"), 0)
        self._server = self._serve(found)
        self._tail: Tail = open_tail(found.plan, found.bus_dir, self._listened_to(), clock, last=1)
        self._pictures = Pictures(lambda: found, clock, settings.picture_px)
        self._follower = Follower(found.logs)

    @property
    def address(self) -> str:
        """What a person gives Foxglove as the address of a live connection."""
        return f"ws://127.0.0.1:{self._server.port}"

    def step(self) -> None:
        """Take what has come, and show what is due. Never blocks."""
        now_ns = self._clock.now_ns()
        self._tail.drain(self._take)
        if self._is_due("topics", now_ns, NS_PER_S / self._settings.rate_hz):
            self._show_topics()
        if self._is_due("pictures", now_ns, NS_PER_S / self._settings.picture_hz):
            self._show_pictures()
        if self._is_due("log", now_ns, LOG_EVERY_NS):
            self._show_log(self._follower.take())

    def close(self) -> None:
        self._tail.close()
        self._pictures.close()
        self._server.stop()

    def _serve(self, found: FoundRun) -> WebSocketServer:
        try:
            return foxglove.start_server(
                name=f"cardan {found.title}",
                host="127.0.0.1",
                port=self._settings.port,
                capabilities=[],
                session_id=found.run_id,
                context=self._context,
                message_backlog_size=BACKLOG,
            )
        except (RuntimeError, OSError) as error:
            hint = "another port; `ss -ltnp` shows who listens there"
            raise ConfigError(f"cannot serve Foxglove on port {self._settings.port}: {error}", hint=hint) from error

    def _is_shown(self, topic: str) -> bool:
        return self._types[topic] != CAMERA and any(fnmatchcase(topic, pattern) for pattern in self._settings.topics)

    def _listened_to(self) -> list[str]:
        return [topic for topic, kind in self._types.items() if topic in self._json or kind in (ROAD, CALIBRATION)]

    def _json_channel(self, topic: str) -> foxglove.Channel:
        schema = {"type": "object", "title": self._types[topic].rpartition(":")[2]}
        return foxglove.Channel(f"/{topic}", schema=schema, message_encoding="json", context=self._context)

    def _is_due(self, what: str, now_ns: int, period_ns: float) -> bool:
        if now_ns < self._due_ns[what]:
            return False
        self._due_ns[what] = now_ns + round(period_ns)
        return True

    def _take(self, topic: str, message: bytes) -> None:
        with suppress(BusError):
            header, payload = unpack(message), message[HEADER_SIZE:]
            if self._types[topic] == CALIBRATION:
                with suppress(msgspec.MsgspecError):
                    self._bumper_x_m = msgspec.msgpack.decode(payload, type=CameraCalibration).front_bumper_x_m
            self.overtaken += topic in self._newest
            self._newest[topic] = header, payload

    def _show_topics(self) -> None:
        newest, self._newest = self._newest, {}
        for topic, (header, payload) in newest.items():
            wall_ns = header.sent_ns + self._wall_offset_ns
            channel = self._json.get(topic)
            if channel is not None and channel.has_sinks() and not is_long(payload):
                with suppress(BusError):
                    channel.log(_as_object(json_safe(decode_foreign(payload))), log_time=wall_ns)
            if self._types[topic] == ROAD and self._scene.has_sinks():
                with suppress(msgspec.MsgspecError):
                    view = msgspec.msgpack.decode(payload, type=RoadView)
                    self._scene.log(scene_of(view, wall_ns, self._bumper_x_m), log_time=wall_ns)

    def _show_pictures(self) -> None:
        for topic, channel in self._images.items():
            if not channel.has_sinks() and not self._drawn[topic].has_sinks():
                continue
            try:
                picture = self._pictures.newest(topic)
            except NoDataError:  # none came yet
                continue
            drawing = msgspec.json.decode(picture.drawing, type=Drawing)
            wall_ns = self._clock.wall_ns() - ns(drawing.age_ms / 1e3)
            image = CompressedImage(timestamp=timestamp(wall_ns), frame_id=topic, data=picture.jpeg, format="jpeg")
            channel.log(image, log_time=wall_ns)
            self._drawn[topic].log(annotations_of(drawing, wall_ns), log_time=wall_ns)

    def _show_log(self, records: list[LogRecord]) -> None:
        for record in records:
            self._log.log(
                Log(
                    timestamp=timestamp(record.wall_ns),
                    level=LEVELS.get(record.level, LogLevel.Unknown),
                    message=record.text,
                    name=record.node or "run",
                    file=record.code,
                ),
                log_time=record.wall_ns,
            )


def _as_object(value: object) -> dict[str, object]:
    """Foxglove wants an object; a message of ours is one."""
    return value if isinstance(value, dict) else {"value": value}
