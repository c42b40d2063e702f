import pytest

from cardan.runtime.errors import ConfigError, NodeError
from cardan.runtime.messages import Message
from cardan.runtime.node import Input, Metric, Node, NodeConfig, Output
from cardan.runtime.node.wiring import convert_config
from cardan.runtime.testing import Bench


class Hello(Message, frozen=True, kw_only=True):
    text: str


class GreeterConfig(NodeConfig, frozen=True):
    name: str = "world"
    times: int = 1


class Greeter(Node):
    config: GreeterConfig
    out = Output(Hello)
    count = Metric("count")

    def step(self) -> None:
        for _ in range(self.config.times):
            self.out.send(Hello(text=f"hello {self.config.name}"))
        if len(self.config.name) > 5:
            self.report_fault("long-name", f"{self.config.name} is long")


class LoudGreeter(Greeter):
    heard = Input(Hello, optional=True)


class NoStep(Node):
    pass


class WrongConfig(Node):
    config: int  # type: ignore[assignment]  # the mistake under test


def test_a_node_declares_its_ports_and_inherits_its_parents() -> None:
    ports = LoudGreeter.ports()
    assert set(ports.inputs) == {"heard"}
    assert set(ports.outputs) == {"out"}
    assert set(ports.metrics) == {"count"}


def test_a_node_gets_its_config() -> None:
    with Bench(Greeter, config=GreeterConfig(name="x", times=2)) as bench:
        bench.step()
        assert [sample.value.text for sample in bench.sent("out")] == ["hello x", "hello x"]


def test_without_a_config_the_defaults_hold() -> None:
    with Bench(Greeter) as bench:
        bench.step()
        assert bench.sent("out")[0].value.text == "hello world"


def test_a_wrong_config_names_the_field() -> None:
    with pytest.raises(ConfigError, match=r"\$\.times"):
        convert_config(Greeter, {"times": "many"})
    with pytest.raises(ConfigError, match="unknown field `tmies`"):
        convert_config(Greeter, {"tmies": 3})


def test_a_config_annotation_of_another_kind_is_refused() -> None:
    with pytest.raises(NodeError, match="NodeConfig"):
        WrongConfig.config_type()


def test_a_fault_is_in_the_vitals() -> None:
    with Bench(Greeter, config=GreeterConfig(name="everybody")) as bench:
        bench.step()
        assert bench.fault is not None
        assert bench.fault[1:] == ("long-name", "everybody is long")


def test_a_node_without_a_step_says_so() -> None:
    with Bench(NoStep) as bench, pytest.raises(NodeError, match="NoStep has no step"):
        bench.step()


def test_a_bench_refuses_a_port_that_is_not_there() -> None:
    with Bench(Greeter) as bench:
        with pytest.raises(NodeError, match='no input "zzz"'):
            bench.send("zzz", Hello(text=""))
        with pytest.raises(NodeError, match='no metric "zzz"'):
            bench.metric("zzz")
