from pathlib import Path

import numpy as np
import pytest

from cardan.runtime.bus.slots import SLOTS, SlotDescriptor, SlotMaps, SlotPool
from cardan.runtime.errors import BusError

SHAPE = (4, 6, 3)
U8 = np.dtype(np.uint8)


def filled(pool: SlotPool, value: int) -> np.ndarray:
    array = pool.take(SHAPE, U8)
    array[...] = value
    pool.seal(array)
    return array


def test_a_slot_filled_in_place_is_sent_without_a_copy(tmp_path: Path) -> None:
    pool, maps = SlotPool(tmp_path, "camera.frame.1"), SlotMaps(tmp_path)
    array = filled(pool, 9)
    descriptor = pool.describe(array)
    assert pool.describe(array) == descriptor
    view = maps.view(descriptor)
    assert (view == 9).all()
    array[0, 0, 0] = 77
    assert view[0, 0, 0] == 77


def test_a_view_is_read_only(tmp_path: Path) -> None:
    pool, maps = SlotPool(tmp_path, "camera.frame.1"), SlotMaps(tmp_path)
    view = maps.view(pool.describe(filled(pool, 1)))
    with pytest.raises(ValueError, match="read-only"):
        view[0, 0, 0] = 1


def test_a_view_is_intact_until_the_writer_comes_round_again(tmp_path: Path) -> None:
    pool, maps = SlotPool(tmp_path, "camera.frame.1"), SlotMaps(tmp_path)
    descriptor = pool.describe(filled(pool, 0))
    maps.view(descriptor)
    for value in range(1, SLOTS):
        filled(pool, value)
        assert maps.intact(descriptor)
    pool.take(SHAPE, U8)
    assert not maps.intact(descriptor)


def test_an_array_that_is_still_being_filled_is_refused(tmp_path: Path) -> None:
    pool = SlotPool(tmp_path, "camera.frame.1")
    with pytest.raises(BusError, match="being filled"):
        pool.describe(pool.take(SHAPE, U8))


def test_a_larger_frame_gets_a_larger_pool_and_old_views_stay_readable(tmp_path: Path) -> None:
    pool, maps = SlotPool(tmp_path, "camera.frame.1"), SlotMaps(tmp_path)
    small = maps.view(pool.describe(filled(pool, 3)))
    large = pool.describe(np.full((100, 100, 3), 4, np.uint8))
    assert (maps.view(large) == 4).all()
    assert (small == 3).all()
    assert len(list(tmp_path.iterdir())) == 1


def test_a_new_start_of_the_publisher_replaces_the_mapping(tmp_path: Path) -> None:
    maps = SlotMaps(tmp_path)
    first = SlotPool(tmp_path, "camera.frame.1")
    before = first.describe(filled(first, 1))
    maps.view(before)
    second = SlotPool(tmp_path, "camera.frame.2")
    maps.view(second.describe(filled(second, 2)))
    assert not maps.intact(before)


@pytest.mark.parametrize(
    "descriptor",
    [
        SlotDescriptor("camera.frame.1.0", 10**9, 2, "|u1", SHAPE),
        SlotDescriptor("camera.frame.1.0", -64, 2, "|u1", SHAPE),
        SlotDescriptor("camera.frame.1.0", 4096, 2, "|u1", (10**6, 10**6)),
    ],
)
def test_a_descriptor_that_points_outside_is_refused(tmp_path: Path, descriptor: SlotDescriptor) -> None:
    pool, maps = SlotPool(tmp_path, "camera.frame.1"), SlotMaps(tmp_path)
    filled(pool, 1)
    with pytest.raises(BusError, match="outside its pool"):
        maps.view(descriptor)


@pytest.mark.parametrize("file", ["../../etc/passwd.1.0", ".hidden.1.0", "/etc/passwd.0.0"])
def test_a_descriptor_cannot_name_a_file_elsewhere(tmp_path: Path, file: str) -> None:
    with pytest.raises(BusError, match="outside the frames folder"):
        SlotMaps(tmp_path).view(SlotDescriptor(file, 0, 2, "|u1", SHAPE))


def test_a_pool_that_is_gone_is_an_error_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(BusError, match=r"frames of camera.frame are gone"):
        SlotMaps(tmp_path).view(SlotDescriptor("camera.frame.1.0", 0, 2, "|u1", SHAPE))


def test_too_little_shared_memory_is_an_error_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(BusError, match="shared memory"):
        SlotPool(tmp_path / "absent", "camera.frame.1").take(SHAPE, U8)


def test_closing_removes_the_file(tmp_path: Path) -> None:
    pool = SlotPool(tmp_path, "camera.frame.1")
    filled(pool, 1)
    pool.close()
    pool.close()
    assert list(tmp_path.iterdir()) == []
