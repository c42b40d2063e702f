"""Make docs/pictures/demo.png from a real run: the camera frame with the network's answer, and the live view.

python docs/pictures/make_demo.py [OUTPUT]        (Debian: fonts-dejavu-core for the type)
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from cardan.drivers.sim.camera_model import CameraModel
from cardan.runtime.bus.codec import MessageDecoder
from cardan.runtime.bus.envelope import HEADER_SIZE
from cardan.runtime.bus.slots import SlotMaps
from cardan.runtime.bus.tail import open_tail
from cardan.runtime.cli.snapshot import take_snapshot
from cardan.runtime.cli.view import Scene, render
from cardan.runtime.clock import MonotonicClock
from cardan.runtime.messages import BridgeVerdict, CameraFrame, RoadView
from cardan.runtime.plan import read_plan
from cardan.runtime.record.files import recording_path
from cardan.runtime.run import RunPaths, current_run, data_folder
from cardan.runtime.vitals import open_vitals

DRIVES_S = 29.0
FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf"
COLOURS = {"good": "#7ee787", "bad": "#ff7b72", "warning": "#e3b341", "title": "#79c0ff"}
TYPES = {"camera/frame": CameraFrame, "engines/road": RoadView, "bridge/verdict": BridgeVerdict}


class Listener:
    """Keeps the newest message of each topic, as any foreign program on this computer could."""

    def __init__(self, paths: RunPaths) -> None:
        maps = SlotMaps(paths.frames)
        self._decoders: dict[str, MessageDecoder[Any]] = {name: MessageDecoder(t, maps) for name, t in TYPES.items()}
        self._tail = open_tail(read_plan(paths.plan), paths.bus, list(TYPES), MonotonicClock())
        self.newest: dict[str, Any] = {}
        self.pair: tuple[Image.Image, RoadView] | None = None
        self._frames: dict[int, Image.Image] = {}

    def listen(self, seconds: float) -> None:
        """Take what comes; a picture and the view of the same frame make a pair: the one with the nearest lead."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._tail.wait(0.05)
            self._tail.drain(self._take)

    def _take(self, topic: str, message: bytes) -> None:
        value = self._decoders[topic].decode(message[HEADER_SIZE:])
        self.newest[topic] = value
        if isinstance(value, CameraFrame):
            self._frames = {value.frame_id: Image.fromarray(value.image.copy())}
        elif isinstance(value, RoadView) and value.frame_id in self._frames and self._is_nearer(value):
            self.pair = (self._frames[value.frame_id], value)

    def _is_nearer(self, view: RoadView) -> bool:
        return bool(view.x_m) and (self.pair is None or 0 < view.lead_gap_m < (self.pair[1].lead_gap_m or 1e9))


def draw_view(image: Image.Image, view: RoadView, width: int) -> Image.Image:
    """The frame, enlarged, with lane lines and lead as the network saw them."""
    camera = CameraModel()
    scale = width / image.width
    picture = image.resize((width, round(image.height * scale)), Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(picture)
    for side in (view.left_y_m, view.right_y_m):
        points = [camera.pixel_of(x, y) for x, y in zip(view.x_m, side, strict=True)]
        draw.line([(u * scale, v * scale) for u, v in points], fill="#39d353", width=4, joint="curve")
    if view.lead_gap_m > 0:
        rear_m = view.lead_gap_m + 3.43
        left, bottom = camera.pixel_of(rear_m, view.lead_y_m + 0.95)
        right, top = camera.pixel_of(rear_m, view.lead_y_m - 0.95, 1.5)
        draw.rectangle([left * scale, top * scale, right * scale, bottom * scale], outline="#ffa657", width=3)
        text = f"lead {view.lead_gap_m:.0f} m  ({view.lead_probability:.0%})"
        draw.text((left * scale, top * scale - 24), text, fill="#ffa657", font=ImageFont.truetype(FONT, 16))
    return picture


def draw_terminal(scene: Scene, width: int) -> Image.Image:
    """The live view, 80 columns and 24 rows, as a terminal shows it."""
    font = ImageFont.truetype(FONT, 15)
    cell_w, cell_h = width / 82, 19
    picture = Image.new("RGB", (width, 24 * cell_h + 20), "#0d1117")
    draw = ImageDraw.Draw(picture)
    for row, line in enumerate(render(scene)):
        for column, letter in enumerate(line.text):
            place = (cell_w * (column + 1), 10 + row * cell_h)
            draw.text(place, letter, fill=COLOURS.get(line.role, "#c9d1d9"), font=font)
    return picture


def main(output: Path) -> None:
    process = subprocess.Popen([sys.executable, "-m", "cardan.runtime.cli.main", "up", "--for", f"{DRIVES_S + 6:g}s"])
    paths = None
    while paths is None or not paths.vitals.exists():
        time.sleep(0.1)
        paths = current_run(data_folder())
    plan = read_plan(paths.plan)
    vitals = open_vitals(paths.vitals, plan)
    listener = Listener(paths)
    listener.listen(DRIVES_S)
    before = take_snapshot(plan, vitals, time.monotonic_ns())
    listener.listen(1.0)
    recording = recording_path(paths.data_dir, paths.run_id)
    scene = Scene(
        plan=plan,
        now=take_snapshot(plan, vitals, time.monotonic_ns()),
        before=before,
        engagement=listener.newest["bridge/verdict"].engagement,
        recording=f"~/.local/share/cardan/recordings/{recording.name}",
        recording_bytes=recording.stat().st_size,
    )
    if listener.pair is None:
        raise SystemExit("no camera frame came with a view of the road")
    top, bottom = draw_view(*listener.pair, 900), draw_terminal(scene, 900)
    whole = Image.new("RGB", (900, top.height + bottom.height))
    whole.paste(top, (0, 0))
    whole.paste(bottom, (0, top.height))
    whole.save(output, optimize=True)
    process.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("demo.png"))
