from __future__ import annotations

import pytest

from cardan.runtime.web.access import COOKIE, host_allowed, token_cookie, token_fits, token_given


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:7440", "localhost:7440", "[::1]:7440", "10.0.0.7", "CAR.local:1"]
)
def test_addresses_and_known_names_may_be_asked_for(host: str) -> None:
    assert host_allowed(host, ["car.local"])


@pytest.mark.parametrize("host", [None, "", "evil.example", "evil.example:7440", "127.0.0.1.evil.example", "::1]x"])
def test_any_other_name_is_refused_so_that_rebinding_a_name_gains_nothing(host: str | None) -> None:
    assert not host_allowed(host, ["car.local"])


def test_a_token_comes_in_a_header_or_in_the_cookie() -> None:
    assert token_given("Bearer abc", None) == "abc"
    assert token_given(None, f"x=1; {COOKIE}=abc") == "abc"
    assert token_given("Basic abc", "nonsense;;=") == ""


def test_only_the_whole_token_fits() -> None:
    assert token_fits("a" * 16, "a" * 16)
    assert not token_fits("a" * 15, "a" * 16)
    assert not token_fits("", "a" * 16)
    assert not token_fits("\udcff", "a" * 16)
    assert token_fits("anything", "")


def test_scripts_and_other_sites_do_not_get_the_cookie() -> None:
    assert "HttpOnly" in token_cookie("t", secure=True) and "SameSite=Strict" in token_cookie("t", secure=True)
    assert "Secure" in token_cookie("t", secure=True) and "Secure" not in token_cookie("t", secure=False)
