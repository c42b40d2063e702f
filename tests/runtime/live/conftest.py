"""A real mosquitto with mutual TLS on a free port, the authority behind its certificates, and a cloud that listens."""

from __future__ import annotations

import ipaddress
import json
import os
import select
import shutil
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import pytest

from cardan.runtime.clock import MonotonicClock, ns
from cardan.runtime.live.broker import BrokerSettings
from cardan.runtime.live.happenings import Outgoing

PATIENCE_S = 30.0
BEGIN = datetime(2020, 1, 1, tzinfo=timezone.utc)
END = datetime(2049, 1, 1, tzinfo=timezone.utc)
ACL = """\
user cloud
topic readwrite #
user car-7
topic readwrite vehicles/half/status
topic readwrite vehicles/half/state
pattern readwrite vehicles/%u/#
"""
CONFIG = """\
user root
listener {port} 127.0.0.1
cafile {folder}/authority.pem
certfile {folder}/{certificate}.pem
keyfile {folder}/{certificate}.key
require_certificate true
use_identity_as_username true
allow_anonymous true
acl_file {folder}/acl
persistence false
max_queued_messages 100000
max_inflight_messages 0
sys_interval 0
log_dest file {folder}/mosquitto.log
"""


class Authority:
    """Makes certificates; everything lies in one folder as NAME.pem and NAME.key."""

    def __init__(self, folder: Path) -> None:
        from cryptography.hazmat.primitives.asymmetric import ec

        folder.mkdir(exist_ok=True)
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.path = self._write("authority", self._key, self._certificate("authority", self._key, "", END))

    def make(self, name: str, *, host: str = "", end: datetime = END) -> tuple[Path, Path]:
        """Certificate and key for a common name; host: of a server under this address or name."""
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        return self._write(name, key, self._certificate(name, key, host, end)), self.folder / f"{name}.key"

    def _certificate(self, name: str, key: Any, host: str, end: datetime) -> Any:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.x509.oid import NameOID

        subject, issuer = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in (name, "authority"))
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(min(BEGIN, end - timedelta(days=1)))
            .not_valid_after(end)
        )
        if name == "authority":
            builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        if host:
            address = x509.IPAddress(ipaddress.ip_address(host)) if host[0].isdigit() else x509.DNSName(host)
            builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def _write(self, name: str, key: Any, certificate: Any) -> Path:
        from cryptography.hazmat.primitives import serialization as form

        path = self.folder / f"{name}.pem"
        path.write_bytes(certificate.public_bytes(form.Encoding.PEM))
        secret = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
        path.with_suffix(".key").write_bytes(secret)
        return path


class Mosquitto:
    """The broker. `kill` is kill -9; `start` again listens on the same port."""

    def __init__(self, authority: Authority) -> None:
        self._folder = authority.folder
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def start(self, certificate: str = "broker") -> None:
        """Start it and wait until it listens; a port that somebody else takes meanwhile is given up for another."""
        program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if program is None:
            pytest.skip("mosquitto is not installed: apt-get install mosquitto")
        for _ in range(5):
            port = self.port or _free_port()
            if self._starts_on(program, port, certificate):
                self.port = port
                return
        raise AssertionError((self._folder / "mosquitto.log").read_text())

    def _starts_on(self, program: str, port: int, certificate: str) -> bool:
        (self._folder / "acl").write_text(ACL)
        config = self._folder / "mosquitto.conf"
        config.write_text(CONFIG.format(port=port, folder=self._folder, certificate=certificate))
        self._process = subprocess.Popen([program, "-c", str(config)], stderr=subprocess.DEVNULL)
        clock = MonotonicClock()
        deadline_ns = clock.now_ns() + ns(PATIENCE_S)
        while self._process.poll() is None and clock.now_ns() < deadline_ns:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return True
        self.kill()
        return False

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE_S)
            self._process = None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Wire:
    """Passes connections on to the broker until `cut`, which resets them; new ones pass again."""

    def __init__(self, port: int) -> None:
        self._to = ("127.0.0.1", port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._ends: dict[socket.socket, socket.socket] = {}
        self._cut, self._stop = threading.Event(), threading.Event()
        self.cuts = 0
        """Connections that were cut."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Reset every connection; returns when it is done."""
        self._cut.set()
        while self._cut.is_set():
            self._stop.wait(0.001)

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._reset_all()
        self._listening.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            readable, _, _ = select.select([self._listening, *self._ends], [], [], 0.005)
            if self._cut.is_set():
                self._reset_all()
                self._cut.clear()
                continue
            for end in readable:
                if end is self._listening:
                    self._join(self._listening.accept()[0])
                elif end in self._ends:
                    self._pass_on(end)

    def _join(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(self._to, 5)
        except OSError:
            near.close()
            return
        self._ends[near], self._ends[far] = far, near

    def _pass_on(self, end: socket.socket) -> None:
        other = self._ends[end]
        try:
            data = end.recv(65536)
            other.sendall(data)
        except OSError:
            data = b""
        if not data:
            for side in (end, other):
                del self._ends[side]
                side.close()

    def _reset_all(self) -> None:
        for end in list(self._ends):
            self.cuts += 1
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.close()
        self._ends.clear()


class Cloud:
    """Somebody who hears everything and may ask everything. Reconnects by itself."""

    def __init__(self, broker: Mosquitto, authority: Authority) -> None:
        import paho.mqtt.client as mqtt
        from paho.mqtt.enums import CallbackAPIVersion

        certificate, key = authority.make("cloud")
        self._messages: Queue[tuple[str, bytes, bool]] = Queue()
        self._subscribed: Queue[int] = Queue()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, "cloud", protocol=mqtt.MQTTv5)
        context = ssl.create_default_context(cafile=str(authority.path))
        context.load_cert_chain(certificate, key)
        self.client.tls_set_context(context)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = lambda client, *_: client.subscribe("vehicles/#", qos=0)
        self.client.on_subscribe = lambda *_: self._subscribed.put(1)
        self.client.on_message = lambda _c, _d, m: self._messages.put((m.topic, bytes(m.payload), m.retain))
        self.client.connect("127.0.0.1", broker.port)
        self.client.loop_start()
        self.listening()
        self.heard: list[tuple[str, Any]] = []
        """Topic and document of everything so far."""

    def listening(self) -> None:
        """Wait until the broker has us; once after every start of it."""
        self._subscribed.get(timeout=PATIENCE_S)

    def listen(self) -> None:
        """Take what has come, or wait for something a moment."""
        try:
            while True:
                topic, payload, retained = self._messages.get(timeout=0.005)
                assert not retained, "nothing of ours is retained"
                self.heard.append((topic, json.loads(payload)))
        except Empty:
            return

    def of(self, topic: str) -> list[Any]:
        """Everything that was heard under a topic."""
        return [document for name, document in self.heard if name == topic]

    def ask(self, topic: str, document: bytes) -> None:
        """Publish, and wait until the broker has it."""
        self.client.publish(topic, document, qos=1).wait_for_publish(PATIENCE_S)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Vouches for the broker and the vehicles."""
    missing = "{} is not installed: pip install 'cardan[live,sign]'"
    pytest.importorskip("paho.mqtt.client", reason=missing.format("paho-mqtt"), exc_type=ImportError)
    pytest.importorskip("cryptography", reason=missing.format("cryptography"), exc_type=ImportError)
    return Authority(tmp_path / "authority")


@pytest.fixture
def rogue(tmp_path: Path) -> Authority:
    """Another one that calls itself the same."""
    return Authority(tmp_path / "rogue")


@pytest.fixture
def broker(authority: Authority) -> Iterator[Mosquitto]:
    authority.make("broker", host="127.0.0.1")
    broker = Mosquitto(authority)
    try:
        broker.start()
        yield broker
    finally:
        broker.kill()


@pytest.fixture
def wire(broker: Mosquitto) -> Iterator[Wire]:
    """Between the vehicle and the broker."""
    wire = Wire(broker.port)
    yield wire
    wire.close()


@pytest.fixture
def cloud(broker: Mosquitto, authority: Authority) -> Iterator[Cloud]:
    cloud = Cloud(broker, authority)
    try:
        yield cloud
    finally:
        cloud.close()


@pytest.fixture
def settings_for(authority: Authority) -> Callable[..., BrokerSettings]:
    """Settings of a vehicle; its certificate may be of another authority."""

    def make(port: int, vouched_by: Authority | None = None) -> BrokerSettings:
        certificate, key = (vouched_by or authority).make("car-7")
        return BrokerSettings(
            host="127.0.0.1",
            port=port,
            client_id="car-7",
            ca=authority.path,
            certificate=certificate,
            key=key,
            keepalive_s=10,
            session_expiry_s=60,
            connect_timeout_s=5.0,
            will=Outgoing(None, "vehicles/car-7/status", b'{"online":false}', 60),
            subscriptions=("vehicles/car-7/command",),
        )

    return make


@pytest.fixture
def until() -> Callable[[Callable[[], object], Callable[[], object]], None]:
    """Do something again and again until a condition holds; fails after half a minute."""

    def wait(condition: Callable[[], object], work: Callable[[], object]) -> None:
        clock = MonotonicClock()
        deadline_ns = clock.now_ns() + ns(PATIENCE_S)
        while not condition():
            assert clock.now_ns() < deadline_ns, "waited half a minute in vain"
            work()

    return wait
