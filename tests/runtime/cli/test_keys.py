import io
import json
from pathlib import Path

import pytest
import zmq

from cardan.runtime.cli.main import main


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CARDAN_DATA_DIR", str(tmp_path))
    return tmp_path / "keys"


def test_a_pair_is_made_shown_and_listed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "list"]) == 0
    assert "make a pair with `cardan keys new NAME`" in capsys.readouterr().out
    assert main(["keys", "new", "car"]) == 0
    made = capsys.readouterr().out
    assert main(["keys", "show", "car"]) == 0
    key = capsys.readouterr().out.strip()
    assert f"cardan keys trust car '{key}'" in made, "the next command is ready to be copied"
    secret = (folder / "car.key_secret").read_text().split('secret-key = "')[1][:40]
    assert secret not in made
    assert main(["keys", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed["keys"] == [{"name": "car", "kind": "own", "public_key": key}]


@pytest.mark.parametrize("how", ["key", "file", "stdin"])
def test_a_key_is_trusted_however_it_is_given(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key = zmq.curve_keypair()[0].decode()
    (tmp_path / "car.key").write_text(f'metadata\ncurve\n    public-key = "{key}"\n')
    given = {"key": key, "file": str(tmp_path / "car.key"), "stdin": "-"}[how]
    for _ in range(2):
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{key}\n"))
        assert main(["keys", "trust", "car", "--", given]) == 0
    assert "was trusted already" in capsys.readouterr().out
    assert main(["keys", "revoke", "car"]) == 0
    assert main(["keys", "revoke", "car"]) == 1


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["keys", "trust", "car", "abc"], 1, "neither a public key (40 characters) nor a file"),
        (["keys", "trust", "car", "é" * 40], 1, "no public key"),
        (["keys", "show", "car"], 3, 'no key is called "car"'),
        (["keys", "new", "../car"], 1, "no name of a key"),
        (["keys", "new"], 2, "required"),
    ],
)
def test_what_cannot_be_done_is_one_clear_error(
    words: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == code
    assert said in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["keys", "new", "car", "--keys", str(tmp_path / "file")]) == 1
    assert "cannot write" in capsys.readouterr().err
