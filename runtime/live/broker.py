"""One connection to an MQTT 5 broker over TLS, with a client certificate. The only module that knows paho.

A connection is used once: what it did not bring to an end is forgotten with it, so that the only queue is the outbox.
Nothing is retained, QoS is 1, and no order is assumed, as Azure Event Grid wants it.
"""

from __future__ import annotations

import select
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec

from cardan.runtime.errors import CardanError, ConfigError
from cardan.runtime.live.happenings import Down, Happening, NotSubscribed, Outgoing, Received, Refused, Told, Up

if TYPE_CHECKING:
    from paho.mqtt.client import Client

RECEIVE_MAXIMUM = 8
"""Messages for us that may be on their way at once."""
LONGEST_RECEIVED = 128 << 10
"""Larger packets are not for us; the broker drops them (MQTT 5, 3.1.2.11.4)."""
ERRORS_FROM = 0x80
"""Reason codes of MQTT 5 from here on are errors."""
FOR_GOOD = {0x95, 0x99}
"""Packet too large, payload format invalid: the same message will never be taken."""
NOT_YET_VALID, EXPIRED = 9, 10
"""X509_V_ERR_* of OpenSSL."""


class BrokerError(CardanError):
    """There is no connection. refused: trying again alone will not help."""

    def __init__(self, message: str, *, hint: str | None = None, refused: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.refused = refused


class BrokerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the broker is, and who we are to it."""

    host: str
    port: int
    client_id: str
    ca: Path
    certificate: Path
    key: Path
    keepalive_s: int
    session_expiry_s: int
    connect_timeout_s: float
    will: Outgoing
    """What the broker tells others when we are gone without a word."""
    subscriptions: tuple[str, ...]


def tls_context(settings: BrokerSettings) -> ssl.SSLContext:
    """TLS 1.2 or newer, the broker's name checked, our certificate shown. ConfigError for files that cannot be used."""
    try:
        context = ssl.create_default_context(cafile=str(settings.ca))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"the certificates of authorities in {settings.ca} cannot be used: {error}") from error
    try:
        context.load_cert_chain(settings.certificate, settings.key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"our certificate {settings.certificate} with the key {settings.key} cannot be used: {error}",
            hint="both are PEM files, and the key belongs to the certificate",
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = _ClosingSocket
    return context


class _ClosingSocket(ssl.SSLSocket):
    """Paho forgets a socket whose handshake fails; this one closes itself then."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


class Connection:
    """Between `open` and `close`. One thread; only `open` blocks, for the connect time-out and a name look-up."""

    def __init__(self, settings: BrokerSettings, context: ssl.SSLContext) -> None:
        self._settings = settings
        self._subscribed: dict[int, str] = {}
        self._tokens: dict[int | None, object] = {}
        self._up = False
        self._said_down = False
        self.happenings: list[Happening] = []
        """Since somebody took them away last."""
        self._client = self._make_client(context)

    @property
    def alive(self) -> bool:
        """False once it is over."""
        return not self._said_down

    @property
    def up(self) -> bool:
        """True while the broker has taken us in."""
        return self._up and self.alive

    def _make_client(self, context: ssl.SSLContext) -> Client:
        mqtt = _paho()
        settings = self._settings
        client: Client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, settings.client_id, protocol=mqtt.MQTTv5, manual_ack=True
        )
        client.tls_set_context(context)
        client.connect_timeout = settings.connect_timeout_s
        will = settings.will
        client.will_set(will.topic, will.payload, qos=1, retain=False, properties=_properties("WILLMESSAGE", will))
        client.max_inflight_messages_set(0)  # the window is ours
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_publish = self._answered
        client.on_subscribe = self._subscribe_answered
        client.on_message = self._received
        return client

    def open(self) -> None:
        """Connect and ask to be let in; `Up` or `Down` follows. BrokerError when there is no way to the broker."""
        settings = self._settings
        properties = _new_properties("CONNECT")
        properties.SessionExpiryInterval = settings.session_expiry_s
        properties.ReceiveMaximum = RECEIVE_MAXIMUM
        properties.MaximumPacketSize = LONGEST_RECEIVED
        try:
            self._client.connect(
                settings.host, settings.port, settings.keepalive_s, clean_start=False, properties=properties
            )
        except ssl.SSLCertVerificationError as error:
            raise _not_trusted(settings, error) from error
        except ssl.SSLError as error:
            raise BrokerError(
                f"{settings.host}:{settings.port} ends the TLS handshake: {error.reason or error}",
                hint="does the broker trust the authority of our certificate?",
                refused=True,
            ) from error
        except OSError as error:
            raise BrokerError(f"{settings.host}:{settings.port} cannot be reached: {error}") from error

    def pump(self, timeout_s: float, wake: int) -> None:
        """Wait for the broker, or for `wake` to be readable, and do what is to be done."""
        socket = cast("ssl.SSLSocket | None", self._client.socket())
        if socket is None:
            self._down("the connection was cut")
            return
        poll = select.poll()
        poll.register(wake, select.POLLIN)
        poll.register(socket, select.POLLIN | (select.POLLOUT if self._client.want_write() else 0))
        ready = dict(poll.poll(0 if socket.pending() else timeout_s * 1000))
        events = ready.get(socket.fileno(), 0)
        if events & ~select.POLLOUT or socket.pending():
            self._read(socket)
        if events & select.POLLOUT and self.alive:
            self._client.loop_write()
        if self.alive:
            self._client.loop_misc()

    def _read(self, socket: ssl.SSLSocket) -> None:
        while self.alive:
            self._client.loop_read()
            if self._client.socket() is None or not socket.pending():
                return

    def publish(self, outgoing: Outgoing) -> None:
        """Send one message; `Told` or `Refused` follows, or `Down` and nobody knows."""
        info = self._client.publish(
            outgoing.topic, outgoing.payload, qos=1, retain=False, properties=_properties("PUBLISH", outgoing)
        )
        self._tokens[info.mid] = outgoing.token

    def acknowledge(self, received: Received) -> None:
        """It is safe with us: the broker may forget it."""
        self._client.ack(received.number, 1)

    def disconnect(self) -> None:
        """Say good-bye: the broker does not publish our will. Flush with `pump`."""
        self._client.disconnect()

    def close(self) -> None:
        """Let go of the socket."""
        socket = self._client.socket()
        if socket is not None:
            socket.close()
        self._down("closed")

    # ------------------------------------------------------------------------------------------------ paho calls these

    def _connected(self, _client: Any, _data: Any, _flags: Any, code: Any, properties: Any) -> None:
        if code.value >= ERRORS_FROM:
            self._down(f"the broker refuses us: {code}", refused=True)
            return
        if getattr(properties, "MaximumQoS", 1) < 1:
            self._down("the broker takes QoS 0 only, and tells nobody what it has taken", refused=True)
            return
        self._up = True
        window = getattr(properties, "ReceiveMaximum", 0xFFFF)
        self.happenings.append(Up(window, getattr(properties, "MaximumPacketSize", None)))
        for topic in self._settings.subscriptions:
            _, number = self._client.subscribe(topic, qos=1)
            if number is not None:
                self._subscribed[number] = topic

    def _disconnected(self, _client: Any, _data: Any, flags: Any, code: Any, _properties: Any) -> None:
        if flags.is_disconnect_packet_from_server:
            self._down(f"the broker ended the connection: {code}")
        elif self._up:
            self._down("the connection was cut")
        else:
            self._down(
                "the broker cut the connection before it had answered: does it trust the authority of our certificate?",
                refused=True,
            )

    def _answered(self, _client: Any, _data: Any, number: int, code: Any, _properties: Any) -> None:
        token = self._tokens.pop(number, None)
        if code.value < ERRORS_FROM:
            self.happenings.append(Told(token))
        else:
            self.happenings.append(Refused(token, str(code), code.value in FOR_GOOD))

    def _subscribe_answered(self, _client: Any, _data: Any, number: int, codes: Any, _properties: Any) -> None:
        topic = self._subscribed.pop(number, "")
        self.happenings += [NotSubscribed(topic, str(code)) for code in codes if code.value >= ERRORS_FROM]

    def _received(self, _client: Any, _data: Any, message: Any) -> None:
        self.happenings.append(Received(message.topic, bytes(message.payload), message.mid))

    def _down(self, problem: str, *, refused: bool = False) -> None:
        if not self._said_down:
            self._said_down = True
            self.happenings.append(Down(problem, refused))


def _not_trusted(settings: BrokerSettings, error: ssl.SSLCertVerificationError) -> BrokerError:
    clock = error.verify_code in (NOT_YET_VALID, EXPIRED)
    return BrokerError(
        f"the certificate of {settings.host} is not good: {error.verify_message}",
        hint="is the clock of this computer right? `date`" if clock else f"is its authority in {settings.ca}?",
        refused=True,
    )


def _properties(packet: str, outgoing: Outgoing) -> Any:
    properties = _new_properties(packet)
    properties.MessageExpiryInterval = outgoing.expiry_s
    properties.PayloadFormatIndicator = 1
    properties.ContentType = "application/json"
    if outgoing.properties:
        properties.UserProperty = list(outgoing.properties)
    return properties


def _new_properties(packet: str) -> Any:
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    return Properties(getattr(PacketTypes, packet))  # type: ignore[no-untyped-call]


def _paho() -> Any:
    try:
        import paho.mqtt.client
    except ImportError as error:
        raise ConfigError("the node live needs paho-mqtt", hint="pip install 'cardan[live]'") from error
    return paho.mqtt.client
