"""What a manifest may write as `store`, taken apart.

file:///an/absolute/path
azure://ACCOUNT/CONTAINER/PREFIX
https://ACCOUNT.blob.core.windows.net/CONTAINER/PREFIX     any cloud's own name, also of China or a government
http://127.0.0.1:10000/ACCOUNT/CONTAINER/PREFIX            a server on this computer, for tests
s3://BUCKET/PREFIX?region=eu-central-1&endpoint=https://s3.example.com
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from cardan.runtime.errors import ConfigError

FORMS = "file:///an/absolute/path, azure://ACCOUNT/CONTAINER, https://ACCOUNT.blob..., s3://BUCKET?region=REGION"


@dataclass(frozen=True, kw_only=True)
class Location:
    """Where a store is. No secret is in it."""

    kind: Literal["file", "azure", "s3"]
    url: str
    path: str = ""
    """Of a folder."""
    account: str = ""
    container: str = ""
    """Azure's container or S3's bucket."""
    prefix: str = ""
    """Before every name; no `/` at either end."""
    endpoint: str = ""
    options: dict[str, str] = field(default_factory=dict)
    """What the address says beside the place: S3's region."""

    @property
    def is_plain_http(self) -> bool:
        """True for a server on this computer, the only one that is spoken to without TLS."""
        return self.endpoint.startswith("http://")


def location_of(url: str) -> Location:
    """`url` taken apart. ConfigError when it is none of the known forms."""
    parts = urlsplit(url)
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
        return Location(kind="file", url=url, path=unquote(parts.path))
    if parts.scheme == "s3" and parts.netloc:
        return _s3(url, parts)
    if parts.scheme == "azure" and parts.netloc:
        return _azure(url, parts.netloc, f"https://{parts.netloc}.blob.core.windows.net", _pieces(parts))
    if parts.scheme in ("https", "http") and parts.hostname:
        return _azure_by_endpoint(url, parts)
    raise ConfigError(f'"{url}" is no store that cardan knows', hint=f"write one of {FORMS}")


def _s3(url: str, parts: SplitResult) -> Location:
    query = dict(parse_qsl(parts.query))
    unknown = sorted(set(query) - {"region", "endpoint"})
    if unknown:
        raise ConfigError(f'"{url}" has an unknown "{unknown[0]}"', hint="known: region, endpoint")
    endpoint = query.pop("endpoint", "")
    _refuse_plain_http(url, endpoint)
    prefix = "/".join(_pieces(parts))
    return Location(kind="s3", url=url, container=parts.netloc, prefix=prefix, endpoint=endpoint, options=query)


def _azure_by_endpoint(url: str, parts: SplitResult) -> Location:
    if parts.query or parts.username:
        raise ConfigError(
            f"the store at {parts.hostname} is given with a key in its address",
            hint="a manifest is no place for secrets: write the SAS into a file, and name it in `access_file`",
        )
    pieces, endpoint = _pieces(parts), f"{parts.scheme}://{parts.netloc}"
    _refuse_plain_http(url, endpoint)
    account, _, rest = (parts.hostname or "").partition(".")
    if rest.startswith("blob."):
        return _azure(url, account, endpoint, pieces)
    return _azure(url, pieces[0] if pieces else "", f"{endpoint}/{pieces[0] if pieces else ''}", pieces[1:])


def _azure(url: str, account: str, endpoint: str, pieces: list[str]) -> Location:
    if not pieces:
        raise ConfigError(f'"{url}" names no container', hint=f"write one of {FORMS}")
    prefix = "/".join(pieces[1:])
    return Location(kind="azure", url=url, account=account, container=pieces[0], prefix=prefix, endpoint=endpoint)


def _pieces(parts: SplitResult) -> list[str]:
    return [unquote(piece) for piece in parts.path.split("/") if piece]


def _refuse_plain_http(url: str, endpoint: str) -> None:
    if endpoint.startswith("http://") and not _is_this_computer(urlsplit(endpoint).hostname or ""):
        raise ConfigError(f'"{url}" would send data in the clear', hint="write https")


def _is_this_computer(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
