"""One engine while it runs in its host: the network that serves, the one it replaced, and what is published."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from cardan.engines.declared import Declared
from cardan.engines.loaded import Loaded
from cardan.engines.pipeline import Outcome
from cardan.engines.schedule import Account
from cardan.engines.shared_inputs import SharedInputs
from cardan.engines.swap import Strikes
from cardan.runtime.errors import BusError
from cardan.runtime.messages import EngineResult, Message
from cardan.runtime.node import Meter, Reader, Writer

STALE_PERIODS = 3
OVERWRITTEN = "the frame was overwritten before it was read"
GONE = "the memory of the frame is gone"


@dataclass(frozen=True)
class Meters:
    """What an engine keeps in the vitals: run times, and what became of its frames."""

    run: Meter
    released: Meter
    done: Meter
    late: Meter
    dropped: Meter
    invalid: Meter


class Frame(msgspec.Struct, frozen=True, gc=False):
    """The frame that is run, as far as it is needed after it has been read."""

    frame_id: int
    origin_ns: int
    valid: bool


def read_into(loaded: Loaded, reader: Reader[Message], shared: SharedInputs) -> tuple[Frame, str | None]:
    """Read the newest frame into the inputs of a network: which it was, and what went wrong, or None."""
    copied = shared.copy_or_none(loaded, reader)
    if copied is not None:
        frame_id, valid = copied
        return Frame(frame_id, reader.origin_ns, valid), None
    frame_id, problem = reader.seq, None
    try:
        value = reader.value_or_none
        if value is None:
            return Frame(frame_id, reader.origin_ns, False), GONE
        frame_id = getattr(value, "frame_id", frame_id)
        loaded.engine.fill(value, loaded.session.inputs)
        problem = None if reader.intact else OVERWRITTEN
    except BusError as error:
        problem = error.message
    shared.note(loaded, reader, frame_id, whole=problem is None)
    return Frame(frame_id, reader.origin_ns, reader.valid), problem


class Served:
    """Fills, runs and publishes for one engine. Belongs to the host's thread."""

    def __init__(
        self,
        declared: Declared,
        loaded: Loaded,
        reader: Reader[Message],
        writer: Writer[EngineResult],
        meters: Meters,
        shared: SharedInputs,
    ) -> None:
        self.declared = declared
        self.name = declared.name
        self.loaded = loaded
        self.previous: Loaded | None = None
        """Still in memory, to come back."""
        self.reader = reader
        self.meters = meters
        self.shared = shared
        self.strikes = Strikes()
        self.frame = Frame(-1, 0, False)
        self._is_filled = False
        self._model = loaded.file.short_hash
        self.problem: str | None = None
        """What was wrong with the newest result."""
        self._writer = writer
        self._last_seq = reader.seq
        self._dropped_before = 0
        self._counters = (meters.released, meters.done, meters.late, meters.dropped)
        self._counted = (0, 0, 0, 0)
        self._stale_after_ns = declared.deadline_ns + STALE_PERIODS * declared.file.model.period_ns
        self._said_ns = 0
        """When something was published last."""

    @property
    def keeps_older(self) -> bool:
        """A frame that waits is run although a newer one has come."""
        return self.loaded.file.model.drop == "newer"

    def new_frames(self) -> int:
        """Frames that were published since the last call; of a publisher that was restarted, since its start."""
        if not self.reader.new:
            return 0
        seq, last = self.reader.seq, self._last_seq
        if seq < 0 or (seq == last and not self.reader.restarted):
            return 0
        self._last_seq = seq
        if last < 0:
            return 1
        return seq + 1 if self.reader.restarted or seq < last else seq - last

    def keep(self) -> None:
        """Read the frame that has just come: it will be run although newer ones may follow."""
        self.problem = self._read()
        self._is_filled = True

    def fill(self) -> str | None:
        """Read the newest frame into the inputs of the network that serves; what went wrong, or None."""
        if self._is_filled:
            self._is_filled = False
            return self.problem
        return self._read()

    def _read(self) -> str | None:
        self.frame, problem = read_into(self.loaded, self.reader, self.shared)
        return problem

    def publish(self, outcome: Outcome, account: Account) -> None:
        """Send the result of a run: with data when it is data, else as a status alone."""
        self.problem, due_ns, loaded = outcome.problem, outcome.job.due_ns, outcome.loaded
        status, data = "invalid", {}
        if outcome.problem is None:
            status = "late" if outcome.end_ns > due_ns else "fallback" if loaded.rank else "ok"
            data = loaded.engine.data(loaded.session.outputs)
        else:
            self.meters.invalid.observe(1)
        if outcome.start_ns:
            self.meters.run.observe((outcome.end_ns - outcome.start_ns) / 1e9)
        self._model = loaded.file.short_hash
        self._send(status, due_ns, outcome.start_ns, outcome.end_ns, account, data)

    def say_if_stale(self, now_ns: int, account: Account) -> None:
        """Say so when no frame has come to a result for a while."""
        if not self._said_ns:
            self._said_ns = now_ns
        elif now_ns - self._said_ns > self._stale_after_ns:
            self._send("stale", 0, 0, 0, account, {})
            self._said_ns = now_ns

    def _send(
        self, status: str, due_ns: int, start_ns: int, end_ns: int, account: Account, data: dict[str, object]
    ) -> None:
        dropped = account.given_up
        result = self.declared.engine_class.gives(
            status=status,
            frame_id=self.frame.frame_id,
            model=self._model,
            start_ns=start_ns,
            end_ns=end_ns,
            deadline_ns=due_ns,
            dropped=dropped - self._dropped_before,
            **data,
        )
        self._dropped_before = dropped
        self._said_ns = end_ns
        is_data = status not in ("invalid", "stale")
        self._writer.send(result, valid=is_data and self.frame.valid, origin_ns=self.frame.origin_ns)

    def count(self, account: Account) -> None:
        """Carry what has been counted since the last call over into the vitals."""
        counts = (account.released, account.done, account.late, account.given_up)
        if counts == self._counted:
            return
        for meter, now, then in zip(self._counters, counts, self._counted, strict=True):
            for _ in range(now - then):
                meter.observe(1)
        self._counted = counts

    def replace(self, loaded: Loaded) -> None:
        """Serve with another network from now on; keep the old one, and close the one before it."""
        if self.previous is not None:
            self.previous.session.close()
        self.loaded, self.previous = loaded, self.loaded
        self.strikes = Strikes()

    def roll_back(self) -> bool:
        """Serve with the network before; False when there is none."""
        if self.previous is None:
            return False
        self.loaded.session.close()
        self.loaded, self.previous = self.previous, None
        return True

    def close(self) -> None:
        """Release the networks."""
        for loaded in (self.loaded, self.previous):
            if loaded is not None:
                loaded.session.close()
