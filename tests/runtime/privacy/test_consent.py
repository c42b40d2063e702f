"""Consent is kept on disk, counts at once, and is never taken for granted."""

from __future__ import annotations

from pathlib import Path

import pytest

from cardan.runtime.clock import FakeClock
from cardan.runtime.errors import ConfigError
from cardan.runtime.privacy.consent import ConsentFile, consent_path


def test_until_somebody_speaks_the_manifest_counts(tmp_path: Path) -> None:
    assert ConsentFile(tmp_path, ["operation"]).now().purposes == {"operation"}
    assert ConsentFile(tmp_path, []).now().purposes == frozenset()


def test_what_somebody_said_outlives_the_process_and_beats_the_manifest(tmp_path: Path) -> None:
    file = ConsentFile(tmp_path, ["operation"])
    file.say(["operation"], given=False, by="anna", clock=FakeClock())
    file.say(["improvement"], given=True, by="ben", clock=FakeClock())
    other = ConsentFile(tmp_path, ["operation", "diagnostics"]).now()
    assert other.purposes == {"improvement", "diagnostics"}
    assert other.said["operation"].by == "anna" and not other.said["operation"].given


def test_a_running_process_sees_the_word_of_another_one(tmp_path: Path) -> None:
    running, person = ConsentFile(tmp_path, []), ConsentFile(tmp_path, [])
    assert not running.now().purposes
    person.say(["operation"], given=True, by="anna", clock=FakeClock())
    assert running.now().purposes == {"operation"}
    consent_path(tmp_path).unlink()
    assert not running.now().purposes


@pytest.mark.parametrize("text", [b"", b"{", b'{"said":{"operation":1}}', b'{"said":{"selling":{"given":true}}}'])
def test_a_file_that_cannot_be_read_is_no_consent(tmp_path: Path, text: bytes) -> None:
    consent_path(tmp_path).parent.mkdir()
    consent_path(tmp_path).write_bytes(text)
    found = ConsentFile(tmp_path, ["operation"]).now()
    assert found.purposes == frozenset() and "nothing is consented to" in found.problem


def test_a_word_that_cannot_be_kept_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "privacy").write_text("in the way")
    with pytest.raises(ConfigError, match="cannot be written"):
        ConsentFile(tmp_path, []).say(["operation"], given=True, by="anna", clock=FakeClock())
