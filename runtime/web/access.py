"""Who may ask for what: decided from the head of a request alone."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie

COOKIE = "cardan_token"
SECURITY = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Headers of every answer: the page loads nothing from elsewhere, and nobody frames, keeps or reads it elsewhere."""


def host_allowed(header: str | None, names: Iterable[str]) -> bool:
    """True for a Host header that is an address, localhost, or one of `names`.

    A foreign page can make a browser ask us under a name of its own (DNS rebinding), never under an address.
    """
    host = _without_port(header or "")
    if host.lower() == "localhost" or host.lower() in {name.lower() for name in names}:
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _without_port(header: str) -> str:
    if header.startswith("["):
        return header[1:].partition("]")[0]
    host, _, port = header.rpartition(":")
    return host if port.isdecimal() and host else header


def token_given(authorization: str | None, cookie: str | None) -> str:
    """The token that a request carries; empty when it has none."""
    kind, _, value = (authorization or "").partition(" ")
    if kind.lower() == "bearer":
        return value.strip()
    try:
        morsel = SimpleCookie(cookie or "").get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel is not None else ""


def token_fits(given: str, token: str) -> bool:
    """Compared in constant time; without a token everybody fits."""
    return not token or hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())


def token_cookie(token: str, *, secure: bool) -> str:
    """What keeps the token in the browser: no script sees it, and no other site sends it."""
    return f"{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict{'; Secure' if secure else ''}"
