"""Secrets and identification numbers never leave in a bundle; positions leave only if nobody minds."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime.bundle.redact import Redaction, has_position

VIN = "WVWZZZ1JZXW000001"
CLEAN = Redaction()


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        ('password = "hunter2"', "hunter2"),
        ("api_key: abc123", "abc123"),
        ('{"store_token": "t0p", "rate_hz": 10}', "t0p"),
        ("connection_string = 'AccountKey=QUJD;Endpoint=x'", "QUJD"),
        ('store = "https://user:pa55@example.org/x"', "pa55"),
        ('url = "https://x.blob.core.windows.net/c?sv=1&sig=AbC%2F12&se=2"', "AbC%2F12"),
        ("-----BEGIN PRIVATE KEY-----\nMIIEvQ\n-----END PRIVATE KEY-----", "MIIEvQ"),
        ("SAS=sv2020", "sv2020"),
    ],
)
def test_a_secret_is_starred_and_what_stands_around_it_stays(line: str, secret: str) -> None:
    text = f"before\n{line}\nafter = 1\n"
    cleaned = CLEAN.of_text(text.encode()).decode()
    assert secret not in cleaned and "***" in cleaned
    assert cleaned.startswith("before\n") and cleaned.endswith("after = 1\n")


def test_json_stays_json_and_toml_keys_stay() -> None:
    text = json.dumps({"secret": 'a"b', "nodes": ["camera"], "sequence": 7})
    assert json.loads(CLEAN.of_text(text.encode())) == {"secret": "***", "nodes": ["camera"], "sequence": 7}


@pytest.mark.parametrize("text", ["manifest_sha256", "passed = true", "steering_rad = 0.5", "tokens_of_grammar"])
def test_what_is_no_secret_stays(text: str) -> None:
    assert CLEAN.of_text(text.encode()).decode() == text


@given(st.binary(max_size=30), st.binary(max_size=30))
def test_an_identification_number_is_overwritten_in_place(before: bytes, after: bytes) -> None:
    data = before + b" " + VIN.encode() + b" " + after
    cleaned = CLEAN.of_binary(data)
    assert len(cleaned) == len(data) and VIN.encode() not in cleaned


@pytest.mark.parametrize("text", ["A" * 17, "1" * 17, "WVWZZZ1JZXW0000012", "xWVWZZZ1JZXW000001", "WVWZZZ1JZXW00000I"])
def test_what_only_looks_similar_stays(text: str) -> None:
    assert CLEAN.of_binary(text.encode()).decode() == text


def test_a_message_with_a_position_is_known() -> None:
    assert has_position(b'{"latitude_deg": 1.0, "x": 2}') and has_position(b'{"lat_deg": 1.0')
    assert not has_position(b'{"speed_mps": 1.0, "note": "latitude"}')
    assert Redaction(positions=True).drops({"longitude_deg": 1}) and not CLEAN.drops({"longitude_deg": 1})


def test_what_is_taken_out_is_said() -> None:
    assert len(CLEAN.said) == 3 and len(Redaction(positions=True, pictures=False).said) == 3
