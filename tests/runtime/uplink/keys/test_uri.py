"""Addresses of keys in tokens: what RFC 7512 writes, and one error for everything else."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime.errors import ConfigError
from cardan.runtime.uplink.keys.uri import EXAMPLE, is_token_address, parse_address

WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)


def test_the_example_that_errors_show_is_an_address() -> None:
    address = parse_address(EXAMPLE)
    assert is_token_address(EXAMPLE) and not is_token_address("/etc/cardan/store.key")
    assert (address.token, address.object) == ("cardan", "store")
    assert address.module == "/usr/lib/softhsm/libsofthsm2.so"
    assert address.pin_source == "file:/etc/cardan/pin"


@given(WORDS, WORDS, st.binary(max_size=8))
def test_names_are_percent_encoded_and_come_back(token: str, key: str, number: bytes) -> None:
    numbered = f";id={quote(number)}" if number else ""
    text = f"pkcs11:token={quote(token)};object={quote(key)}{numbered};slot-id=3?module-path=/m.so"
    address = parse_address(text)
    assert (address.token, address.object, address.id, address.slot_id) == (token, key, number, 3)


@given(st.text(max_size=60))
def test_any_other_text_is_refused_in_one_way_or_names_a_module_and_a_key(text: str) -> None:
    try:
        address = parse_address("pkcs11:" + text)
    except ConfigError as error:
        assert error.hint
    else:
        assert address.module and (address.object or address.id)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("pkcs11:object=k", "names no module-path"),
        ("pkcs11:token=t?module-path=/m", "names no key"),
        ("pkcs11:object=k?module-path=/m&pin-value=1234", "a PIN never stands in a manifest"),
        ("pkcs11:objekt=k?module-path=/m", 'unknown part "objekt"'),
        ("pkcs11:object=k;object=l?module-path=/m", "no value, or two"),
        ("pkcs11:object=?module-path=/m", "no value, or two"),
        ("pkcs11:object=k;type=cert?module-path=/m", "no key that can wrap"),
        ("pkcs11:object=k;slot-id=x?module-path=/m", "is no number"),
        ("pkcs11:object=k?module-path=/m&pin-source=1234", 'pin-source "1234" is unknown'),
    ],
)
def test_what_cannot_be_used_is_named_with_what_was_expected(text: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what) as found:
        parse_address(text)
    assert EXAMPLE in str(found.value.hint)


def test_the_address_for_people_has_no_module_and_no_pin() -> None:
    assert str(parse_address(EXAMPLE)) == "pkcs11:token=cardan;object=store"
