import pytest

from cardan.runtime.errors import ConfigError
from cardan.runtime.link.endpoints import check_endpoint


@pytest.mark.parametrize(
    "endpoint", ["tcp://0.0.0.0:7447", "tcp://[::1]:7447", "tcp://car.local:1", "ipc:///run/cardan/x.sock"]
)
def test_an_address_with_a_key_is_taken_as_it_is(endpoint: str) -> None:
    assert check_endpoint(endpoint, has_key=True, to_bind=False) == endpoint


def test_tcp_without_a_key_is_refused_with_the_remedy() -> None:
    with pytest.raises(ConfigError, match="open to everybody") as caught:
        check_endpoint("tcp://0.0.0.0:7447", has_key=False, to_bind=True)
    assert "cardan keys new" in str(caught.value.hint)


@pytest.mark.parametrize(
    "endpoint",
    ["", "7447", "tcp://", "tcp://host", "tcp://host:0", "tcp://host:65536", "tcp://a b:1", "tcp://::1:7447",
     "udp://h:1", "inproc://x", "ipc://relative", "ipc:///" + "x" * 107, "tcp://h:1;tcp://h:2"],
)  # fmt: skip
def test_what_is_no_address_is_refused(endpoint: str) -> None:
    with pytest.raises(ConfigError):
        check_endpoint(endpoint, has_key=True, to_bind=True)


def test_a_port_is_picked_only_by_who_listens() -> None:
    assert check_endpoint("tcp://127.0.0.1:*", has_key=True, to_bind=True)
    with pytest.raises(ConfigError):
        check_endpoint("tcp://127.0.0.1:*", has_key=True, to_bind=False)
