"""The files of the service, and what `cardan install-service` makes of them for one computer."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from cardan.runtime.errors import ConfigError
from cardan.runtime.run import SERVICE_DATA, SERVICE_RUNS
from cardan.runtime.service.files import TARGETS, UNIT, Service, quote, read_shipped, service_files, set_key

PACKAGING = Path(__file__).resolve().parents[3] / "packaging"
ALWAYS_OPEN = ("RestrictRealtime", "PrivateDevices", "PrivateNetwork", "PrivateUsers", "MemoryDenyWriteExecute")


def unit(service: Service) -> dict[str, str]:
    """Settings of the filled unit; of a key that is set twice, the last."""
    lines = [line for line in service_files(service)[UNIT].splitlines() if "=" in line and line[0] != "#"]
    return {key: value for key, _, value in (line.partition("=") for line in lines)}


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """An interpreter outside all homes."""
    return Path("/opt/vehicle/bin/python3")


def test_the_shipped_unit_is_the_one_for_the_default_place() -> None:
    service = Service(python=Path("/opt/cardan/bin/python"))
    assert service_files(service) == {target: read_shipped(name) for target, name in TARGETS.items()}


def test_interpreter_manifest_profile_and_user_are_filled_in(python: Path) -> None:
    service = Service(python=python, manifest=Path("/etc/cardan/v.toml"), profile="bench", user="robo")
    assert unit(service)["ExecStart"] == (
        "/opt/vehicle/bin/python3 -m cardan.runtime.cli.main up --service --profile bench /etc/cardan/v.toml"
    )
    assert unit(service)["User"] == "robo"
    files = service_files(service)
    assert 'u robo - "cardan vehicle runtime" /var/lib/cardan' in files["/etc/sysusers.d/cardan.conf"]
    assert "m robo video" in files["/etc/sysusers.d/cardan.conf"]
    assert "d /var/lib/cardan 0750 robo robo -" in files["/etc/tmpfiles.d/cardan.conf"]
    assert "d /etc/cardan 0755 root root -" in files["/etc/tmpfiles.d/cardan.conf"]
    assert 'GROUP="robo"' in files["/etc/udev/rules.d/70-cardan.rules"]


@pytest.mark.parametrize("user", ["", "root", "Robo", "a b", "x;y", "-x", "a" * 40])
def test_a_user_that_no_computer_should_have_is_refused(python: Path, user: str) -> None:
    with pytest.raises(ConfigError, match="never root"):
        service_files(Service(python=python, user=user))


def test_homes_are_open_for_reading_only_when_something_lies_in_them(python: Path) -> None:
    assert unit(Service(python=python))["ProtectHome"] == "yes"
    assert unit(Service(python=Path("/home/me/.venv/bin/python")))["ProtectHome"] == "read-only"
    assert unit(Service(python=python, manifest=Path("/root/v.toml")))["ProtectHome"] == "read-only"
    assert unit(Service(python=Path("/homes/bin/python")))["ProtectHome"] == "yes"


def test_temporary_files_are_hidden_unless_the_service_lies_among_them(python: Path) -> None:
    assert unit(Service(python=python))["PrivateTmp"] == "yes"
    assert unit(Service(python=Path("/tmp/checkout/.venv/bin/python")))["PrivateTmp"] == "no"


def test_an_interpreter_that_is_a_link_into_a_home_opens_homes_too(tmp_path: Path) -> None:
    link = tmp_path / "python"
    link.symlink_to("/root/versions/python3")
    assert unit(Service(python=link))["ProtectHome"] == "read-only"


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("/opt/a-b/c_d.toml", "/opt/a-b/c_d.toml"),
        ("/my cars/a.toml", '"/my cars/a.toml"'),
        ("/50%/$HOME", "/50%%/$$HOME"),
        ('/a"b\\c', '"/a\\"b\\\\c"'),
        ("/a;b", '"/a;b"'),
        ("", '""'),
    ],
)
def test_a_word_means_itself_to_systemd(word: str, expected: str) -> None:
    assert quote(word) == expected


def test_a_word_that_would_break_the_line_is_refused() -> None:
    with pytest.raises(ConfigError, match="printable"):
        quote("/a\nExecStartPre=/bin/sh")


def test_only_the_line_of_the_key_changes() -> None:
    assert set_key("#User=x\nUser=a\nUserX=b\n", "User", "c") == "#User=x\nUser=c\nUserX=b\n"


def test_the_unit_and_the_code_mean_the_same_folders(python: Path) -> None:
    assert (
        f"CARDAN_RUN_DIR={SERVICE_RUNS} CARDAN_DATA_DIR={SERVICE_DATA}" in unit(Service(python=python))["Environment"]
    )
    assert unit(Service(python=python))["RuntimeDirectory"] == SERVICE_RUNS.name
    assert unit(Service(python=python))["StateDirectory"] == SERVICE_DATA.name


def test_what_stays_open_says_why() -> None:
    lines = read_shipped("cardan.service").splitlines()
    for key in ALWAYS_OPEN:
        (place,) = (number for number, line in enumerate(lines) if line == f"{key}=no")
        assert lines[place - 1].startswith("# ")


def test_the_packaging_folder_shows_the_shipped_files() -> None:
    shown = {path.resolve().name for path in PACKAGING.rglob("*") if path.is_symlink()}
    assert shown == set(TARGETS.values())


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_the_unit_is_exposed_no_more_than_it_has_to_be(tmp_path: Path) -> None:
    file = tmp_path / "cardan.service"
    file.write_text(read_shipped("cardan.service"))
    command = ["systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=25", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_whatever_stays_open_is_named_in_the_unit(python: Path, tmp_path: Path) -> None:
    path = tmp_path / "cardan.service"
    path.write_text(service_files(Service(python=python))[UNIT])
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "Overall exposure" not in done.stdout:
        pytest.skip(f"this systemd cannot judge a file: {done.stderr.strip()}")
    still_open = {line.split()[1].partition("=")[0] for line in done.stdout.splitlines() if line.startswith("✗")}
    assert {"RestrictRealtime", "Delegate"} <= still_open
    assert {key for key in still_open if f"{key}=" not in path.read_text()} == set()
