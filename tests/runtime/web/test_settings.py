from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cardan.runtime.errors import ConfigError
from cardan.runtime.web.settings import WebSettings, check_settings, read_token


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_this_computer_may_look_without_more(address: str) -> None:
    check_settings(WebSettings(bind=address))


@pytest.mark.parametrize("address", ["0.0.0.0", "10.0.0.7", "::", "car.local"])
@pytest.mark.parametrize("half", [{}, {"token_file": "t"}, {"certificate": "c", "key": "k"}])
def test_others_need_a_token_and_tls(address: str, half: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="open to everybody"):
        check_settings(WebSettings(bind=address, **half))
    check_settings(WebSettings(bind=address, token_file="t", certificate="c", key="k"))


def test_a_certificate_needs_its_key() -> None:
    with pytest.raises(ConfigError, match="its key"):
        check_settings(WebSettings(certificate="c"))


def test_a_short_strange_or_missing_token_is_refused(tmp_path: Path) -> None:
    for content in (b"short", b"has spaces and more of them", b"\xff" * 20):
        (tmp_path / "token").write_bytes(content)
        with pytest.raises(ConfigError):
            read_token(str(tmp_path / "token"))
    with pytest.raises(ConfigError, match="cannot read"):
        read_token(str(tmp_path / "none"))
    (tmp_path / "token").write_text("0123456789abcdef\n")
    assert read_token(str(tmp_path / "token")) == "0123456789abcdef"
    assert read_token("") == ""
