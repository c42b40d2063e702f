"""Addresses of stores, as manifests write them."""

from __future__ import annotations

import pytest

from cardan.runtime.errors import ConfigError
from cardan.runtime.uplink.stores.location import Location, location_of


def test_a_folder_is_a_file_url() -> None:
    assert location_of("file:///a/with%20space").path == "/a/with space"


@pytest.mark.parametrize(
    ("url", "account", "container", "prefix", "endpoint"),
    [
        ("azure://acc/fleet", "acc", "fleet", "", "https://acc.blob.core.windows.net"),
        ("azure://acc/fleet/cars/eu", "acc", "fleet", "cars/eu", "https://acc.blob.core.windows.net"),
        ("https://acc.blob.core.windows.net/fleet/", "acc", "fleet", "", "https://acc.blob.core.windows.net"),
        ("https://acc.blob.core.chinacloudapi.cn/f/p", "acc", "f", "p", "https://acc.blob.core.chinacloudapi.cn"),
        ("http://127.0.0.1:10000/dev/fleet/p", "dev", "fleet", "p", "http://127.0.0.1:10000/dev"),
    ],
)
def test_azure_has_several_addresses(url: str, account: str, container: str, prefix: str, endpoint: str) -> None:
    expected = Location(kind="azure", url=url, account=account, container=container, prefix=prefix, endpoint=endpoint)
    assert location_of(url) == expected


def test_s3_takes_its_region_and_endpoint_from_the_address() -> None:
    found = location_of("s3://bucket/cars?region=eu-central-1&endpoint=https://s3.example.com")
    assert (found.kind, found.container, found.prefix) == ("s3", "bucket", "cars")
    assert (found.endpoint, found.options) == ("https://s3.example.com", {"region": "eu-central-1"})


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("/a/path", "no store that cardan knows"),
        ("ftp://host/x", "no store that cardan knows"),
        ("file://host/path", "no store that cardan knows"),
        ("file:relative", "no store that cardan knows"),
        ("azure://acc", "names no container"),
        ("https://acc.blob.core.windows.net", "names no container"),
        ("s3://bucket?profile=x", 'unknown "profile"'),
        ("http://store.example.com/acc/fleet", "in the clear"),
        ("s3://bucket?endpoint=http://10.0.0.1:9000", "in the clear"),
    ],
)
def test_another_address_is_refused(url: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        location_of(url)


def test_a_key_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError, match="with a key in its address") as caught:
        location_of("https://acc.blob.core.windows.net/fleet?sv=2024&sig=abcdef")
    assert "abcdef" not in str(caught.value)
    assert "access_file" in str(caught.value)
