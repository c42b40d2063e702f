"""Keys in a real token: they wrap and unwrap, and each refusal is one sentence with what helps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cardan.runtime.errors import CardanError, ConfigError
from cardan.runtime.uplink.keys import token as token_module
from cardan.runtime.uplink.keys.refusals import LAST_TRY, MEANINGS, refusal
from cardan.runtime.uplink.keys.software import AesKey
from cardan.runtime.uplink.keys.token import Token, read_pin
from cardan.runtime.uplink.keys.uri import parse_address
from cardan.runtime.uplink.keys.wraps import KeyAwayError, WrapKind

pytest.importorskip("cryptography", reason="cryptography is not installed: pip install 'cardan[sign]'")

DATA_KEY = b"a data key of thirty-two bytes!!"
KEY = bytes(range(32))


def open_token(address: str, base: Path = Path("/"), **environment: str) -> Token:
    return Token(parse_address(address), base, environment)


def test_an_aes_key_that_never_leaves_its_token_wraps_and_unwraps(token: Any) -> None:
    token.make_aes("store")
    key = open_token(token.address("store"))
    wrap = key.wrap(DATA_KEY)
    assert wrap.kind is WrapKind.AES_CBC and DATA_KEY not in wrap.data
    assert key.unwrap_or_none([wrap]) == DATA_KEY
    assert open_token(token.address("store")).unwrap_or_none([wrap]) == DATA_KEY


@pytest.mark.slow
def test_an_rsa_key_wraps_out_here_and_unwraps_in_its_token(token: Any) -> None:
    token.make_rsa("store")
    key = open_token(token.address("store"))
    wrap = key.wrap(DATA_KEY)
    assert wrap.kind in (WrapKind.OAEP_SHA256, WrapKind.OAEP_SHA1)
    assert key.unwrap_or_none([wrap]) == DATA_KEY


def test_a_key_that_was_brought_in_is_the_same_as_its_copy_outside(token: Any) -> None:
    token.make_aes("store", value=KEY)
    key, copy = open_token(token.address("store")), AesKey(KEY)
    assert copy.unwrap_or_none([key.wrap(DATA_KEY)]) == DATA_KEY
    assert key.unwrap_or_none([copy.wrap(DATA_KEY)]) == DATA_KEY


@pytest.mark.slow
def test_what_another_key_wrapped_is_no_wrap_of_this_one(token: Any) -> None:
    token.make_aes("one")
    token.make_aes("two")
    token.make_rsa("three")
    one, two, three = (open_token(token.address(name)) for name in ("one", "two", "three"))
    assert two.unwrap_or_none([one.wrap(DATA_KEY)]) is None
    assert three.unwrap_or_none([one.wrap(DATA_KEY)]) is None
    assert one.unwrap_or_none([two.wrap(DATA_KEY), three.wrap(DATA_KEY), one.wrap(DATA_KEY)]) == DATA_KEY


def test_a_wrong_pin_is_named_and_never_tried_twice(token: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    token.make_aes("store")
    token.pin_file.write_text("9999")
    key = open_token(token.address("store"))
    with pytest.raises(KeyAwayError, match="the PIN is wrong: pkcs11:token=cardan;object=store"):
        key.wrap(DATA_KEY)
    with monkeypatch.context() as patch:
        patch.setattr(key, "_token", lambda: pytest.fail("it was tried again"))
        with pytest.raises(KeyAwayError, match="the PIN is wrong"):
            key.wrap(DATA_KEY)
    key.retry()
    with pytest.raises(KeyAwayError, match="the PIN is wrong"):
        key.wrap(DATA_KEY)
    token.pin_file.write_text("1234")
    assert key.unwrap_or_none([key.wrap(DATA_KEY)]) == DATA_KEY


def test_a_token_may_go_and_come(token: Any) -> None:
    token.make_aes("store")
    key = open_token(token.address("store"))
    wrap = key.wrap(DATA_KEY)
    token.away()
    for _ in range(2):
        with pytest.raises(KeyAwayError, match="the token is away: pkcs11:token=cardan"):
            key.unwrap_or_none([wrap])
    token.back()
    assert key.unwrap_or_none([wrap]) == DATA_KEY


def test_one_token_among_others_is_found_by_its_label_and_two_that_fit_are_refused(
    make_token: Callable[[str], Any],
) -> None:
    make_token("other").make_aes("store")
    token = make_token("cardan")
    token.make_aes("store")
    assert open_token(token.address("store")).wrap(DATA_KEY)
    anywhere = token.address("store").replace("token=cardan;", "")
    with pytest.raises(KeyAwayError, match="more than one token fits"):
        open_token(anywhere).wrap(DATA_KEY)
    serial = anywhere.replace("pkcs11:", "pkcs11:serial=ffffffffffffffff;")
    with pytest.raises(KeyAwayError, match="the token is away"):
        open_token(serial).wrap(DATA_KEY)


def test_the_only_token_needs_no_name(token: Any) -> None:
    """Beside it is an empty place, which is no token yet."""
    token.make_aes("store")
    assert open_token(token.address("store").replace("token=cardan;", "")).wrap(DATA_KEY)


@pytest.mark.slow
def test_a_key_that_is_not_there_or_there_twice_is_named(token: Any) -> None:
    token.make_aes("twice")
    token.make_rsa("twice")
    with pytest.raises(KeyAwayError, match="no such key: pkcs11:token=cardan;object=store") as found:
        open_token(token.address("store")).wrap(DATA_KEY)
    assert f"--module {token.module} --login -O" in str(found.value)
    with pytest.raises(KeyAwayError, match="more than one key fits"):
        open_token(token.address("twice")).wrap(DATA_KEY)
    assert open_token(token.address("twice", ";type=secret-key")).wrap(DATA_KEY).kind is WrapKind.AES_CBC
    assert open_token(token.address("twice", ";type=private")).wrap(DATA_KEY).kind is not WrapKind.AES_CBC


@pytest.mark.parametrize("kind", ["elliptic", "short"])
def test_a_key_that_cannot_wrap_is_refused_with_what_can(token: Any, kind: str) -> None:
    if kind == "elliptic":
        token.make_elliptic("store")
    else:
        token.make_aes("store", bits=128)
    with pytest.raises(KeyAwayError, match="cannot wrap with this key") as found:
        open_token(token.address("store")).wrap(DATA_KEY)
    assert "CKM_AES_CBC" in str(found.value)


def test_a_library_that_is_not_there_or_is_none_is_named(tmp_path: Path, token: Any) -> None:
    no_library = tmp_path / "text.so"
    no_library.write_text("no library")
    for module, what in ((tmp_path / "none.so", "is not there"), (no_library, "cannot be used")):
        address = token.address("store").replace(token.module, str(module))
        with pytest.raises(KeyAwayError, match=what) as found:
            open_token(address).wrap(DATA_KEY)
        assert found.value.hint


def test_without_a_pin_a_token_that_wants_one_shows_no_key(token: Any) -> None:
    token.make_aes("store")
    with pytest.raises(KeyAwayError, match="no such key"):
        open_token(token.address("store").partition("&")[0]).wrap(DATA_KEY)


def test_a_token_at_its_last_try_is_left_to_a_person(token: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    token.make_aes("store")
    key = open_token(token.address("store"))
    flags = key._library.TokenFlag.USER_PIN_FINAL_TRY
    monkeypatch.setattr(key, "_fitting", lambda library: [type("AtLastTry", (), {"flags": flags})()])
    with pytest.raises(KeyAwayError, match="locks itself at the next wrong PIN"):
        key.wrap(DATA_KEY)


def test_a_pin_comes_from_a_file_of_its_owner_or_from_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "pin"
    assert read_pin("", tmp_path, {}) is None
    assert read_pin("env:PIN", tmp_path, {"PIN": "12"}) == "12"
    for source, what in (("env:PIN", "PIN is not set"), ("file:pin", "cannot be read")):
        with pytest.raises(KeyAwayError, match=what):
            read_pin(source, tmp_path, {})
    path.write_text("\n")
    with pytest.raises(KeyAwayError, match="others may read"):
        read_pin("file:pin", tmp_path, {})
    path.chmod(0o600)
    with pytest.raises(KeyAwayError, match="is empty"):
        read_pin("file:pin", tmp_path, {})
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(KeyAwayError, match="it is no text"):
        read_pin("file:pin", tmp_path, {})
    path.write_text(" 1234 \n")
    assert read_pin("file:pin", tmp_path, {}) == "1234"


def test_every_refusal_has_a_sentence_and_a_remedy() -> None:
    address = parse_address("pkcs11:object=k?module-path=/m.so")
    names = {error.__name__ for error in _errors(token_module._import().PKCS11Error)}
    assert set(MEANINGS) - names <= {LAST_TRY, "KeyFunctionNotPermitted", "FunctionNotPermitted"}
    for name in [*MEANINGS, "SomethingNew"]:
        error = refusal(name, "0x5", address)
        assert isinstance(error, CardanError) and str(address) in error.message and error.hint


def _errors(kind: type[Exception]) -> list[type[Exception]]:
    return [kind, *(item for below in kind.__subclasses__() for item in _errors(below))]


def test_a_missing_package_is_named_with_the_line_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pkcs11", None)
    with pytest.raises(ConfigError, match=r"pip install 'cardan\[token\]'"):
        open_token("pkcs11:object=k?module-path=/m.so")
