"""The example of the recorded minute: its manifest and profile, as far as replay and receiver are concerned."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from cardan.drivers.can.receiver import CanReceiverConfig
from cardan.drivers.can.replay import CandumpReplayConfig, recording_path
from cardan.runtime.errors import ConfigError
from cardan.runtime.graph import check
from cardan.runtime.manifest import read_manifest
from cardan.runtime.profile_file import load_profile

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "rav4_minute"


def test_the_manifest_has_the_right_shape_and_ends_with_its_recording() -> None:
    manifest = read_manifest(EXAMPLE / "vehicle.toml")
    assert not manifest.findings
    assert manifest.stop_when == "replay"
    assert manifest.nodes["replay"].restart == "never"


def test_what_the_replay_sends_is_what_the_receiver_opens_and_the_profile_has() -> None:
    manifest = read_manifest(EXAMPLE / "vehicle.toml")
    replay = msgspec.convert(manifest.nodes["replay"].config, CandumpReplayConfig)
    receiver = msgspec.convert(manifest.nodes["can"].config, CanReceiverConfig)
    assert set(replay.channels.values()) == set(receiver.channels) == set(load_profile(manifest.profile, EXAMPLE).can)


def test_without_the_data_the_error_leads_to_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARDAN_DATA", str(tmp_path))
    manifest = read_manifest(EXAMPLE / "vehicle.toml")
    replay = msgspec.convert(manifest.nodes["replay"].config, CandumpReplayConfig)
    with pytest.raises(ConfigError) as error:
        recording_path(replay, tmp_path)
    assert error.value.hint is not None
    assert "README" in error.value.hint
    assert "rav4_minute" in (EXAMPLE / "README.md").read_text()


@pytest.mark.slow
def test_the_whole_graph_has_no_findings() -> None:
    assert check(str(EXAMPLE)).findings == []
