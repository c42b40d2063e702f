"""Where messages of a topic are lost: at the sensor and its driver, on the way, or in the queue of a reader."""

from __future__ import annotations

from cardan.runtime.cli.edges import edges_of, losses
from cardan.runtime.cli.exits import NoDataError, UsageError
from cardan.runtime.cli.snapshot import NodeShot
from cardan.runtime.cli.status import at_start
from cardan.runtime.cli.trace_path import CAMERA_FRAME
from cardan.runtime.cli.units import count, ms, plural
from cardan.runtime.clock import ns
from cardan.runtime.errors import near_names
from cardan.runtime.why.answer import Answer
from cardan.runtime.why.evidence import Evidence
from cardan.runtime.why.late import _count_text, _times

QUESTION = "dropped"
TOLERATED = 0.01
"""Of the frames that the rate asks for: so many may be missing by how a run begins and ends."""


def answer(evidence: Evidence, topic: str = "") -> Answer:
    """Of one topic, or of the one topic of a node; of the first camera, when none is named."""
    topic = _topic(evidence, topic)
    publisher = next(node for node in evidence.shot.nodes if node.plan.name == topic.partition("/")[0])
    series = next(item for _, item in evidence.shot.outputs() if item.plan.topic == topic)
    expected = _expected(evidence, publisher)
    absent = 0 if expected is None else max(0, expected - series.count)
    if expected is not None and absent <= max(2, TOLERATED * expected):
        absent = 0
    edges = [edge for edge in edges_of(evidence.plan, evidence.shot, at_start(evidence.shot)) if edge.topic == topic]
    lost = {edge.name: edge.gone for edge in edges if edge.gone}
    where = [
        *(
            [f"{plural(absent, 'message')} never left {publisher.plan.name}: {_publisher_why(publisher)}"]
            if absent
            else []
        ),
        *(f"{edge.reader}: {text}" for edge in edges for text in losses(edge)),
    ]
    faults = [record.text for record in evidence.records if record.is_trouble and record.node == publisher.plan.name]
    of = f" of {count(expected)} that its rate asks for" if expected is not None else ""
    sent = f"{count(series.count)}{of} were published"
    return Answer(
        question=QUESTION,
        verdict=f"{topic}: {where[0]}" if where else f"{topic}: no message was lost; {sent}",
        healthy=not where,
        hint=_hint(absent, bool(lost)),
        facts=[
            *where[1:],
            sent,
            _times(publisher) + f"; {_count_text(publisher)}",
            *(
                f"{edge.reader}: {count(edge.delivered)} delivered, {count(edge.overtaken)} overtaken by newer ones"
                for edge in edges
            ),
            *(f"{publisher.plan.name} said: {text}" for text in faults[-3:]),
        ],
        missing=[]
        if expected is not None
        else [f"how many there should be: {publisher.plan.name} has no rate of its own"],
    )


def _topic(evidence: Evidence, topic: str) -> str:
    topics = evidence.plan.topics()
    if not topic:
        cameras = [name for name, output in topics.items() if output.type == CAMERA_FRAME]
        if not cameras:
            raise NoDataError(f"{evidence.plan.name} has no camera", hint="name a topic: `cardan topic list`")
        return cameras[0]
    if topic in topics:
        return topic
    of_node = [name for name in topics if name.partition("/")[0] == topic]
    frames = [name for name in of_node if topics[name].type == CAMERA_FRAME]
    if len(frames or of_node) == 1:
        return (frames or of_node)[0]
    raise UsageError(f'no topic "{topic}"', hint=near_names(topic, of_node or list(topics)))


def _expected(evidence: Evidence, publisher: NodeShot) -> int | None:
    """Messages that a publisher with a rate should have sent since it was let go."""
    rate_hz = publisher.plan.rate_hz
    if rate_hz is None or publisher.plan.stepped_by:
        return None
    began = next((record.t_ns for record in evidence.of_codes("run-began")), 0)
    start_ns = max(began, evidence.shot.started_ns)
    end_ns = publisher.step_end_ns if evidence.shot.ended else evidence.shot.taken_ns
    return max(0, int((end_ns - start_ns) / ns(1.0) * rate_hz))


def _publisher_why(publisher: NodeShot) -> str:
    said = [
        f"it was started again {publisher.restarts} times" if publisher.restarts else "",
        f"it missed {plural(publisher.missed, 'cycle')}" if publisher.missed else "",
        f"its longest step took {ms(publisher.step_time.maximum / 1e6)}" if publisher.overruns else "",
    ]
    texts = [text for text in said if text]
    return ", ".join(texts) if texts else "not recorded: its steps were on time, so the device or the driver gave none"


def _hint(absent: int, lost: bool) -> str:
    if absent:
        return "look at the sensor, its cable and its driver; `cardan log --node NODE`"
    return "the reader is too slow, or its queue is too small: `cardan why late`" if lost else ""
