"""Who may ask what, of whom, until when, and how often: decided on bytes and memory alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cardan.runtime.downlink.documents import Campaign, Command, read_document
from cardan.runtime.downlink.judge import Verdict, judge
from cardan.runtime.downlink.memory import Kept, RememberedCampaign, RememberedCommand
from cardan.runtime.errors import ConfigError

NOW_S = 1_700_001_000
Signed = Callable[..., bytes]
Body = Callable[..., dict[str, Any]]


def reason(verdict: Verdict) -> str:
    assert verdict.document is None
    return verdict.result.reason if verdict.result is not None else ""


def test_a_good_command_is_to_be_done(keys: Path, signed: Signed, command: Body) -> None:
    verdict = judge(signed(command()), keys, "bench", NOW_S, Kept())
    assert isinstance(verdict.document, Command) and verdict.key == "ops" and verdict.result is None
    assert verdict.issued_s == NOW_S - 10


@pytest.mark.parametrize(
    ("key", "name", "text"), [("mallory", "mallory", "not among those"), ("mallory", "ops", "signature is not good")]
)
def test_a_stranger_is_refused_and_changes_no_clock(
    keys: Path, signed: Signed, command: Body, key: str, name: str, text: str
) -> None:
    verdict = judge(signed(command(), key, name), keys, "bench", NOW_S, Kept())
    assert reason(verdict) == "not-trusted" and verdict.result is not None and text in verdict.result.text
    assert verdict.issued_s == 0 and verdict.key == ""


@pytest.mark.parametrize("name", ["../ops", "/etc/passwd", "", "ops\0"])
def test_the_name_of_a_key_leads_nowhere_else(keys: Path, signed: Signed, command: Body, name: str) -> None:
    document = json.loads(signed(command()))
    document["key"] = name
    assert reason(judge(json.dumps(document).encode(), keys, "bench", NOW_S, Kept())) == "not-trusted"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(at=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_one_changed_byte_and_it_is_not_to_be_trusted(
    keys: Path, signed: Signed, command: Body, at: int, flip: int
) -> None:
    data = bytearray(signed(command()))
    data[at % len(data)] ^= flip
    verdict = judge(bytes(data), keys, "bench", NOW_S, Kept())
    if verdict.document is not None:  # the base64 of a signature has bits that mean nothing, and JSON has blanks
        assert verdict.document == judge(signed(command()), keys, "bench", NOW_S, Kept()).document
    else:
        assert reason(verdict) == "not-trusted"


@given(st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_arrives_is_judged(keys: Path, data: bytes) -> None:
    assert reason(judge(data, keys, "bench", NOW_S, Kept())) == "not-trusted"


def test_what_is_for_others_is_refused(keys: Path, signed: Signed, command: Body) -> None:
    assert reason(judge(signed(command(vehicles=["car-8"])), keys, "bench", NOW_S, Kept())) == "not-for-us"
    assert judge(signed(command(vehicles=["*"])), keys, "bench", NOW_S, Kept()).document is not None


def test_a_deadline_that_is_over_counts_by_our_clock_or_by_a_later_time_that_was_signed(
    keys: Path, signed: Signed, command: Body
) -> None:
    data = signed(command())
    assert reason(judge(data, keys, "bench", NOW_S + 601, Kept())) == "expired"
    assert judge(data, keys, "bench", NOW_S + 600, Kept()).document is not None
    unset_clock_s = 1000
    assert judge(data, keys, "bench", unset_clock_s, Kept()).document is not None
    assert reason(judge(data, keys, "bench", unset_clock_s, Kept(floor_s=NOW_S + 601))) == "expired"


def test_a_command_that_was_begun_is_known_and_nothing_more_is_said(keys: Path, signed: Signed, command: Body) -> None:
    kept = Kept(commands={"c-1": RememberedCommand(deadline_s=NOW_S + 600, key="ops", verb="ping")})
    verdict = judge(signed(command()), keys, "bench", NOW_S, kept)
    assert verdict.document is None and verdict.result is None


def test_a_campaign_is_replaced_by_a_higher_version_only(keys: Path, signed: Signed, campaign: Body) -> None:
    first = read_document(json.dumps(campaign(version=5)))
    assert isinstance(first, Campaign)
    kept = Kept(campaigns={"brakes": RememberedCampaign(campaign=first, key="ops")})
    assert judge(signed(campaign(version=6)), keys, "bench", NOW_S, kept).document is not None
    assert reason(judge(signed(campaign(version=4)), keys, "bench", NOW_S, kept)) == "old-version"
    assert reason(judge(signed(campaign(version=5, max_bytes=7)), keys, "bench", NOW_S, kept)) == "old-version"
    again = judge(signed(campaign(version=5)), keys, "bench", NOW_S, kept)
    assert again.document is None and again.result is None


def test_a_full_memory_takes_no_more(keys: Path, signed: Signed, command: Body) -> None:
    many = {f"x-{n}": RememberedCommand(deadline_s=NOW_S, key="ops", verb="ping") for n in range(1000)}
    assert reason(judge(signed(command()), keys, "bench", NOW_S, Kept(commands=many))) == "busy"


@pytest.mark.parametrize(
    "wrong",
    [
        {"verb": "drive"},
        {"id": "C 1"},
        {"vehicles": []},
        {"deadline_s": NOW_S - 10},
        {"deadline_s": NOW_S + 8 * 86_400},
        {"arguments": {"a": 1}},
        {"extra": 1},
        {"kind": "order"},
    ],
)
def test_a_document_that_is_not_in_order_is_refused_though_it_is_signed(
    keys: Path, signed: Signed, command: Body, wrong: dict[str, Any]
) -> None:
    verdict = judge(signed(command(**wrong)), keys, "bench", NOW_S, Kept())
    assert reason(verdict) == "not-trusted" and verdict.result is not None
    assert "neither a command nor a campaign" in verdict.result.text


def test_a_signature_of_something_else_does_not_fit(keys: Path, command: Body, tmp_path: Path) -> None:
    from cardan.runtime.signing import sign_bytes

    text = msgspec.json.encode(command()).decode()
    envelope = {"cardan": 1, "key": "ops", "ed25519": sign_bytes(text.encode(), tmp_path / "ops.key"), "body": text}
    assert reason(judge(msgspec.json.encode(envelope), keys, "bench", NOW_S, Kept())) == "not-trusted"


def test_a_body_without_an_envelope_is_no_signed_document(command: Body) -> None:
    with pytest.raises(ConfigError):
        read_document(b"\xff")
