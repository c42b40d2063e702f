"""What the network saw, as Foxglove draws it: lines and boxes in the vehicle frame, and in the picture."""

from __future__ import annotations

from foxglove.messages import (
    Color,
    CubePrimitive,
    Duration,
    ImageAnnotations,
    LinePrimitive,
    LinePrimitiveLineType,
    Point2,
    Point3,
    PointsAnnotation,
    PointsAnnotationType,
    Pose,
    Quaternion,
    SceneEntity,
    SceneUpdate,
    TextAnnotation,
    Timestamp,
    Vector3,
)

from cardan.runtime.messages import RoadView
from cardan.runtime.web.overlay import LIKELY, Drawing

FRAME = "vehicle"
"""x forward, y left, z up, as Foxglove's 3D panel has it too."""
OWN_SIZE, LEAD_SIZE = (4.5, 1.8, 1.5), (4.5, 1.8, 1.5)
"""Length, width, height of usual cars, in metres: the network gives the place of the lead only."""
REAR_OVERHANG_M = 1.0
"""From the rear axle, which is the origin, to the end of our own car."""
LASTS_S = 1
"""What was seen goes away when nothing new comes."""
GREEN, ORANGE, GREY = (
    Color(r=0.22, g=0.83, b=0.33, a=1.0),
    Color(r=1.0, g=0.65, b=0.34, a=0.8),
    Color(r=0.5, g=0.5, b=0.5, a=0.5),
)
UPRIGHT = Quaternion(x=0.0, y=0.0, z=0.0, w=1.0)


def scene_of(view: RoadView, wall_ns: int, front_bumper_x_m: float) -> SceneUpdate:
    """Own car, lane lines and lead, in the vehicle frame. front_bumper_x_m: where gaps are measured from."""
    stamp = timestamp(wall_ns)
    entities = [_entity("own", stamp, cubes=[_box(OWN_SIZE[0] / 2 - REAR_OVERHANG_M, 0.0, OWN_SIZE, GREY)])]
    if view.lane_probability >= LIKELY:
        sides = [_line(view.x_m, side) for side in (view.left_y_m, view.right_y_m) if len(side) > 1]
        entities.append(_entity("lane", stamp, lines=sides))
    if view.lead_gap_m > 0.0 and view.lead_probability >= LIKELY:
        middle_m = front_bumper_x_m + view.lead_gap_m + LEAD_SIZE[0] / 2
        entities.append(_entity("lead", stamp, cubes=[_box(middle_m, view.lead_y_m, LEAD_SIZE, ORANGE)]))
    return SceneUpdate(entities=entities)


def annotations_of(drawing: Drawing, wall_ns: int) -> ImageAnnotations:
    """The same in pixels of the picture."""
    stamp = timestamp(wall_ns)
    lines = [_points(stamp, PointsAnnotationType.LineStrip, line, GREEN) for line in drawing.lines]
    if drawing.box is None:
        return ImageAnnotations(timestamp=stamp, points=lines)
    left, top, right, bottom = drawing.box
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    label = TextAnnotation(
        timestamp=stamp, position=Point2(x=left, y=top), text=drawing.label, font_size=14.0, text_color=ORANGE
    )
    box = _points(stamp, PointsAnnotationType.LineLoop, corners, ORANGE)
    return ImageAnnotations(timestamp=stamp, points=[*lines, box], texts=[label])


def timestamp(wall_ns: int) -> Timestamp:
    """Wall time as Foxglove has it."""
    seconds, nanoseconds = divmod(wall_ns, 1_000_000_000)
    return Timestamp(seconds, nanoseconds)


def _entity(
    name: str, stamp: Timestamp, *, cubes: list[CubePrimitive] | None = None, lines: list[LinePrimitive] | None = None
) -> SceneEntity:
    return SceneEntity(
        timestamp=stamp, frame_id=FRAME, id=name, lifetime=Duration(LASTS_S), cubes=cubes or [], lines=lines or []
    )


def _box(x_m: float, y_m: float, size: tuple[float, float, float], colour: Color) -> CubePrimitive:
    pose = Pose(position=Vector3(x=x_m, y=y_m, z=size[2] / 2), orientation=UPRIGHT)
    return CubePrimitive(pose=pose, size=Vector3(x=size[0], y=size[1], z=size[2]), color=colour)


def _line(x_m: tuple[float, ...], y_m: tuple[float, ...]) -> LinePrimitive:
    points = [Point3(x=x, y=y, z=0.0) for x, y in zip(x_m, y_m, strict=False)]
    return LinePrimitive(type=LinePrimitiveLineType.LineStrip, thickness=0.15, points=points, color=GREEN)


def _points(
    stamp: Timestamp, kind: PointsAnnotationType, pixels: list[tuple[float, float]], colour: Color
) -> PointsAnnotation:
    points = [Point2(x=x, y=y) for x, y in pixels]
    return PointsAnnotation(timestamp=stamp, type=kind, points=points, outline_color=colour, thickness=3.0)
