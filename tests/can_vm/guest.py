"""What runs inside the guest: each check drives the driver on the kernel's own CAN and says what it saw, as JSON.

It judges nothing. The tests beside it judge; a check that raises is reported with its traceback under its own name.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import socket
import statistics
import subprocess
import threading
import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

import can
import msgspec

from cardan.drivers.can.bus import open_channel
from cardan.drivers.can.channel import CanChannel
from cardan.drivers.can.error_frames import decode_error_frame
from cardan.drivers.can.link_state import read_link_or_none, read_links
from cardan.drivers.can.netlink import link_messages
from cardan.drivers.can.socketcan import SocketCanChannel, pack_frame
from cardan.firmware_bridge.guard import Command, Guard, Vehicle
from cardan.firmware_bridge.sim_ecu import Pedals, SensorEcu
from cardan.firmware_bridge.testing import GuardBench, truth
from cardan.firmware_bridge.vehicle_bus import VehicleBus
from cardan.firmware_bridge.vehicle_map import REFERENCE
from cardan.runtime.cli.main import main as main_of_cardan
from cardan.runtime.clock import MonotonicClock
from cardan.runtime.errors import DeviceError
from cardan.runtime.messages import CanFrame
from cardan.runtime.profile import CanChannelSettings

NOTHING = "nothing was refused"
PAIR_FRAMES = 2000
ROUNDS = 7
FRAMES_PER_ROUND = 300
PERIODS_PER_ROUND = 60
PAYLOAD = bytes(range(8))
CLOCK = MonotonicClock()
Seen = dict[str, Any]


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, timeout=10)


def tc(*arguments: str) -> None:
    subprocess.run(["tc", *arguments], check=True, timeout=10)


def channel(interface: str, *, fd: bool = False, listen: bool = True) -> SocketCanChannel:
    settings = CanChannelSettings(name="vehicle", interface="socketcan", channel=interface, fd=fd)
    opened = open_channel(settings, listen=listen)
    if not isinstance(opened, SocketCanChannel):
        raise TypeError(type(opened).__name__)
    return opened


def shown(frames: list[CanFrame]) -> list[Any]:
    return [[frame.id, frame.data.hex(), frame.extended, frame.fd, frame.error] for frame in frames]


def heard(receiver: CanChannel, count: int, limit_s: float = 5.0) -> list[CanFrame]:
    """What arrives until `count` frames are there or the time is over."""
    frames: list[CanFrame] = []
    end_ns = CLOCK.now_ns() + int(limit_s * 1e9)
    while len(frames) < count and CLOCK.now_ns() < end_ns:
        frames += receiver.receive_batch()
    return frames


def refusal(action: Callable[[], object]) -> list[str | None]:
    try:
        action()
    except DeviceError as error:
        return [error.message, error.hint]
    return [NOTHING, None]


# -------------------------------------------------------------------------------------------------------------- checks


def classic() -> Seen:
    one, two = channel("vcan0"), channel("vcan0")
    before_ns = CLOCK.now_ns()
    one.send(0x123, b"\x01\x02")
    one.send(0x18DB33F1, b"", extended=True)
    one.send(0x7FF, PAYLOAD)
    frames = two.receive_batch()
    own = one.receive_batch()
    confirmed = one.take_confirmed()
    after_ns = CLOCK.now_ns()
    stamps = [frame.stamp_ns for frame in frames]
    return {
        "frames": shown(frames),
        "stamps_between": before_ns <= stamps[0] <= stamps[-1] <= after_ns and stamps == sorted(stamps),
        "stamp_age_us": (after_ns - stamps[0]) / 1000,
        "own": shown(own),
        "confirmed": shown(confirmed),
        "counters": [msgspec.to_builtins(one.counters), msgspec.to_builtins(two.counters)],
    }


def python_can_agrees() -> Seen:
    """Frames of every kind in both directions, python-can at the other end."""
    ours = channel("vcan0", fd=True)
    with can.Bus(interface="socketcan", channel="vcan0", fd=True, ignore_config=True) as tool:
        ours.send(0x123, b"\x01\x02")
        ours.send(0x1ABCDEF0, PAYLOAD, extended=True)
        ours.send(0x55, bytes(range(64)), fd=True)
        messages = [tool.recv(timeout=1) for _ in range(3)]
        tool.send(can.Message(arbitration_id=0x321, data=b"\x09", is_extended_id=False))
        tool.send(can.Message(arbitration_id=0x1, is_remote_frame=True, is_extended_id=False))
        tool.send(can.Message(arbitration_id=0x77, data=bytes(48), is_fd=True, bitrate_switch=True))
        frames = heard(ours, 2, 1.0)
    theirs = [
        [m.arbitration_id, bytes(m.data).hex(), m.is_extended_id, m.is_fd, m.bitrate_switch] for m in messages if m
    ]
    return {"theirs": theirs, "ours": shown(frames), "ignored": ours.counters.ignored}


def fd_frames() -> Seen:
    one, two, without = channel("vcan0", fd=True), channel("vcan0", fd=True), channel("vcan0")
    lengths = [0, 8, 12, 16, 20, 24, 32, 48, 64]
    for length in lengths:
        one.send(0x100 + length, bytes(range(length)), fd=True)
    one.send(0x10, b"\x01")
    frames = two.receive_batch()
    return {"frames": shown(frames), "without_fd": shown(without.receive_batch()), "lengths": lengths}


def send_only() -> Seen:
    sender, receiver = channel("vcan0", listen=False), channel("vcan0")
    for number in range(500):
        sender.send(number, PAYLOAD)
    return {
        "received": len(receiver.receive_batch(1000)),
        "descriptor": sender.fileno(),
        "refused": refusal(sender.receive_batch),
    }


def error_frames() -> Seen:
    """What a controller would report, put on vcan by another socket: bus-off, error-passive, arbitration lost, ..."""
    receiver = channel("vcan0")
    other = channel("vcan0")
    sent = [
        (0x040 | 0x200, bytes([0, 0, 0, 0, 0, 0, 248, 0])),
        (0x004 | 0x200, bytes([0, 0x20, 0, 0, 0, 0, 128, 1])),
        (0x002, bytes([11, 0, 0, 0, 0, 0, 0, 0])),
        (0x001, bytes(8)),
        (0x100, bytes(8)),
    ]
    for frame_id, data in sent:
        other.send(frame_id, data, error=True)
    frames = receiver.receive_batch()
    return {
        "error": [frame.error for frame in frames],
        "reports": [msgspec.to_builtins(decode_error_frame(frame.id, frame.data)) for frame in frames],
        "on_hardware": refusal(lambda: channel("can0").send(0x40, bytes(8), error=True)),
    }


def overflow() -> Seen:
    """A reader that never reads: what its buffer cannot hold is counted by the kernel and told with the next frames."""
    sender, lazy = channel("vcan0", listen=False), channel("vcan0")
    with socket.socket(fileno=os.dup(lazy.fileno())) as same:
        same.setsockopt(1, 8, 30_000)  # SOL_SOCKET, SO_RCVBUF
    for number in range(1000):
        sender.send(number % 0x800, PAYLOAD)
    held = len(lazy.receive_batch(5000))
    sender.send(1, b"")
    last = len(lazy.receive_batch())
    return {"held": held, "last": last, "dropped": lazy.counters.receive_dropped}


def full_transmit_queue() -> Seen:
    """A queue of the kernel that takes a few frames only: frames wait in ours, and go out in their order."""
    tc("qdisc", "replace", "dev", "vcan0", "root", "tbf", "rate", "40kbit", "burst", "64", "limit", "160")
    sender, receiver = channel("vcan0"), channel("vcan0")
    try:
        for number in range(20):
            sender.send(number, PAYLOAD)
        waited = sender.waiting
        frames: list[CanFrame] = []
        end_ns = CLOCK.now_ns() + 20_000_000  # within the age limit
        while sender.waiting and CLOCK.now_ns() < end_ns:
            sender.flush()
            frames += receiver.receive_batch()
        too_many = refused = 0
        for number in range(200):
            refused += refusal(partial(sender.send, 0x400 + number, PAYLOAD))[0] != NOTHING
            too_many = max(too_many, sender.waiting)
        CLOCK.sleep_until_ns(CLOCK.now_ns() + 60_000_000)
        left = sender.flush()
        frames += heard(receiver, 1000, 0.3)
    finally:
        tc("qdisc", "del", "dev", "vcan0", "root")
    ids = [frame.id for frame in frames]
    return {
        "waited": waited,
        "most_waiting": too_many,
        "refused": refused,
        "left": left,
        "in_order": ids == sorted(ids),
        "arrived": len(ids),
        "counters": msgspec.to_builtins(sender.counters),
    }


def kvaser_pair() -> Seen:
    """Two emulated cards on one bus: every frame from one to the other, in order, and confirmed by the controller."""
    one, two = channel("can0"), channel("can1")
    arrived: list[CanFrame] = []
    start_ns = CLOCK.now_ns()
    for number in range(PAIR_FRAMES):
        one.send(number % 0x800, number.to_bytes(8, "big"))
        if number % 4 == 3:
            arrived += two.receive_batch()
            one.receive_batch()
        while one.waiting:
            arrived += two.receive_batch()
            one.flush()
    arrived += heard(two, PAIR_FRAMES - len(arrived))
    heard(one, 1, 0.2)
    numbers = [int.from_bytes(frame.data, "big") for frame in arrived]
    return {
        "arrived": len(arrived),
        "in_order": numbers == list(range(PAIR_FRAMES)),
        "errors": sum(frame.error for frame in arrived),
        "sent": msgspec.to_builtins(one.counters),
        "took_s": (CLOCK.now_ns() - start_ns) / 1e9,
    }


def interface_down() -> Seen:
    one = channel("can1")
    ip("link", "set", "can1", "down")
    receiving, sending = refusal(one.receive_batch), refusal(lambda: one.send(1, b""))
    opening = refusal(lambda: channel("can1"))
    ip("link", "set", "can1", "up")
    back = channel("can1")
    channel("can0").send(0x42, b"")
    return {"receiving": receiving, "sending": sending, "opening": opening, "back": shown(heard(back, 1, 2.0))}


def refusals() -> Seen:
    return {
        "absent": refusal(lambda: channel("can7")),
        "not_can": refusal(lambda: channel("lo")),
        "no_fd": refusal(lambda: channel("can0", fd=True)),
        "nameless": refusal(lambda: channel("")),
    }


def links() -> Seen:
    """After the traffic above. What `ip` says is the measure; the bytes themselves are kept for tests of the parser."""
    text = subprocess.run(["ip", "-details", "-statistics", "-json", "link", "show"], capture_output=True, timeout=10)
    states = {name: msgspec.to_builtins(state) for name, state in read_links().items()}
    start_ns = time.perf_counter_ns()
    read_links()
    return {
        "states": states,
        "took_us": (time.perf_counter_ns() - start_ns) / 1000,
        "one": msgspec.to_builtins(read_link_or_none("can1")),
        "absent": read_link_or_none("can7"),
        "ip": json.loads(text.stdout),
        "bytes": [body.hex() for body in link_messages()],
    }


def cardan(*words: str) -> Seen:
    """`cardan can WORDS`, as a person types it."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main_of_cardan(["can", *words])
    return {"code": code, "out": out.getvalue(), "err": err.getvalue()}


def commands() -> Seen:
    """On interfaces of the kernel without a vehicle: one with traffic, one silent, one down and with traps."""
    ip("link", "set", "can1", "down")
    ip("link", "set", "can1", "txqueuelen", "10", "type", "can", "restart-ms", "0")
    stop = threading.Event()
    sender = channel("vcan0", listen=False)

    def send() -> None:
        while not stop.wait(0.01):
            sender.send(0x123, CLOCK.now_ns().to_bytes(8, "big"))

    thread = threading.Thread(target=send)
    thread.start()
    try:
        return {
            "list": cardan("list", "--json"),
            "health": cardan("health", "vcan0", "--for", "500ms", "--json"),
            "silent": cardan("health", "can0", "--for", "100ms", "--json"),
            "down": cardan("health", "can1", "--for", "100ms", "--json"),
            "dump": cardan("dump", "vcan0", "--count", "5"),
            "sniff": cardan("sniff", "vcan0", "--for", "300ms"),
            "absent": cardan("dump", "can7"),
        }
    finally:
        stop.set()
        thread.join()
        sender.close()
        ip("link", "set", "can1", "txqueuelen", "128", "up", "type", "can", "restart-ms", "100")


def wall_clock_jumps() -> Seen:
    """A guard that is engaged over vcan0, in real time, while this computer's own clock is set on and back an hour."""
    bench, vehicle, bridge = GuardBench(), channel("vcan0"), channel("vcan0")
    ages_s = {name: 2.0 for name in bench.dbc.names}
    bus = VehicleBus(REFERENCE, bench.dbc, channel="vehicle", max_age_s=ages_s)
    guard = Guard(bench.envelope, bench.gate, bench.settings, CLOCK.now_ns())
    sensors, states, jumps, worst_age_s = SensorEcu(bench.dbc), [], [], 0.0
    for number in range(90):
        CLOCK.sleep_until_ns(CLOCK.now_ns() + 10_000_000)
        if number in (40, 65):
            before_ns = time.time_ns()
            time.clock_settime(time.CLOCK_REALTIME, time.time() + (3600 if number == 40 else -7200))
            jumps.append(round((time.time_ns() - before_ns) / 1e9))
        for frame_id, data in sensors.frames(truth(20.0), Pedals(engage=number == 2)):
            vehicle.send(frame_id, data)
        now_ns = CLOCK.now_ns()
        for frame in bridge.receive_batch():
            bus.receive(frame)
            worst_age_s = max(worst_age_s, (now_ns - frame.stamp_ns) / 1e9)
        command = Command(number, {"steering_rad": 0.0, "accel_mps2": 0.0}, bench.envelope.hash, now_ns, True)
        said = Vehicle(
            problems=tuple(bus.problems(CLOCK.now_ns())),
            speed_mps=bus.number("speed_mps"),
            measured={"steering_rad": 0.0, "accel_mps2": 0.0},
            engage=bus.switch("engage_requested"),
        )
        for sent in guard.step(CLOCK.now_ns(), command, said).frames:
            bridge.send(sent.id, sent.data)
        states.append(guard.engagement.state.value)
    vehicle.close()
    bridge.close()
    causes = [transition.cause for transition in guard.engagement.history]
    return {"jumps_s": jumps, "states": states[10:], "causes": causes, "age_s": worst_age_s}


# ---------------------------------------------------------------------------------------------------------- comparison


def us_per_frame(send: Callable[[], object], receive: Callable[[], object]) -> float:
    start_ns = time.perf_counter_ns()
    for _ in range(FRAMES_PER_ROUND):
        send()
        if not receive():
            raise RuntimeError("a frame did not arrive")
    return (time.perf_counter_ns() - start_ns) / FRAMES_PER_ROUND / 1000


def us_per_frame_in_bursts(send: Callable[[], object], receive: Callable[[int], int], burst: int = 50) -> float:
    start_ns = time.perf_counter_ns()
    for _ in range(FRAMES_PER_ROUND // burst):
        for _ in range(burst):
            send()
        if receive(burst) != burst:
            raise RuntimeError("frames did not arrive")
    return (time.perf_counter_ns() - start_ns) / FRAMES_PER_ROUND / 1000


def comparison() -> Seen:
    """Send and receive on vcan0, ours and python-can's turn by turn: one frame at a time, 50 at a time, and as the
    bridge does it."""
    sender, receiver = channel("vcan0", listen=False), channel("vcan0")

    def one_of_ours() -> float:
        return us_per_frame(lambda: sender.send(0x123, PAYLOAD), receiver.receive_batch)

    def some_of_ours() -> float:
        return us_per_frame_in_bursts(lambda: sender.send(0x123, PAYLOAD), lambda n: len(receiver.receive_batch()))

    gc.disable()
    frames = by_turns(
        {
            "ours_us": one_of_ours,
            "ours_burst_us": some_of_ours,
            "ours_confirmed_us": round_with_confirmation,
            "bare_us": round_of_bare_sockets,
            "theirs_us": partial(python_can_round, one_at_a_time=True),
            "theirs_burst_us": partial(python_can_round, one_at_a_time=False),
        },
        lambda: receiver.receive_batch(100_000),
    )
    receiver.close()
    periods = by_turns({"ours_period_us": our_periods, "theirs_period_us": python_can_periods}, lambda: None)
    gc.enable()
    return frames | periods | {"python_can": can.__version__}


Rounds = Callable[[], float]


def by_turns(measures: dict[str, Rounds], between: Callable[[], object]) -> dict[str, Any]:
    """The median of each over ROUNDS."""
    spent: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(ROUNDS):
        for name, measure in measures.items():
            spent[name].append(measure())
        between()
    return {name: statistics.median(values) for name, values in spent.items()}


VEHICLE_FRAMES, BRIDGE_FRAMES = 4, 3
"""What the reference vehicle and its bridge send in each period."""


def us_per_period(step: Callable[[], int]) -> float:
    """The bridge's part of a period: take what the vehicle has sent, and the echo of the last period; send."""
    vehicle = channel("vcan0", listen=False)
    spent_ns = taken = 0
    for _ in range(PERIODS_PER_ROUND):
        for number in range(VEHICLE_FRAMES):
            vehicle.send(0x200 + number, PAYLOAD)
        start_ns = time.perf_counter_ns()
        taken += step()
        spent_ns += time.perf_counter_ns() - start_ns
    vehicle.close()
    if taken != PERIODS_PER_ROUND * (VEHICLE_FRAMES + BRIDGE_FRAMES) - BRIDGE_FRAMES:
        raise RuntimeError(f"{taken} frames were taken")
    return spent_ns / PERIODS_PER_ROUND / 1000


def our_periods() -> float:
    bridge = channel("vcan0")

    def step() -> int:
        taken = len(bridge.receive_batch()) + len(bridge.take_confirmed())
        for number in range(BRIDGE_FRAMES):
            bridge.send(0x120 + number, PAYLOAD)
        return taken

    result = us_per_period(step)
    bridge.close()
    return result


def python_can_periods() -> float:
    """The same with one bus object, which is asked for the echo of its own frames, too."""
    with can.Bus(interface="socketcan", channel="vcan0", ignore_config=True, receive_own_messages=True) as bridge:

        def step() -> int:
            taken = 0
            while bridge.recv(timeout=0) is not None:
                taken += 1
            for number in range(BRIDGE_FRAMES):
                message = can.Message(arbitration_id=0x120 + number, data=PAYLOAD, is_extended_id=False)
                bridge.send(message, timeout=0)
            return taken

        return us_per_period(step)


def round_with_confirmation() -> float:
    """The same with a sender that also takes its own frames back from the bus, which python-can is not asked to do."""
    sender, receiver = channel("vcan0"), channel("vcan0")

    def take() -> bool:
        sender.receive_batch()
        return bool(receiver.receive_batch() and sender.take_confirmed())

    result = us_per_frame(lambda: sender.send(0x123, PAYLOAD), take)
    sender.close()
    receiver.close()
    return result


def round_of_bare_sockets() -> float:
    """What the kernel and two calls from Python cost by themselves: the same bytes each time, no stamp, no check."""
    packet = pack_frame(0x123, PAYLOAD)
    with bare_socket() as receiver, bare_socket() as sender:
        sender.setsockopt(socket.SOL_CAN_RAW, socket.CAN_RAW_FILTER, b"")
        send, receive = sender.send, receiver.recv
        return us_per_frame(lambda: send(packet), lambda: receive(16))


def bare_socket() -> socket.socket:
    bare = socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW)
    bare.bind(("vcan0",))
    return bare


def python_can_round(*, one_at_a_time: bool) -> float:
    """The sender takes in no frames, as ours; a message is made for each frame, as a control loop must."""

    def send() -> None:
        sender.send(can.Message(arbitration_id=0x123, data=PAYLOAD, is_extended_id=False), timeout=0)

    def receive(count: int) -> int:
        return sum(receiver.recv(timeout=0) is not None for _ in range(count))

    with can.Bus(interface="socketcan", channel="vcan0", ignore_config=True) as receiver:
        with can.Bus(interface="socketcan", channel="vcan0", ignore_config=True) as sender:
            sender.set_filters([{"can_id": 0x7FF, "can_mask": 0x7FF}])
            if one_at_a_time:
                return us_per_frame(send, lambda: receive(1))
            return us_per_frame_in_bursts(send, receive)


CHECKS: list[Callable[[], Seen]] = [
    classic,
    python_can_agrees,
    fd_frames,
    send_only,
    error_frames,
    overflow,
    full_transmit_queue,
    kvaser_pair,
    interface_down,
    refusals,
    links,
    commands,
    comparison,
    wall_clock_jumps,
]


def set_up() -> None:
    ip("link", "add", "dev", "vcan0", "type", "vcan")
    ip("link", "set", "vcan0", "mtu", "72", "up")
    for name in ("can0", "can1"):
        ip("link", "set", name, "up", "txqueuelen", "128", "type", "can", "bitrate", "500000", "restart-ms", "100")


def main() -> None:
    start_ns = CLOCK.now_ns()
    set_up()
    seen: dict[str, Any] = {}
    for check in CHECKS:
        try:
            seen[check.__name__] = check()
        except Exception:  # the other checks still have something to say
            seen[check.__name__] = {"failed": traceback.format_exc()}
    seen["guest"] = {"boot_s": start_ns / 1e9, "checks_s": (CLOCK.now_ns() - start_ns) / 1e9}
    print("CARDAN-RESULT " + json.dumps(seen))


if __name__ == "__main__":
    main()
