"""What a token's refusals mean to a person: one table, by the name that the standard gives them.

https://docs.oasis-open.org/pkcs11/pkcs11-base/v3.0/os/pkcs11-base-v3.0-os.html, 5.1: return values.
"""

from __future__ import annotations

from cardan.runtime.uplink.keys.uri import TokenAddress
from cardan.runtime.uplink.keys.wraps import KeyAwayError

_AWAY = (
    "the token is away",
    "is it plugged in, and its service running? `pkcs11-tool --module MODULE -L` lists tokens",
)
_MECHANISM = (
    "the token cannot wrap with this key",
    "an AES-256 key with CKM_AES_CBC, or an RSA key with CKM_RSA_PKCS_OAEP, allowed to encrypt and decrypt",
)
WRONG_PIN = frozenset({"PinIncorrect", "PinInvalid", "PinLenRange"})
"""Not tried again with the same PIN: tokens lock themselves after a few."""
LAST_TRY = "LastTry"
"""Ours: one more wrong PIN, and the token locks itself."""

MEANINGS: dict[str, tuple[str, str]] = {
    **dict.fromkeys(WRONG_PIN, ("the PIN is wrong", "correct what pin-source names; the wrong one is not tried again")),
    LAST_TRY: (
        "the token locks itself at the next wrong PIN, so a person has to log in first",
        "`pkcs11-tool --module MODULE --login --list-objects` with the right PIN",
    ),
    "PinLocked": ("the token has locked itself after wrong PINs", "unlock it with its security officer's PIN"),
    "PinExpired": ("the PIN has expired", "set a new one with the token's tool"),
    "UserPinNotInitialized": ("the token has no PIN yet", "`pkcs11-tool --module MODULE --init-pin`"),
    "UserNotLoggedIn": ("the token wants a PIN", "add &pin-source=file:PATH to the address"),
    **dict.fromkeys(("NoSuchToken", "TokenNotPresent", "TokenNotRecognised", "DeviceRemoved", "SlotIDInvalid"), _AWAY),
    "MultipleTokensReturned": ("more than one token fits", "name its serial"),
    "NoSuchKey": (
        "the token has no such key",
        "`pkcs11-tool --module MODULE --login -O` lists its keys; is the PIN that of this token?",
    ),
    "MultipleObjectsReturned": ("more than one key fits", "add id= or type= to the address"),
    **dict.fromkeys(
        (
            "MechanismInvalid",
            "MechanismParamInvalid",
            "FunctionNotSupported",
            "KeyTypeInconsistent",
            "KeySizeRange",
            "KeyFunctionNotPermitted",
            "FunctionNotPermitted",
        ),
        _MECHANISM,
    ),
    "EncryptedDataInvalid": ("the token cannot unwrap what was wrapped", "was the key in it replaced?"),
    "EncryptedDataLenRange": ("the token cannot unwrap what was wrapped", "was the key in it replaced?"),
}


def refusal(name: str, text: str, address: TokenAddress) -> KeyAwayError:
    """The error for a person. name: of the library's exception; text: what it says beside its name."""
    unknown = (f"the token answers {name}{f' ({text})' if text else ''}", "`cardan doctor vehicle.key` tries it again")
    what, hint = MEANINGS.get(name, unknown)
    return KeyAwayError(f"{what}: {address}", hint=hint.replace("MODULE", address.module))
