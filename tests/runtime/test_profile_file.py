from __future__ import annotations

from pathlib import Path

import pytest

from cardan.runtime.errors import ProfileError
from cardan.runtime.graph import load_plan
from cardan.runtime.profile_file import find_profile, load_profile, profile_names, read_profile


def write(folder: Path, text: str) -> Path:
    path = folder / "computer.toml"
    path.write_text(text)
    return path


def findings(path: Path) -> list[str]:
    return [str(finding).removeprefix(f"{path}:") for finding in read_profile(path)[1].sorted()]


@pytest.mark.parametrize("name", profile_names())
def test_every_shipped_profile_is_in_order_and_called_like_its_file(name: str) -> None:
    assert load_profile(name).name == name


@pytest.mark.parametrize("name", profile_names())
def test_the_reference_vehicle_fits_every_shipped_profile(name: str) -> None:
    assert load_plan(profile=name).profile.name == name


def test_the_bench_profile_asks_for_no_privilege_and_no_hardware() -> None:
    bench = load_profile("bench")
    assert set(bench.cores.values()) == {"all"}
    assert bench.can["vehicle"].interface == "udp_multicast"
    assert bench.can["vehicle"].port == 0
    assert bench.realtime.scheduler == "fifo-if-allowed"


def test_a_channel_knows_its_name(tmp_path: Path) -> None:
    path = write(tmp_path, 'schema = 1\nname = "x"\n[can.chassis]\ninterface = "socketcan"\nchannel = "can0"\n')
    assert load_profile(path.name, tmp_path).can["chassis"].name == "chassis"


def test_an_unknown_profile_lists_near_names(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match='no profile "bnch"\n  hint: did you mean "bench"'):
        find_profile("bnch", tmp_path)
    write(tmp_path, "")
    with pytest.raises(ProfileError, match='did you mean "computer'):
        find_profile("compter.toml", tmp_path)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("[cores]\na = []", "4: cores.a: a list does not fit, expected a list of at least length 1"),
        ("[cores]\na = [-1]", "4: cores.a[0]: -1 does not fit, expected a whole number of at least 0"),
        ('[cores]\na = "al"', '4: cores.a: "al" is not allowed, did you mean "all"?'),
        ("[can.x]\nport = 70000", "4: can.x.port: 70000 does not fit, expected a whole number of at most 65535"),
        ('[can.x]\nbaud = "x"', '4: can.x.baud: unknown key "baud", '),
        ('[can.x]\nname = "y"', "4: can.x.name: is the name of its table, remove it"),
        ("[realtime]\npriority = 0", "4: realtime.priority: 0 does not fit, expected a whole number of at least 1"),
        ('[accelerator]\nkind = "gpu"', '4: accelerator.kind: "gpu" is not allowed, did you mean "cpu"?'),
        ("[storage]\nquota_bytes = 1.5", "4: storage.quota_bytes: 1.5 does not fit, expected a whole number"),
        ("[wachtdog]", '3: wachtdog: unknown key "wachtdog", did you mean "watchdog"?'),
        ('[watchdog]\ndevice = "watchdog0"', "4: watchdog.device: "),
        ("[watchdog]\ntimeout_s = 1", "4: watchdog.timeout_s: 1 does not fit, expected a whole number of at least 2"),
    ],
)
def test_a_mistake_is_found_on_its_line(tmp_path: Path, line: str, expected: str) -> None:
    found = findings(write(tmp_path, f'schema = 1\nname = "x"\n{line}\n'))
    assert len(found) == 1
    assert found[0].startswith(expected)


def test_loading_a_broken_profile_lists_its_findings(tmp_path: Path) -> None:
    path = write(tmp_path, "[cores]\n")
    with pytest.raises(ProfileError, match=r"computer.toml:1: name: is missing") as error:
        load_profile(str(path))
    assert len(error.value.message.splitlines()) == 2
