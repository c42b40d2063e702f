from __future__ import annotations

import threading

from cardan.runtime.record.worker import Worker


def wait_for(event: threading.Event) -> None:
    event.wait(10.0)


def test_tasks_are_done_in_order_and_an_error_of_the_disk_ends_none_but_its_own() -> None:
    done: list[int] = []
    errors: list[OSError] = []
    worker = Worker("test", 100, errors.append)

    def fail() -> None:
        raise OSError(28, "No space left on device")

    for number in range(5):
        worker.put(lambda number=number: done.append(number))  # type: ignore[misc]
        worker.put(fail)
    assert worker.settle(5.0)
    assert done == [0, 1, 2, 3, 4]
    assert [error.errno for error in errors] == [28] * 5
    assert worker.close(5.0)


def test_large_tasks_wait_until_no_other_does_and_have_a_bound_of_their_own() -> None:
    done: list[str] = []
    stuck = threading.Event()
    worker = Worker("test", 100, lambda error: None)
    worker.put(lambda: wait_for(stuck))
    assert worker.put(lambda: done.append("picture"), 90, large=True)
    assert not worker.put(lambda: done.append("one more picture"), 90, large=True)
    assert worker.put(lambda: done.append("telemetry"), 90)
    assert worker.put(lambda: done.append("end"), large=True)
    stuck.set()
    assert worker.settle(5.0)
    assert done == ["telemetry", "picture", "end"]
    assert worker.close(5.0)


def test_what_waits_is_bounded_and_what_is_beyond_is_refused_at_once() -> None:
    stuck = threading.Event()
    worker = Worker("test", 100, lambda error: None)
    worker.put(lambda: wait_for(stuck))
    assert worker.put(lambda: None, 60)
    assert not worker.put(lambda: None, 60)
    assert worker.put(lambda: None, 40)
    assert worker.put(lambda: None)
    assert not worker.settle(0.01)
    stuck.set()
    assert worker.settle(5.0)
    assert worker.put(lambda: None, 100)
    assert worker.close(5.0)


def test_a_disk_that_hangs_does_not_hold_up_the_end() -> None:
    stuck = threading.Event()
    worker = Worker("test", 100, lambda error: None)
    worker.put(lambda: wait_for(stuck))
    assert not worker.close(0.05)
    stuck.set()
