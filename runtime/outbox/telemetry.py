"""What of a topic goes to the outbox: its messages, thinned to a rate, as JSON."""

from __future__ import annotations

from typing import TypeVar

from cardan.runtime.bus.envelope import Sample
from cardan.runtime.clock import NS_PER_S
from cardan.runtime.messages import Message, type_name
from cardan.runtime.record.json_form import PlainForm
from cardan.runtime.record.picture import is_picture

M = TypeVar("M", bound=Message)


class Thinning:
    """Keeps at most so many messages a second of each topic.

    rates_hz: by topic; default_rate_hz: of the other topics. 0 keeps every message.
    """

    def __init__(self, rates_hz: dict[str, float], default_rate_hz: float) -> None:
        self._rates_hz = rates_hz
        self._default_rate_hz = default_rate_hz
        self._due_ns: dict[str, int] = {}

    def keeps(self, topic: str, sent_ns: int) -> bool:
        """Whether the message of this moment is kept; without drift, so 100 Hz at 10 Hz is every tenth."""
        rate_hz = self._rates_hz.get(topic, self._default_rate_hz)
        if not rate_hz:
            return True
        period_ns = round(NS_PER_S / rate_hz)
        due_ns = self._due_ns.get(topic, sent_ns)
        if sent_ns < due_ns:
            return False
        late_ns = sent_ns - due_ns
        self._due_ns[topic] = due_ns + period_ns * (1 + late_ns // period_ns)
        return True


class TelemetryEncoder:
    """Samples of any topic as the JSON objects that the queue carries."""

    def __init__(self) -> None:
        self._forms: dict[type[Message], PlainForm] = {}

    def encode(self, sample: Sample[M]) -> bytes:
        """TypeError for pictures, and when the message has a field without a JSON form."""
        if is_picture(sample.value):
            raise TypeError("pictures go to the recorder, not to the outbox")
        message_type = type(sample.value)
        form = self._forms.get(message_type) or self._form_of(message_type)
        head = (
            f'{{"topic":"{sample.topic}","type":"{type_name(message_type)}","topic_seq":{sample.seq},'
            f'"epoch":{sample.epoch},"origin_ns":{sample.origin_ns},'
            f'"valid":{"true" if sample.valid else "false"},"message":'
        )
        return head.encode() + form.encode(sample.value, sample.origin_ns) + b"}"

    def _form_of(self, message_type: type[Message]) -> PlainForm:
        form = self._forms[message_type] = PlainForm(message_type)
        return form
