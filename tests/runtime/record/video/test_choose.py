"""Which encoder is taken: what is declared, found, listed, and gives a picture for each picture."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cardan.runtime.errors import ConfigError, DeviceError
from cardan.runtime.profile import VideoSettings
from cardan.runtime.profile_file import load_profile, profile_names
from cardan.runtime.record.video.choose import choose, listed_encoders, trial
from cardan.runtime.record.video.commands import ENCODERS, Shape, Wish, ffmpeg_words, own_words

SHAPE, WISH = Shape(1280, 720, 3), Wish(20.0, 4000, 1.0)
Fake = Callable[[str], VideoSettings]

LISTING = """\
Encoders:
 V..... = Video
 ------
 V....D libx264              libx264 H.264 / AVC (codec h264)
 V..... mine                 an encoder of ours
 A....D aac                  AAC
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Makes an ffmpeg that does what this Python says, the first on the path."""

    def make(body: str) -> Path:
        path = tmp_path / "bin" / "ffmpeg"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!{sys.executable} -SE\nimport os, sys\nlisting = {LISTING!r}\n{body}\n")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", str(path.parent))
        return path

    return make


def test_the_list_of_an_ffmpeg_is_its_video_encoders(program: Callable[[str], Path]) -> None:
    path = program("print(listing)")
    assert listed_encoders(str(path)) == ["libx264", "mine"]


def test_an_ffmpeg_that_does_not_answer_is_named(program: Callable[[str], Path]) -> None:
    path = program("sys.exit(1)")
    with pytest.raises(DeviceError, match="does not say what it encodes"):
        listed_encoders(str(path))


def test_no_ffmpeg_an_unknown_encoder_and_one_that_fails_are_three_errors(program: Callable[[str], Path]) -> None:
    path = program("print(listing) if '-encoders' in sys.argv else sys.exit('no such luck')")
    with pytest.raises(DeviceError, match='has no encoder "h264_nvenc"') as found:
        choose(VideoSettings(encoder="h264_nvenc"))
    assert "libx264" in str(found.value.hint)
    with pytest.raises(DeviceError, match=r"libx264 of \S+ gave 0 of 6 pictures \(no such luck\)"):
        choose(VideoSettings())
    path.unlink()
    with pytest.raises(DeviceError, match="there is no ffmpeg"):
        choose(VideoSettings())


@pytest.mark.parametrize(("trouble", "said"), [("", ""), ("dies", ""), ("babbles", ""), ("doubles", "")])
def test_an_encoder_is_tried_with_a_few_pictures(fake: Fake, trouble: str, said: str) -> None:
    assert choose(fake(trouble)).name == sys.executable and said == ""


def test_a_program_that_gives_too_few_pictures_or_something_else_fails_the_trial() -> None:
    nothing = [sys.executable, "-SEc", "import sys; sys.stdin.buffer.read(); sys.stderr.write('a\\n b \\n')"]
    assert trial(nothing) == "gave 0 of 6 pictures (b)"
    assert "start code" in trial([sys.executable, "-SEc", "import sys; sys.stdin.buffer.read(); print('no video')"])
    assert trial(["/nowhere"]).startswith("fails: ")


def test_the_command_line_of_each_encoder_asks_for_the_same_stream() -> None:
    for encoder in ENCODERS:
        words = ffmpeg_words("ffmpeg", encoder, SHAPE, WISH, "/dev/dri/renderD128")
        text = " ".join(words)
        assert "-video_size 1280x720 -framerate 20 -i pipe:0" in text
        assert f"-c:v {encoder}" in text and "-b:v 4000k -g 20 -bf 0" in text
        assert "h264_metadata=aud=insert" in text and text.endswith("-f h264 pipe:1")
        assert ("hwupload" in text) == (encoder == "h264_vaapi")
    assert "-pixel_format gray" in " ".join(ffmpeg_words("ffmpeg", "libx264", Shape(4, 4, 1), WISH, ""))


def test_places_of_a_command_are_filled_in_and_unknown_ones_named() -> None:
    template = ["enc", "{width}x{height}", "{format}:{frame_bytes}", "{rate}/1", "{kbps}k={bps}", "{keyframe_frames}"]
    assert own_words(template, SHAPE, WISH) == ["enc", "1280x720", "rgb:2764800", "20/1", "4000k=4000000", "20"]
    with pytest.raises(ConfigError, match=r"unknown place \{widht\}") as found:
        own_words(["enc", "{widht}"], SHAPE, WISH)
    assert "width" in str(found.value.hint)


def test_the_commands_of_the_shipped_profiles_have_known_places_only() -> None:
    for name in profile_names():
        own_words(load_profile(name).video.command, SHAPE, WISH)
