from pathlib import Path

import pytest
import zmq
import zmq.auth

from cardan.runtime.errors import ConfigError
from cardan.runtime.link.keys import KeyFolder, keys_folder, parse_key, read_public


@pytest.fixture
def keys(tmp_path: Path) -> KeyFolder:
    return KeyFolder(tmp_path / "keys")


def test_a_new_pair_is_found_again_and_only_its_owner_may_read_it(keys: KeyFolder) -> None:
    made = keys.create("box", zmq.curve_keypair)
    assert keys.load("box") == made
    assert keys.own() == {"box": made.public}
    assert (keys.folder / "box.key_secret").stat().st_mode & 0o777 == 0o600
    assert keys.folder.stat().st_mode & 0o777 == 0o700


def test_the_files_are_certificates_of_pyzmq(keys: KeyFolder) -> None:
    made = keys.create("box", zmq.curve_keypair)
    assert zmq.auth.load_certificate(keys.folder / "box.key_secret") == (made.public, made.secret)
    assert zmq.auth.load_certificate(keys.folder / "box.key") == (made.public, None)


def test_a_pair_is_never_overwritten(keys: KeyFolder) -> None:
    made = keys.create("box", zmq.curve_keypair)
    with pytest.raises(ConfigError, match="is there already"):
        keys.create("box", zmq.curve_keypair)
    assert keys.load("box") == made
    assert sorted(path.name for path in keys.folder.iterdir()) == ["box.key", "box.key_secret"]


def test_a_public_key_that_looks_like_an_option_is_not_used(keys: KeyFolder) -> None:
    pairs = iter([(b"-" * 40, b"s" * 40), (b"p" * 40, b"s" * 40)])
    assert keys.create("box", lambda: next(pairs)).public == b"p" * 40


def test_a_secret_key_that_others_may_read_is_refused(keys: KeyFolder) -> None:
    keys.create("box", zmq.curve_keypair)
    path = keys.folder / "box.key_secret"
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="others may read") as caught:
        keys.load("box")
    assert caught.value.hint == f"chmod 600 {path}"


def test_an_absent_pair_lists_near_names_or_how_to_make_it(keys: KeyFolder) -> None:
    with pytest.raises(ConfigError) as caught:
        keys.load("box")
    assert caught.value.hint == "cardan keys new box"
    keys.create("boxer", zmq.curve_keypair)
    with pytest.raises(ConfigError) as caught:
        keys.load("box")
    assert '"boxer"' in str(caught.value.hint)


@pytest.mark.parametrize("content", ["", 'public-key = "short"', "\xff", 'secret-key = "x"'])
def test_a_damaged_key_file_is_named(keys: KeyFolder, content: str) -> None:
    keys.create("box", zmq.curve_keypair)
    for path in (keys.folder / "box.key_secret", keys.folder / "box.key"):
        path.write_bytes(content.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"box\.key_secret"):
        keys.load("box")
    with pytest.raises(ConfigError, match=r"box\.key"):
        read_public(keys.folder / "box.key")


def test_trust_is_given_once_and_taken_back(keys: KeyFolder) -> None:
    key, other = zmq.curve_keypair()[0], zmq.curve_keypair()[0]
    assert keys.trust("laptop", key)
    assert not keys.trust("laptop", key), "nothing new"
    with pytest.raises(ConfigError, match="with another key"):
        keys.trust("laptop", other)
    with pytest.raises(ConfigError, match='already, as "laptop"'):
        keys.trust("second", key)
    assert keys.trusted() == {"laptop": key}
    keys.revoke("laptop")
    assert keys.trusted() == {}
    with pytest.raises(ConfigError, match="is not trusted"):
        keys.revoke("laptop")


@pytest.mark.parametrize("name", ["", "../up", "A", "a b", "x" * 33])
def test_a_name_that_could_be_a_path_is_refused(keys: KeyFolder, name: str) -> None:
    for use in (
        lambda: keys.create(name, zmq.curve_keypair),
        lambda: keys.trust(name, b"k" * 40),
        lambda: keys.revoke(name),
    ):
        with pytest.raises(ConfigError, match="no name of a key"):
            use()
    assert not keys.folder.exists()


def test_what_is_no_key_is_refused_with_the_remedy() -> None:
    key = zmq.curve_keypair()[0]
    assert parse_key(f" {key.decode()}\n") == key
    for text in ("", "short", key.decode()[:-1] + '"', key.decode() + "x"):
        with pytest.raises(ConfigError, match="no public key"):
            parse_key(text)


def test_keys_lie_in_the_data_folder_unless_another_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = tmp_path / "etc"
    monkeypatch.setattr("cardan.runtime.link.keys.SERVICE_KEYS", service)
    assert keys_folder(tmp_path) == tmp_path / "keys"
    service.mkdir()
    assert keys_folder(tmp_path) == service
    assert keys_folder(tmp_path, "/given") == Path("/given")


def test_the_secret_is_not_in_the_representation(keys: KeyFolder) -> None:
    made = keys.create("box", zmq.curve_keypair)
    assert made.secret.decode() not in repr(made)
