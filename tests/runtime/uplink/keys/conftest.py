"""Real tokens for the tests of keys: SoftHSM, a security module in software, with a folder of its own for each test."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PIN, SO_PIN = "1234", "87654321"
PLACES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
)


class SoftToken:
    """A token on this disk. `away` takes it out, `back` puts it in again."""

    def __init__(self, module: str, folder: Path, label: str) -> None:
        self.module = module
        self.label = label
        self._tokens = folder / "tokens"
        self._tokens.mkdir(exist_ok=True)
        self.pin_file = folder / "pin"
        self.pin_file.write_text(PIN + "\n")
        self.pin_file.chmod(0o600)
        command = ["softhsm2-util", "--module", module, "--init-token", "--free", "--label", label]
        subprocess.run([*command, "--pin", PIN, "--so-pin", SO_PIN], check=True, timeout=30, capture_output=True)

    def address(self, key: str, more: str = "") -> str:
        """Of one key in it."""
        return f"pkcs11:token={self.label};object={key}{more}?module-path={self.module}&pin-source=file:{self.pin_file}"

    def away(self) -> None:
        self._tokens.rename(self._tokens.with_name("taken out"))
        self._tokens.mkdir()

    def back(self) -> None:
        self._tokens.rmdir()
        self._tokens.with_name("taken out").rename(self._tokens)

    def make_aes(self, label: str, bits: int = 256, value: bytes | None = None) -> None:
        """value: brought in from outside; None: made in the token."""
        import pkcs11

        with self._session() as session:
            attributes = {pkcs11.Attribute.EXTRACTABLE: False, pkcs11.Attribute.SENSITIVE: True}
            if value is None:
                session.generate_key(pkcs11.KeyType.AES, bits, label=label, store=True, template=attributes)
                return
            kind = {
                pkcs11.Attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY,
                pkcs11.Attribute.KEY_TYPE: pkcs11.KeyType.AES,
            }
            allowed = {pkcs11.Attribute.ENCRYPT: True, pkcs11.Attribute.DECRYPT: True, pkcs11.Attribute.TOKEN: True}
            name = {pkcs11.Attribute.LABEL: label, pkcs11.Attribute.VALUE: value}
            session.create_object({**kind, **allowed, **name, **attributes})

    def make_rsa(self, label: str, bits: int = 2048) -> None:
        import pkcs11

        with self._session() as session:
            session.generate_keypair(pkcs11.KeyType.RSA, bits, label=label, store=True)

    def make_elliptic(self, label: str) -> None:
        """A key that can sign, and wraps nothing."""
        import pkcs11

        with self._session() as session:
            curve = {pkcs11.Attribute.EC_PARAMS: pkcs11.util.ec.encode_named_curve_parameters("secp256r1")}
            parameters = session.create_domain_parameters(pkcs11.KeyType.EC, curve, local=True)
            parameters.generate_keypair(label=label, store=True)

    @contextmanager
    def _session(self) -> Iterator[Any]:
        import pkcs11

        library = pkcs11.lib(self.module)
        try:
            with library.get_token(token_label=self.label).open(rw=True, user_pin=PIN) as session:
                yield session
        finally:
            library.finalize()  # the next test has tokens elsewhere


@pytest.fixture
def make_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], SoftToken]:
    """Makes tokens; the test is skipped, with the reason, where SoftHSM is not installed."""
    pytest.importorskip("pkcs11", reason="python-pkcs11 is not installed: pip install 'cardan[token]'")
    module = next((place for place in PLACES if Path(place).exists()), None)
    if module is None or shutil.which("softhsm2-util") is None:
        pytest.skip("SoftHSM is not installed: apt-get install softhsm2")
    folder = tmp_path / "softhsm"
    folder.mkdir()
    config = folder / "softhsm2.conf"
    config.write_text(f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\nlog.level = ERROR\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(config))
    found = str(module)

    def make(label: str = "cardan") -> SoftToken:
        return SoftToken(found, folder, label)

    return make


@pytest.fixture
def token(make_token: Callable[[], SoftToken]) -> SoftToken:
    """One token, without a key."""
    return make_token()
