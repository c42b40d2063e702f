"""Small nodes that misbehave in one way each."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from cardan.runtime.messages import AnyMessage, Message
from cardan.runtime.node import Input, Node, NodeConfig, Output


class Count(Message, frozen=True, kw_only=True):
    """A running number."""

    value: int


class ActuatorCommand(Message, frozen=True, kw_only=True):
    """Stands for the command of a vehicle."""

    value: int


class Counter(Node):
    """Counts, and sends."""

    count = Output(Count)

    def step(self) -> None:
        self.count.send(Count(value=self.vitals_steps()))

    def vitals_steps(self) -> int:
        self._steps = getattr(self, "_steps", 0) + 1
        return self._steps


class Idle(Node):
    """Does nothing, at its rate."""

    def step(self) -> None:
        return


class FinisherConfig(NodeConfig, frozen=True):
    after: int = 3


class Finisher(Node):
    """Finishes after some steps."""

    config: FinisherConfig
    _steps = 0

    def step(self) -> None:
        self._steps += 1
        if self._steps >= self.config.after:
            self.finish()


class Crasher(Node):
    """Raises in its first step."""

    def step(self) -> None:
        raise ValueError("the sensor speaks nonsense")


class DeadOnArrival(Node):
    """Raises in open."""

    def open(self) -> None:
        raise OSError("no such device")

    def step(self) -> None:
        return


class Stubborn(Node):
    """Ignores SIGTERM."""

    def open(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def step(self) -> None:
        return


class Sleeper(Node):
    """Hangs in its third step."""

    _steps = 0

    def step(self) -> None:
        self._steps += 1
        if self._steps == 3:
            signal.pause()


class SlowStarter(Node):
    """Never gets ready."""

    def open(self) -> None:
        signal.pause()

    def step(self) -> None:
        return


class Parent(Node):
    """Starts a process of its own, and one that leaves its session (as a daemon does)."""

    def open(self) -> None:
        command = [sys.executable, "-S", "-c", "import signal; signal.pause()"]
        self.child = subprocess.Popen(command)
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.execv(command[0], command)
            os._exit(0)
        os.wait()

    def step(self) -> None:
        return


class SlowCloser(Node):
    """Finishes at once, and takes longer to close than a running node may be silent."""

    def step(self) -> None:
        self.finish()

    def close(self) -> None:
        self.clock.sleep_until_ns(self.clock.now_ns() + 700_000_000)


class Environment(Node):
    """Writes down what the service manager's variables are."""

    def open(self) -> None:
        found = [name for name in os.environ if name.startswith(("NOTIFY_", "WATCHDOG_"))]
        (self.context.data_dir / "environment").write_text(" ".join(found))

    def step(self) -> None:
        return


class Sink(Node):
    """Writes down how many messages of each topic it got."""

    everything = Input(AnyMessage, queue=20000, many=True)
    received = 0

    def step(self) -> None:
        self.received += len(self.everything.take())

    def close(self) -> None:
        self.received += len(self.everything.take())
        (self.context.data_dir / "received").write_text(str(self.received))


class Driver(Node):
    """Commands."""

    command = Output(ActuatorCommand)

    def step(self) -> None:
        self.command.send(ActuatorCommand(value=1))


class FakeBridge(Node):
    """Takes commands."""

    command = Input(ActuatorCommand)

    def step(self) -> None:
        return
