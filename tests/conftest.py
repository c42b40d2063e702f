"""What all tests share: property tests that give the same result on every computer, however slow."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("cardan", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("cardan")
