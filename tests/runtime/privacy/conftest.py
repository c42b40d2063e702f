"""A policy with a key of its own and a consent that a test can change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cardan.runtime.privacy.consent import ConsentFile
from cardan.runtime.privacy.policy import Policy
from cardan.runtime.privacy.pseudonym import Pseudonyms
from cardan.runtime.privacy.settings import PURPOSES, PrivacySettings


@pytest.fixture
def policy_with(tmp_path: Path) -> Callable[..., Policy]:
    """Everything is consented to unless the test says otherwise."""

    def make(vin: str = "", **settings: Any) -> Policy:
        used = PrivacySettings(**{"consent": list(PURPOSES), **settings})
        return Policy(used, ConsentFile(tmp_path, used.consent), Pseudonyms(b"k" * 32), vin)

    return make
