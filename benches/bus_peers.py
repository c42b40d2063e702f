"""Other people's transports for bus_cell.py, each in the way its own documentation shows. None of ours is imported."""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import tempfile
import time
from importlib import import_module
from typing import Any

from bus_cell import STAMP, OnMessage

FRAMES = 16
"""Messages in the sender's own memory that are sent in turn; fewer of the large ones."""
BUFFERED, BUFFERED_LARGE = 64, 8
LARGE = 1 << 20


class Peer:
    """What all of them have: messages to be sent, and the pull for those that arrive."""

    def __init__(self, size: int, readers: int) -> None:
        self._size = size
        self._readers = readers
        self._buffered = BUFFERED if size < LARGE else BUFFERED_LARGE
        self._messages = [bytearray(os.urandom(size)) for _ in range(FRAMES if size < LARGE else 4)]

    def _stamped(self, number: int) -> bytearray:
        message = self._messages[number % len(self._messages)]
        STAMP.pack_into(message, 0, number, time.monotonic_ns())
        return message


class Iceoryx(Peer):
    """iceoryx2: publish and subscribe of a slice of bytes, and its events to wake up; the sender copies its bytes."""

    def __init__(self, size: int, readers: int) -> None:
        super().__init__(size, readers)
        self._name = f"cardan-bench-{os.getpid()}"

    def _open(self) -> tuple[Any, Any]:
        api = self._api = import_module("iceoryx2")
        api.set_log_level(api.LogLevel.Error)
        self._node = api.NodeBuilder.new().create(api.ServiceType.Ipc)
        name = api.ServiceName.new(self._name)
        messages = (
            self._node.service_builder(name)
            .publish_subscribe(api.Slice[ctypes.c_uint8])
            .enable_safe_overflow(False)
            .subscriber_max_buffer_size(self._buffered)
            .history_size(0)
            .max_subscribers(8)
            .open_or_create()
        )
        return messages, self._node.service_builder(name).event().max_listeners(8).open_or_create()

    def open_publisher(self) -> None:
        messages, events = self._open()
        waiting = self._api.BackpressureStrategy.RetryUntilDelivered
        builder = messages.publisher_builder().initial_max_slice_len(self._size)
        self._publisher = builder.backpressure_strategy(waiting).create()
        self._notifier = events.notifier_builder().create()

    def open_reader(self, index: int) -> None:
        messages, events = self._open()
        self._subscriber = messages.subscriber_builder().create()
        self._listener = events.listener_builder().create()

    def send(self, number: int) -> None:
        message = self._stamped(number)
        sample = self._publisher.loan_slice_uninit(self._size)
        ctypes.memmove(sample.payload_ptr, (ctypes.c_uint8 * self._size).from_buffer(message), self._size)
        sample.assume_init().send()
        self._notifier.notify()

    def read(self, on_message: OnMessage) -> None:
        kind, ended = ctypes.c_uint8 * self._size, False
        receive, wait = self._subscriber.receive, self._listener.blocking_wait
        while not ended:
            sample = receive()
            if sample is None:
                wait()
                continue
            data = kind.from_address(sample.payload_ptr)
            ended = on_message(data)
            data[self._size - 1]
            del sample

    def close(self) -> None:
        pass


class IceoryxLoan(Iceoryx):
    """iceoryx2: the sender fills the loaned memory in place, here with no more than the stamp."""

    def send(self, number: int) -> None:
        sent_ns = time.monotonic_ns()
        sample = self._publisher.loan_slice_uninit(self._size)
        STAMP.pack_into((ctypes.c_uint8 * self._size).from_address(sample.payload_ptr), 0, number, sent_ns)
        sample.assume_init().send()
        self._notifier.notify()


class RawZmq(Peer):
    """pyzmq: PUB and SUB over ipc. It blocks the sender instead of dropping, so that every message can be measured."""

    def __init__(self, size: int, readers: int) -> None:
        super().__init__(size, readers)
        self._folder = tempfile.mkdtemp(prefix="cb")
        self._copy = size < 1 << 16

    def _socket(self, kind: str) -> Any:
        api = import_module("zmq")
        made = api.Context().socket(getattr(api, kind))
        made.sndhwm = made.rcvhwm = 1000 if self._size < LARGE else self._buffered
        return made

    def open_publisher(self) -> None:
        self._publisher = self._socket("PUB")
        self._publisher.setsockopt(import_module("zmq").XPUB_NODROP, 1)
        self._publisher.bind(f"ipc://{self._folder}/s")

    def open_reader(self, index: int) -> None:
        self._subscriber = self._socket("SUB")
        self._subscriber.subscribe(b"")
        self._subscriber.connect(f"ipc://{self._folder}/s")

    def send(self, number: int) -> None:
        self._publisher.send(self._stamped(number), copy=self._copy)

    def read(self, on_message: OnMessage) -> None:
        receive, copy, ended = self._subscriber.recv, self._copy, False
        while not ended:
            ended = on_message(receive() if copy else receive(copy=False).buffer)

    def close(self) -> None:
        self._publisher.close(1000)
        shutil.rmtree(self._folder)


class Zenoh(Peer):
    """eclipse-zenoh: two peers over its shared memory, where the sender copies its bytes into."""

    def __init__(self, size: int, readers: int) -> None:
        super().__init__(size, readers)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]

    def _session(self, role: str) -> Any:
        api = import_module("zenoh")
        config = api.Config()
        config.insert_json5("mode", '"peer"')
        config.insert_json5("scouting/multicast/enabled", "false")
        config.insert_json5(f"{role}/endpoints", f'["tcp/127.0.0.1:{self._port}"]')
        if role == "connect":
            config.insert_json5("listen/endpoints", "[]")
        config.insert_json5("transport/shared_memory/enabled", "true")
        return api.open(config)

    def open_publisher(self) -> None:
        api = import_module("zenoh")
        self._session_open = self._session("listen")
        block = api.CongestionControl.BLOCK
        self._publisher = self._session_open.declare_publisher("cardan/bench", congestion_control=block)
        self._memory = api.shm.ShmProvider.default_backend(max(LARGE, self._size * 24))
        self._policy = api.shm.BlockOn(api.shm.GarbageCollect())
        deadline_s = time.monotonic() + 10
        while not self._publisher.matching_status.matching and time.monotonic() < deadline_s:
            time.sleep(0.05)

    def open_reader(self, index: int) -> None:
        api = import_module("zenoh")
        for attempt in range(100):
            try:
                self._session_open = self._session("connect")
                break
            except api.ZError:
                if attempt == 99:
                    raise
                time.sleep(0.1)
        self._subscriber = self._session_open.declare_subscriber("cardan/bench", api.handlers.FifoChannel(64))
        time.sleep(0.5)

    def send(self, number: int) -> None:
        message = self._stamped(number)
        memory = self._memory.alloc(self._size, policy=self._policy)
        memory[:] = message
        self._publisher.put(memory)

    def read(self, on_message: OnMessage) -> None:
        ended = False
        while not ended:
            ended = on_message(self._subscriber.recv().payload.to_bytes())

    def close(self) -> None:
        self._session_open.close()
