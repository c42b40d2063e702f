"""A key in a token (PKCS#11): a TPM, a smart card, a security module. The one module that imports `pkcs11`.

The key stays where it is: it wraps and unwraps data keys of 32 bytes, one call each, and nothing else. An AES-256 key
does both inside; of an RSA key the public half wraps out here, and only unwrapping needs the token.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cardan.runtime.errors import ConfigError
from cardan.runtime.uplink.keys.refusals import LAST_TRY, WRONG_PIN, refusal
from cardan.runtime.uplink.keys.software import (
    BLOCK_BYTES,
    ID_BLOCK,
    LEAST_RSA_BITS,
    OAEP_KINDS,
    RsaPublicKey,
    rsa_key_id,
    rsa_public_key,
)
from cardan.runtime.uplink.keys.uri import TokenAddress
from cardan.runtime.uplink.keys.wraps import KEY_ID_BYTES, KeyAwayError, Wrap, WrapKind

AES_KEY_BYTES = 32


class Token:
    """A key in a token. Each call opens the library and leaves it, so the token may come and go. Blocks. One thread.

    base: where a PIN file that is not absolute begins. A PIN that the token refused is not tried again until it is
    another one, or `retry` was called: tokens lock themselves.
    """

    def __init__(self, address: TokenAddress, base: Path, environment: Mapping[str, str] = os.environ) -> None:
        self.address = address
        self._base = base
        self._environment = environment
        self._library = _import()
        self._used: Any = None
        self._refused_pin: str | None = None

    def retry(self) -> None:
        """Somebody wants it tried, also with a PIN that was refused."""
        self._refused_pin = None

    def wrap(self, data_key: bytes) -> Wrap:
        """`data_key` wrapped, and known to come back. KeyAwayError when the token does not do that now."""
        with self._key() as key:
            kinds = OAEP_KINDS if self._is_rsa(key) else (WrapKind.AES_CBC,)
            for kind in kinds:
                wrap = self._wrapped(key, data_key, kind)
                if self._comes_back(key, wrap, data_key, last=kind is kinds[-1]):
                    return wrap
        raise refusal("MechanismInvalid", "", self.address)

    def unwrap_or_none(self, wraps: Iterable[Wrap]) -> bytes | None:
        with self._key() as key:
            kinds = OAEP_KINDS if self._is_rsa(key) else (WrapKind.AES_CBC,)
            key_id = self._key_id(key)
            for wrap in wraps:
                if wrap.kind in kinds and wrap.key_id == key_id:
                    return self._unwrapped(key, wrap)
        return None

    # ------------------------------------------------------------------------------------------------- what a key does

    def _is_rsa(self, key: Any) -> bool:
        """ConfigError when it is neither RSA nor AES, or too short."""
        kinds, kind = self._library.KeyType, key.key_type
        if kind == kinds.RSA and key.key_length >= LEAST_RSA_BITS:
            return True
        if kind == kinds.AES and key[self._library.Attribute.VALUE_LEN] == AES_KEY_BYTES:
            return False
        raise refusal("KeyTypeInconsistent", "", self.address)

    def _wrapped(self, key: Any, data_key: bytes, kind: WrapKind) -> Wrap:
        if kind in OAEP_KINDS:
            return RsaPublicKey(self._public(key), kind).wrap(data_key)
        initial = secrets.token_bytes(BLOCK_BYTES)
        return Wrap(kind, self._key_id(key), initial + self._encrypt(key, data_key, initial))

    def _comes_back(self, key: Any, wrap: Wrap, data_key: bytes, *, last: bool) -> bool:
        """Whether the token unwraps it. last: there is no other way to wrap, so its refusal is the answer."""
        try:
            return self._unwrapped(key, wrap) == data_key
        except self._library.PKCS11Error:
            if last:
                raise
            return False

    def _unwrapped(self, key: Any, wrap: Wrap) -> bytes:
        if not hasattr(key, "decrypt"):
            raise refusal("KeyFunctionNotPermitted", "", self.address)
        names = self._library.Mechanism
        if wrap.kind is WrapKind.AES_CBC:
            data, how = (
                wrap.data[BLOCK_BYTES:],
                {"mechanism": names.AES_CBC, "mechanism_param": wrap.data[:BLOCK_BYTES]},
            )
        else:
            digest = "SHA_1" if wrap.kind is WrapKind.OAEP_SHA1 else "SHA256"
            mask = self._library.MGF["SHA1" if wrap.kind is WrapKind.OAEP_SHA1 else "SHA256"]
            data, how = wrap.data, {"mechanism": names.RSA_PKCS_OAEP, "mechanism_param": (names[digest], mask, None)}
        found: bytes = key.decrypt(data, **how)
        return found

    def _encrypt(self, key: Any, data: bytes, initial: bytes) -> bytes:
        if not hasattr(key, "encrypt"):
            raise refusal("KeyFunctionNotPermitted", "", self.address)
        found: bytes = key.encrypt(data, mechanism=self._library.Mechanism.AES_CBC, mechanism_param=initial)
        return found

    def _key_id(self, key: Any) -> bytes:
        if self._is_rsa(key):
            return rsa_key_id(self._public(key))
        return self._encrypt(key, ID_BLOCK, bytes(BLOCK_BYTES))[:KEY_ID_BYTES]

    def _public(self, key: Any) -> Any:
        names = self._library.Attribute
        numbers = [int.from_bytes(key[name], "big") for name in (names.MODULUS, names.PUBLIC_EXPONENT)]
        return rsa_public_key(*numbers)

    # ------------------------------------------------------------------------------------------------------ finding it

    @contextmanager
    def _key(self) -> Iterator[Any]:
        """The key, for as long as its session is open; every refusal of the token as one error for a person."""
        pin = self._pin()
        try:
            with self._token().open(user_pin=pin) as session:
                yield self._only_key(session)
        except self._library.PKCS11Error as error:
            name = type(error).__name__
            if name in WRONG_PIN:
                self._refused_pin = pin
            raise refusal(name, str(error), self.address) from error
        finally:
            self._let_go()

    def _let_go(self) -> None:
        """Leave the library, so that it looks anew the next time: a token may have gone, or come."""
        library, self._used = self._used, None
        if library is not None:
            with suppress(self._library.PKCS11Error):
                library.finalize()

    def _only_key(self, session: Any) -> Any:
        library, address = self._library, self.address
        classes = {"secret-key": library.ObjectClass.SECRET_KEY, "private": library.ObjectClass.PRIVATE_KEY}
        wanted: dict[Any, Any] = {library.Attribute.LABEL: address.object} if address.object else {}
        if address.id:
            wanted[library.Attribute.ID] = address.id
        found: list[Any] = []
        for name, kind in classes.items():
            if address.type in ("", name):
                found += session.get_objects({library.Attribute.CLASS: kind, **wanted})
        if len(found) != 1:
            raise refusal("MultipleObjectsReturned" if found else "NoSuchKey", "", address)
        return found[0]

    def _token(self) -> Any:
        self._used = self._loaded()
        found = self._fitting(self._used)
        if len(found) != 1:
            raise refusal("MultipleTokensReturned" if found else "NoSuchToken", "", self.address)
        if found[0].flags & self._library.TokenFlag.USER_PIN_FINAL_TRY:
            raise refusal(LAST_TRY, "", self.address)
        return found[0]

    def _fitting(self, library: Any) -> list[Any]:
        ready = self._library.TokenFlag.TOKEN_INITIALIZED
        return [token for token in library.get_tokens() if token.flags & ready and _fits(token, self.address)]

    def _loaded(self) -> Any:
        module = self.address.module
        if "/" in module and not Path(module).exists():
            raise KeyAwayError(
                f"the library of the token is not there: {module}",
                hint="is the package of the token installed? module-path names its .so file",
            )
        try:
            return self._library.lib(module)
        except self._library.PKCS11Error as error:
            raise KeyAwayError(
                f"the library of the token cannot be used: {str(error) or type(error).__name__}",
                hint=f"is {module} a PKCS#11 library for this computer? `ldd` shows what it lacks",
            ) from error

    def _pin(self) -> str | None:
        pin = read_pin(self.address.pin_source, self._base, self._environment)
        if pin is not None and pin == self._refused_pin:
            raise refusal("PinIncorrect", "", self.address)
        return pin


def read_pin(source: str, base: Path, environment: Mapping[str, str]) -> str | None:
    """The PIN; None where the address names none. KeyAwayError when it is not there, or others may read it."""
    kind, _, name = source.partition(":")
    if not source:
        return None
    if kind == "env":
        if not environment.get(name):
            raise KeyAwayError(f"the PIN of the token is not in the environment: {name} is not set", hint=f"set {name}")
        return environment[name]
    path = base / Path(name).expanduser()
    try:
        mode, pin = path.stat().st_mode, path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise KeyAwayError(f"the PIN of the token cannot be read: {path}: {reason}", hint="one line of text") from error
    if mode & 0o077:
        raise KeyAwayError(f"others may read {path}, the PIN of the token", hint=f"`chmod 600 {path}`")
    if not pin:
        raise KeyAwayError(f"{path} is empty, and should hold the PIN of the token", hint="one line of text")
    return pin


def _fits(token: Any, address: TokenAddress) -> bool:
    serial = token.serial.decode(errors="replace")
    has = (token.label, token.manufacturer_id, token.model, serial)
    wanted = (address.token, address.manufacturer, address.model, address.serial)
    slot = address.slot_id
    return all(not name or name == found for name, found in zip(wanted, has, strict=True)) and (
        slot is None or slot == token.slot.slot_id
    )


def _import() -> Any:
    try:
        import pkcs11
    except ImportError as error:
        raise ConfigError(
            "a key in a token cannot be used: python-pkcs11 is not installed", hint="pip install 'cardan[token]'"
        ) from error
    return pkcs11
