from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest

from cardan.runtime.bus.codec import MessageEncoder
from cardan.runtime.clock import NS_PER_S
from cardan.runtime.errors import ConfigError, NodeError
from cardan.runtime.link.gateway import Gateway
from cardan.runtime.link.link_node import BusLink, LinkConfig, LinkState, RemoteTopic, server_key_of
from cardan.runtime.messages import CameraFrame, CanFrame, CanFrames, Message, schema_id
from cardan.runtime.testing import Bench

if TYPE_CHECKING:
    from tests.runtime.link.conftest import Site

TOPICS = {"pose": ("lidar/pose", "CanFrames"), "points": ("lidar/points", "CameraFrame")}


def config(address: str, topics: dict[str, tuple[str, str]] = TOPICS, **settings: Any) -> LinkConfig:
    remote = {name: RemoteTopic(topic=topic, type=kind) for name, (topic, kind) in topics.items()}
    return LinkConfig(address=address, topics=remote, **settings)


class Linked:
    """A link node on a bench, whose clock moves 0.1 ms a step, and the gateway that it is linked to."""

    def __init__(self, site: Site, topics: dict[str, tuple[str, str]] = TOPICS) -> None:
        self.site = site
        self.gateway: Gateway | None = site.gateway(f"ipc://{site.folder}/serve")
        self.bench = Bench(BusLink, config=config(self.gateway.endpoint, topics), rate_hz=10_000.0)
        site.closing.append(self.bench.close)

    def pump(self) -> None:
        if self.gateway is not None:
            self.gateway.pump()
        self.bench.step()

    def until(self, condition: Any) -> None:
        self.site.until(condition, self)

    def send(self, topic: str, message: Message) -> None:
        payload = MessageEncoder(type(message)).encode(message)
        self.site.send(topic, payload, schema=schema_id(type(message)))

    @property
    def condition(self) -> str:
        found = self.bench.node_vitals.condition
        return found[1] if found else ""


@pytest.fixture
def linked(site: Site) -> Linked:
    return Linked(site)


def test_topics_of_another_computer_become_outputs_with_their_validity(linked: Linked) -> None:
    linked.until(lambda: linked.site.subscribed("lidar/points"))
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    linked.send("lidar/points", CameraFrame(frame_id=3, image=image))
    linked.until(lambda: linked.bench.sent("points"))
    sample = linked.bench.sent("points")[0]
    assert sample.value.frame_id == 3 and np.array_equal(sample.value.image, image)
    assert sample.valid
    assert linked.condition == ""
    state: LinkState = linked.bench.sent("link")[-1].value
    assert state.up and state.peer == "lidar-box" and state.outages == 0


def test_stamps_inside_messages_are_put_on_our_clock(linked: Linked) -> None:
    linked.until(lambda: linked.site.subscribed("lidar/pose"))
    theirs = linked.site.clock.now_ns()  # the clock of the bench began at 1000 s
    linked.send("lidar/pose", CanFrames(frames=[CanFrame("vehicle", 1, b"", theirs)]))
    linked.until(lambda: linked.bench.sent("pose"))
    sample = linked.bench.sent("pose")[0]
    assert abs(sample.value.frames[0].stamp_ns - sample.sent_ns) < NS_PER_S


@pytest.mark.slow
def test_while_the_other_computer_is_away_its_values_are_not_valid_and_the_node_says_why(linked: Linked) -> None:
    linked.until(lambda: linked.site.subscribed("lidar/pose"))
    linked.send("lidar/pose", CanFrames(frames=[]))
    linked.until(lambda: linked.bench.sent("pose"))
    gateway, linked.gateway = linked.gateway, None
    assert gateway is not None
    gateway.close()
    linked.site.closing.remove(gateway.close)
    linked.until(lambda: linked.condition == "link-lost")
    first, again = linked.bench.sent("pose")
    assert first.valid and not again.valid
    assert (again.seq, again.value) == (first.seq, first.value), "the same message, withdrawn"
    state: LinkState = linked.bench.sent("link")[-1].value
    assert not state.up and state.reason and state.outages == 1
    linked.gateway = linked.site.gateway(f"ipc://{linked.site.folder}/serve")
    linked.until(lambda: linked.condition == "" and linked.site.subscribed("lidar/pose"))
    assert linked.bench.metric("outage_s")[0] == 1
    linked.send("lidar/pose", CanFrames(frames=[]))
    linked.until(lambda: linked.bench.sent("pose")[-1].valid)


def test_what_is_missing_in_the_sequence_is_counted(linked: Linked) -> None:
    linked.until(lambda: linked.site.subscribed("lidar/pose"))
    linked.send("lidar/pose", CanFrames(frames=[]))
    linked.site.seq += 6
    linked.send("lidar/pose", CanFrames(frames=[]))
    linked.until(lambda: len(linked.bench.sent("pose")) == 2)
    assert linked.bench.metric("lost") == (1, 6.0)


def test_another_message_type_is_dropped_counted_and_named(linked: Linked) -> None:
    linked.until(lambda: linked.site.subscribed("lidar/pose"))
    linked.send("lidar/pose", CameraFrame(frame_id=1, image=np.zeros((1, 1, 3), np.uint8)))
    linked.until(lambda: linked.condition == "link-other-type")
    assert linked.bench.metric("unreadable") == (1, 1.0)
    assert linked.bench.sent("pose") == []


def test_a_topic_that_is_not_there_is_named(site: Site) -> None:
    linked = Linked(site, {"pose": ("lidar/posse", "CanFrames")})
    linked.until(lambda: linked.condition == "link-no-topic")


def test_outputs_follow_from_the_settings() -> None:
    found = BusLink.ports_for(config("ipc:///x"), []).outputs
    assert {name: output.type for name, output in found.items()} == {
        "link": LinkState,
        "pose": CanFrames,
        "points": CameraFrame,
    }
    assert list(BusLink.ports().outputs) == ["link"], "the class itself is untouched"


@pytest.mark.parametrize("name", ["link", "step", "config", "a-b", "1a", "_wire", "lost", "log"])
def test_an_output_cannot_have_the_name_of_something_else(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        BusLink.ports_for(config("ipc:///x", {name: ("lidar/pose", "CanFrames")}), [])


def test_a_type_that_is_not_there_lists_near_names() -> None:
    with pytest.raises(NodeError, match='no class "CanFrame5"'):
        BusLink.ports_for(config("ipc:///x", {"pose": ("lidar/pose", "CanFrame5")}), [])


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "open to everybody"),
        ({"key": "car"}, "open to everybody"),
        ({"server_key": "box"}, "open to everybody"),
        ({"key": "car", "server_key": "box", "timeout_s": 0.5}, "less than three beats"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], expected: str) -> None:
    with pytest.raises((ConfigError, msgspec.ValidationError), match=expected):
        config("tcp://10.0.0.2:7447", **settings)


def test_the_key_of_the_server_is_a_trusted_name_or_the_key_itself(site: Site) -> None:
    site.keys.trust("car", site.laptop.public)
    assert server_key_of("car", site.keys) == site.laptop.public
    assert server_key_of(site.pair.public.decode(), site.keys) == site.pair.public
    with pytest.raises(ConfigError, match='no trusted key is called "cart"') as caught:
        server_key_of("cart", site.keys)
    assert '"car"' in str(caught.value.hint)


def test_a_link_without_its_key_pair_says_how_to_make_one() -> None:
    with pytest.raises(ConfigError, match='no key pair "car"'):
        Bench(BusLink, config=config("tcp://10.0.0.2:7447", key="car", server_key="box"))
