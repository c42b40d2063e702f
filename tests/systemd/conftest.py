"""A computer with a systemd of its own for the tests of this folder: a container that boots in half a second.

Needs root, systemd-nspawn, and the Debian that `make-root` makes; where one is absent the tests are skipped with the
reason. The systemd of this computer is never spoken to. The container gets the interpreter and the code of this
checkout as read-only mounts, in their own places.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
CODE = HERE.parent.parent
VEHICLE = "/etc/cardan/vehicle.toml"
SERVICE = "cardan"
DATA_DIR = "var/lib/cardan"
BOOTS_WITHIN_S = 20.0
LANE_FREE_WITHIN_S = 45.0
TOOLS = ("systemd-nspawn", "nsenter", "unshare", "systemctl")
CGROUPS = ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "systemd: boots a container with systemd; skipped where that is not possible")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == HERE:
            item.add_marker(pytest.mark.systemd)
            item.add_marker(pytest.mark.timeout(LANE_FREE_WITHIN_S + 60.0))


def root_folder() -> Path:
    """Where `make-root` puts the Debian."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("CARDAN_SYSTEMD_ROOT") or cache / "cardan" / "systemd-root")


def why_not() -> str:
    """What is missing here; empty when nothing is."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if os.geteuid() != 0:
        return "booting a container needs root"
    if missing:
        return f"not installed: {', '.join(missing)} (apt-get install systemd-container)"
    if not root_folder().is_dir():
        return f"there is no {root_folder()}: make it once with tests/systemd/make-root"
    if sys.base_prefix == "/usr" and not (root_folder() / Path(sys.executable).resolve().relative_to("/")).exists():
        return f"{root_folder()} has another Python than this computer: remove it and make it again"
    closed = [path for path in _mounts() if os.stat(path).st_mode & 0o005 != 0o005]
    if closed:
        return f"{closed[0]} is closed to other users, so the user of the service could not read it"
    tried = subprocess.run(["unshare", "-m", "true"], capture_output=True, text=True, check=False, timeout=10)
    return f"no mount namespace: {tried.stderr.strip()}" if tried.returncode else ""


def _mounts() -> list[str]:
    """What the container sees of this computer: the code, and the interpreter unless that is the system's own."""
    wanted = [CODE, Path(sys.prefix), *([Path(sys.base_prefix)] if sys.base_prefix != "/usr" else [])]
    return [str(path) for path in wanted if path == CODE or not path.is_relative_to(CODE)]


def wait_until(what: Callable[[], object], within_s: float, why: Callable[[], str] = str) -> float:
    """Wait for a condition; the seconds it took."""
    start = time.monotonic()
    while not what():
        if time.monotonic() - start > within_s:
            raise AssertionError(f"waited {within_s} s in vain; {why()}")
        time.sleep(0.1)
    return time.monotonic() - start


class Machine:
    """The container. Its files are reached below `root`, its programs by `run`."""

    def __init__(self, leader_pid: int) -> None:
        self.leader_pid = leader_pid
        self.root = Path(f"/proc/{leader_pid}/root")
        self.data = self.root / DATA_DIR

    def run(self, *command: str, check: bool = True) -> str:
        """Run a program as root in the container; its output."""
        done = self.try_run(*command)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def try_run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a program as root in the container, whatever comes of it."""
        enter = ["nsenter", "-t", str(self.leader_pid), "-m", "-u", "-i", "-n", "-p", "--"]
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "SYSTEMD_COLORS": "0"}
        return subprocess.run(
            [*enter, *command], env=environment, capture_output=True, text=True, check=False, timeout=30
        )

    def show(self, name: str) -> str:
        """A property of the service."""
        return self.run("systemctl", "show", SERVICE, f"--property={name}", "--value").strip()

    def journal(self) -> list[str]:
        """What the service has written since its journal was last turned over."""
        return self.run("journalctl", "--unit", SERVICE, "--output=cat", "--no-pager").splitlines()

    def signal(self, pid: int, name: str) -> None:
        """Send a signal to a process, numbered as in the container."""
        self.run("sh", "-c", f"kill -{name} {pid}")

    def forget(self) -> None:
        """The service as new: stopped, nothing counted, no wishes, an empty journal."""
        self.run("systemctl", "stop", SERVICE)
        for wish in ("hold", "hang", "daemon"):
            (self.data / wish).unlink(missing_ok=True)
        self.drop_in("")
        self.run("systemctl", "reset-failed", SERVICE, check=False)
        self.run("journalctl", "--quiet", "--rotate")
        self.run("journalctl", "--quiet", "--vacuum-time=1us")

    def drop_in(self, text: str) -> None:
        """Settings of the service for one test."""
        folder = f"/run/systemd/system/{SERVICE}.service.d"
        command = f'mkdir -p {folder} && printf %s "$1" > {folder}/test.conf'
        self.run("sh", "-c", command, "sh", text)
        self.run("systemctl", "daemon-reload")

    def wait_show(self, name: str, value: str, within_s: float = 15.0) -> float:
        """Until a property has a value."""
        return wait_until(
            lambda: self.show(name) == value, within_s, lambda: f"{name}={self.show(name)}\n{self.story()}"
        )

    def wait_new(self, name: str, before: dict[str, int], within_s: float = 15.0) -> None:
        """Until there is another process of that name than before."""
        wait_until(lambda: self.processes().get(name, before[name]) != before[name], within_s, self.story)

    def wait_gone(self, pid: int, within_s: float = 5.0) -> None:
        """Until there is no such process any more; one that was killed stays until its exit is taken."""
        wait_until(lambda: self.try_run("test", "-e", f"/proc/{pid}").returncode != 0, within_s, self.story)

    def wait_journal(self, text: str, within_s: float = 15.0) -> float:
        """Until a line of the journal holds `text`."""
        return wait_until(lambda: any(text in line for line in self.journal()), within_s, self.story)

    def story(self) -> str:
        return "\n".join(self.journal())

    def status(self, *options: str) -> dict[str, Any]:
        """What `cardan status --json` says to root, who names no folder."""
        done = self.try_run(sys.executable, "-m", "cardan.runtime.cli.main", "status", "--json", *options)
        assert done.stdout, done.stderr
        return dict(json.loads(done.stdout))

    def processes(self) -> dict[str, int]:
        """Processes of the service as the container numbers them, by name."""
        lines = self.run("sh", "-c", PROCESSES).splitlines()
        return {name: int(pid) for pid, _, name in (line.partition(" ") for line in lines)}


PROCESSES = """
for process in $(find /proc -maxdepth 1 -name '[0-9]*' -user cardan 2>/dev/null); do
    [ -r $process/comm ] && echo "${process#/proc/} $(cat $process/comm)"
done; true
"""


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """The container, booted with the service installed and enabled."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    with ExitStack() as closing:
        closing.enter_context(_lane())
        layer = Path(tempfile.mkdtemp(prefix="cardan-systemd-", dir="/dev/shm"))
        closing.callback(shutil.rmtree, layer, ignore_errors=True)
        for part in ("upper", "work", "merged"):
            (layer / part).mkdir(mode=0o755)
        _install(layer / "upper")
        yield Machine(closing.enter_context(_booted(layer)))


@contextmanager
def _lane() -> Iterator[None]:
    """One container at a time: two would share their control groups."""
    with (root_folder().parent / "systemd-lane.lock").open("w") as lock:
        deadline_s = time.monotonic() + LANE_FREE_WITHIN_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline_s:
                    pytest.skip("another test run on this computer has the container")
                time.sleep(0.1)
        yield


def _install(root: Path) -> None:
    """As into an image: manifest, files of the service, and the link that starts it at boot, which makes the user."""
    (root / "etc/cardan").mkdir(parents=True)
    for file in (HERE / "vehicle").iterdir():
        if file.is_file():
            shutil.copy(file, root / "etc/cardan")
    for path in _mounts():
        (root / path.lstrip("/")).mkdir(parents=True, exist_ok=True)  # also opens /root to the user of the service
    command = [sys.executable, "-m", "cardan.runtime.cli.main", "install-service", "--manifest", VEHICLE]
    done = subprocess.run([*command, "--root", str(root)], capture_output=True, text=True, check=True, timeout=30)
    enable = done.stdout.splitlines()[-1].split()
    subprocess.run(enable, capture_output=True, check=True, timeout=30)


@contextmanager
def _booted(layer: Path) -> Iterator[int]:
    """The process id of the container's systemd, on the Debian of `make-root` with `layer` over it.

    systemd-nspawn wants a /run of its own where no systemd runs.
    """
    binds = [f"--bind-ro={path}" for path in _mounts()]
    merged = str(layer / "merged")
    nspawn = ["systemd-nspawn", "-q", "-b", "-D", merged, "--private-network", "--register=no", "--keep-unit"]
    layers = f"lowerdir={root_folder()},upperdir={layer}/upper,workdir={layer}/work"
    script = (
        "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd && "
        f'mount -t overlay overlay -o {layers} {merged} && exec "$@"'
    )
    command = ["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", *nspawn, "--console=pipe", *binds]
    with tempfile.TemporaryFile() as console:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console, stderr=console)
        try:
            yield _wait_for_boot(process, console)
        finally:
            _power_off(process)
            _remove_cgroups()


def _wait_for_boot(process: subprocess.Popen[bytes], console: Any) -> int:
    deadline_s = time.monotonic() + BOOTS_WITHIN_S
    while process.poll() is None and time.monotonic() < deadline_s:
        leader_pid = _leader_of(process.pid)
        if leader_pid:
            enter = ["nsenter", "-t", str(leader_pid), "-m", "-p", "--", "systemctl", "is-system-running"]
            said = subprocess.run(enter, capture_output=True, text=True, check=False, timeout=10).stdout.strip()
            if said in ("starting", "running", "degraded"):
                return leader_pid
        time.sleep(0.05)
    console.seek(0)
    said = console.read().decode(errors="replace").strip().splitlines()
    pytest.skip(f"the container did not boot: {said[-1] if said else 'no word on its console'}")


def _leader_of(nspawn_pid: int) -> int:
    """The child of systemd-nspawn that is process 1 of its namespace; 0 while there is none."""
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            if entry.name.isdigit():
                fields = dict(line.split(":", 1) for line in (entry / "status").read_text().splitlines())
                if int(fields["PPid"]) == nspawn_pid and fields["NSpid"].split()[-1] == "1":
                    return int(entry.name)
    return 0


def _power_off(process: subprocess.Popen[bytes]) -> None:
    """As by its switch: nothing in the container is worth a shutdown."""
    leader_pid = _leader_of(process.pid)
    if leader_pid:
        with suppress(ProcessLookupError):
            os.kill(leader_pid, signal.SIGKILL)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)


def _remove_cgroups() -> None:
    """The control groups that systemd-nspawn leaves, empty, below ours."""
    paths = {line.split(":", 2)[2].strip("/") for line in Path("/proc/self/cgroup").read_text().splitlines()}
    names = ("payload", "supervisor")
    for folder in {Path(mount, path, name) for mount in CGROUPS for path in paths for name in names}:
        if folder.is_dir():
            for inner, _, _ in os.walk(folder, topdown=False):
                with suppress(OSError):
                    os.rmdir(inner)
