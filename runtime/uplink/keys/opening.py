"""Opening encrypted objects where they are read: with a key in a file, or in a token."""

from __future__ import annotations

from pathlib import Path

from cardan.runtime.errors import CardanError, ConfigError
from cardan.runtime.privacy.pseudonym import read_key
from cardan.runtime.uplink.cipher import Cipher, Head, read_head
from cardan.runtime.uplink.keys.software import AesKey, read_private_key
from cardan.runtime.uplink.keys.token import Token
from cardan.runtime.uplink.keys.uri import is_token_address, parse_address
from cardan.runtime.uplink.keys.wraps import Unwrapper, decode_wraps

PEM = b"-----BEGIN "


class Opener:
    """Opens objects. file_key: of objects without wraps; unwrapper: of those whose data key is in them, wrapped."""

    def __init__(self, unwrapper: Unwrapper, file_key: bytes = b"") -> None:
        self._unwrapper = unwrapper
        self._file_key = file_key
        self._known: dict[bytes, Cipher] = {}
        """By wraps: a token is asked once for each data key."""

    def open(self, name: str, data: bytes) -> bytes:
        """What was encrypted as the object `name`. CardanError when this key does not open it, or it was changed."""
        head = read_head(name, data)
        cipher = self._known.get(head.wraps)
        if cipher is None:
            cipher = self._known[head.wraps] = self._cipher(name, head)
        return cipher.open(name, data)

    def _cipher(self, name: str, head: Head) -> Cipher:
        data_key = self._data_key_or_none(name, head) if head.wraps else self._file_key
        if not data_key:
            kind = "a data key that this key did not wrap" if head.wraps else "a key in a file"
            raise CardanError(f"{name} was encrypted with {kind}", hint="give the key of its vehicle, or its recipient")
        return Cipher(data_key, head.wraps)

    def _data_key_or_none(self, name: str, head: Head) -> bytes | None:
        try:
            return self._unwrapper.unwrap_or_none(decode_wraps(head.wraps))
        except ValueError as error:
            raise CardanError(f"{name} was changed: its data key cannot be unwrapped") from error


def open_opener(key: str, base: Path) -> Opener:
    """Of a `pkcs11:` address, a file with 32 bytes in base64, or a private key in PEM. ConfigError if it is none."""
    if is_token_address(key):
        return Opener(Token(parse_address(key), base))
    path = base / Path(key).expanduser()
    if _is_pem(path):
        return Opener(read_private_key(path))
    file_key = read_key(path, "the key of objects")
    return Opener(AesKey(file_key), file_key)


def _is_pem(path: Path) -> bool:
    try:
        return path.read_bytes().lstrip().startswith(PEM)
    except OSError as error:
        raise ConfigError(f"the key {path} cannot be read: {error.strerror}", hint="is the path right?") from error
