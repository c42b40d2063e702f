"""Pseudonyms: the same for the same text and key, another for every other, and a key that is looked after."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime.errors import ConfigError
from cardan.runtime.privacy.pseudonym import Pseudonyms, open_pseudonyms, read_vin
from cardan.runtime.privacy.settings import PrivacySettings

WANTED = PrivacySettings(pseudonymous=True)


@given(st.text(), st.text(), st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_a_pseudonym_is_told_by_text_and_key_alone(one: str, other: str, key: bytes, another: bytes) -> None:
    assert Pseudonyms(key).of(one) == Pseudonyms(key).of(one)
    assert (Pseudonyms(key).of(one) == Pseudonyms(key).of(other)) == (one == other)
    assert (Pseudonyms(key).of(one) == Pseudonyms(another).of(one)) == (key == another)


def test_hmac_is_that_of_rfc_4231() -> None:
    assert Pseudonyms(b"Jefe").of("what do ya want for nothing?") == "p-5bdcc146bf60754e6a042426"


def test_a_key_is_made_once_for_its_owner_and_only_when_it_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "privacy" / "pseudonym.secret"
    open_pseudonyms(PrivacySettings(), tmp_path, tmp_path)
    assert not path.exists()
    first = open_pseudonyms(WANTED, tmp_path, tmp_path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert open_pseudonyms(WANTED, tmp_path, tmp_path).of("x") == first.of("x")
    assert [item.name for item in path.parent.iterdir()] == [path.name]


def test_a_named_key_is_never_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        open_pseudonyms(PrivacySettings(pseudonym_key="fleet.secret"), tmp_path, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "mode", "text"),
    [
        (base64.b64encode(b"short"), 0o600, "has 5 bytes"),
        (b"no base64!", 0o600, "cannot be read"),
        (base64.b64encode(b"k" * 32), 0o644, "others may read"),
    ],
)
def test_a_key_that_is_none_or_that_others_may_read_is_refused(
    tmp_path: Path, content: bytes, mode: int, text: str
) -> None:
    path = tmp_path / "fleet.secret"
    path.write_bytes(content)
    path.chmod(mode)
    with pytest.raises(ConfigError, match=text):
        open_pseudonyms(PrivacySettings(pseudonym_key="fleet.secret"), tmp_path, tmp_path)


def test_an_identification_number_is_read_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "vin").write_text("WVWZZZ1JZXW000001\n")
    assert read_vin(PrivacySettings(vin_file="vin"), tmp_path) == "WVWZZZ1JZXW000001"
    assert read_vin(PrivacySettings(), tmp_path) == ""
    (tmp_path / "vin").write_text("O0I")
    with pytest.raises(ConfigError, match="no vehicle identification number"):
        read_vin(PrivacySettings(vin_file="vin"), tmp_path)
