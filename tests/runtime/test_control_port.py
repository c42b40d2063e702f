"""The control port: a person asks, the bridge answers in its own time, and neither waits for ever."""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cardan.runtime.control_port import Answer, Ask, ControlPort, ask, name_of, port_path
from cardan.runtime.errors import DeviceError, RunError

ANSWER = Answer(engagement="disabled", cause="start", checks=[])


@pytest.fixture
def port(tmp_path: Path) -> Iterator[ControlPort]:
    made = ControlPort(port_path(tmp_path, "bridge"))
    yield made
    made.close()


def test_a_question_is_taken_once_and_answered(port: ControlPort, tmp_path: Path) -> None:
    answers: list[Answer] = []
    path = port_path(tmp_path, "bridge")
    person = threading.Thread(target=lambda: answers.append(ask(path, Ask(verb="arm", who="ada"), 5.0)))
    person.start()
    question = None
    while question is None and person.is_alive():
        question = port.take()
    assert question == Ask(verb="arm", who="ada")
    port.answer(ANSWER)
    person.join(5.0)
    assert answers == [ANSWER]
    assert port.take() is None
    assert [item.name for item in tmp_path.iterdir()] == ["bridge.control"]


def test_only_the_user_of_the_run_may_ask(port: ControlPort, tmp_path: Path) -> None:
    assert stat.S_IMODE(port_path(tmp_path, "bridge").stat().st_mode) == 0o600


def test_a_bridge_that_does_not_answer_is_one_clear_error(port: ControlPort, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="the bridge does not answer"):
        ask(port_path(tmp_path, "bridge"), Ask(verb="check", who="ada"), 0.01)
    with pytest.raises(RunError, match="the bridge does not answer"):
        ask(port_path(tmp_path, "absent"), Ask(verb="check", who="ada"), 0.01)


def test_somebody_who_no_longer_waits_does_no_harm(port: ControlPort, tmp_path: Path) -> None:
    with pytest.raises(RunError):
        ask(port_path(tmp_path, "bridge"), Ask(verb="check", who="ada"), 0.001)
    assert port.take() is not None
    port.answer(ANSWER)


@pytest.mark.parametrize("data", [b"", b"{", b'{"verb":"fly","who":"ada"}', b"\xff" * 100, b"[1]"])
def test_what_is_no_question_is_counted_and_answers_nothing(port: ControlPort, tmp_path: Path, data: bytes) -> None:
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(data, str(port_path(tmp_path, "bridge")))
    assert port.take() is None
    assert port.refused == 1


def test_a_port_takes_the_place_of_one_that_was_killed(tmp_path: Path) -> None:
    path = port_path(tmp_path, "bridge")
    ControlPort(path)._socket.close()
    second = ControlPort(path)
    assert second.take() is None
    second.close()
    assert not path.exists()


def test_a_path_that_is_too_long_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="cannot open the control port") as caught:
        ControlPort(tmp_path / ("x" * 120))
    assert "CARDAN_RUN_DIR" in str(caught.value)


def test_a_name_that_enters_a_cause_is_short_and_plain() -> None:
    assert name_of("ada.l_2-x") == "ada.l_2-x"
    assert name_of("a b;\n\x1b[2J") == "a-b----2J"
    assert name_of("y" * 99) == "y" * 32
    assert name_of("") == "unknown"
