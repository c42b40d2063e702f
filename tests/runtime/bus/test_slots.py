from pathlib import Path

import msgspec
import numpy as np
import pytest

from cardan.runtime.bus.slots import ROWS, SLOTS, SlotDescriptor, SlotMaps, SlotPool
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


@pytest.mark.parametrize("shape", [SHAPE, (7,), (0, 3), ()])
@pytest.mark.parametrize("dtype", ["u1", "<f4", ">i2"])
def test_a_descriptor_travels_as_what_it_says(tmp_path: Path, shape: tuple[int, ...], dtype: str) -> None:
    pool = SlotPool(tmp_path, "camera.frame.1")
    for turn in range(2 * SLOTS + 1):
        array = pool.take(shape, np.dtype(dtype))
        with pytest.raises(BusError, match="being filled"):
            pool.pack(array)
        pool.seal(array)
        assert msgspec.msgpack.decode(pool.pack(array), type=SlotDescriptor) == pool.describe(array)
        assert pool.describe(array).generation == 2 * (turn // SLOTS + 1)


def test_any_array_travels_also_after_frames_of_another_form(tmp_path: Path) -> None:
    pool, maps = SlotPool(tmp_path, "camera.frame.1"), SlotMaps(tmp_path)
    older, newer = filled(pool, 1), filled(pool, 2)
    foreign = np.arange(12, dtype=np.float32).reshape(3, 4)
    for array in (older, newer, foreign, foreign.T, older, newer[1:]):
        view = maps.view(msgspec.msgpack.decode(pool.pack(array), type=SlotDescriptor))
        assert view.dtype == array.dtype
        assert (view == array).all()


def test_a_larger_frame_gets_a_larger_pool_and_old_views_stay_readable(tmp_path: Path) -> None:
    pool, maps = SlotPool(tmp_path, "camera.frame.1"), SlotMaps(tmp_path)
    small = maps.view(pool.describe(filled(pool, 3)))
    large = pool.describe(np.full((100, 100, 3), 4, np.uint8))
    assert (maps.view(large) == 4).all()
    assert (small == 3).all()
    assert len(list(tmp_path.iterdir())) == 1


def test_an_array_of_a_pool_that_was_replaced_meanwhile_is_copied_whole(tmp_path: Path) -> None:
    pool, maps = SlotPool(tmp_path, "camera.frame.1"), SlotMaps(tmp_path)
    early = pool.take(SHAPE, U8)
    pool.describe(np.zeros((100, 100, 3), np.uint8))
    early[...] = 5
    pool.seal(early)
    assert (maps.view(pool.describe(early)) == 5).all()


def test_an_older_slot_is_sent_as_what_it_holds_now(tmp_path: Path) -> None:
    pool, maps = SlotPool(tmp_path, "camera.frame.1"), SlotMaps(tmp_path)
    older = filled(pool, 1)
    before = pool.describe(older)
    newer = filled(pool, 2)
    assert pool.describe(older) == before != pool.describe(newer)
    assert (maps.view(pool.describe(older)) == 1).all()
    with pytest.raises(BusError, match="being filled"):
        for _ in range(SLOTS - 1):
            pool.take(SHAPE, U8)
        pool.describe(older)


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


def leased_pool(tmp_path: Path, readers: int = 2, **options: object) -> tuple[SlotPool, list[SlotMaps]]:
    """A pool of four slots and so many readers with rows of their own."""
    pool = SlotPool(tmp_path, "camera.frame.1", 4, rows=readers, **options)  # type: ignore[arg-type]
    return pool, [SlotMaps(tmp_path, {"camera.frame": row}) for row in range(readers)]


def test_the_writer_passes_over_a_slot_that_a_reader_holds(tmp_path: Path) -> None:
    pool, (holder, other) = leased_pool(tmp_path)
    held = pool.describe(filled(pool, 7))
    view = holder.view(held)
    for value in range(20):
        other.release(pool.describe(filled(pool, value)))
    assert (view == 7).all()
    assert holder.intact(held)
    assert pool.overruled == 0


def test_a_slot_that_was_let_go_is_used_again(tmp_path: Path) -> None:
    pool, (reader, _) = leased_pool(tmp_path)
    held = pool.describe(filled(pool, 7))
    reader.view(held)
    reader.release(held)
    for value in range(4):
        filled(pool, value)
    assert not reader.intact(held)


def test_the_writer_never_waits_when_all_slots_are_held_and_the_reader_sees_what_it_lost(tmp_path: Path) -> None:
    pool, (reader, _) = leased_pool(tmp_path)
    held = [pool.describe(filled(pool, value)) for value in range(4)]
    for descriptor in held:
        reader.view(descriptor)
    filled(pool, 9)
    assert pool.overruled == 1
    assert [reader.intact(descriptor) for descriptor in held] == [False, True, True, True]


def test_what_a_dead_reader_held_is_free(tmp_path: Path) -> None:
    living = {0: True, 1: True}
    pool, (reader, _) = leased_pool(tmp_path, lives=living.__getitem__)
    held = [pool.describe(filled(pool, value)) for value in range(3)]
    for descriptor in held:
        reader.view(descriptor)
    living[0] = False
    for value in range(4):
        filled(pool, value)
    assert pool.overruled == 0
    assert not any(reader.intact(descriptor) for descriptor in held)


def test_a_reader_that_starts_again_holds_nothing(tmp_path: Path) -> None:
    pool, (reader, _) = leased_pool(tmp_path)
    held = pool.describe(filled(pool, 1))
    reader.view(held)
    again = SlotMaps(tmp_path, {"camera.frame": 0})
    again.view(pool.describe(filled(pool, 2)))
    for value in range(3):
        filled(pool, value)
    assert not reader.intact(held)


def test_a_reader_beyond_the_last_row_does_without_a_lease(tmp_path: Path) -> None:
    pool = SlotPool(tmp_path, "camera.frame.1", 4, rows=ROWS + 5)
    reader = SlotMaps(tmp_path, {"camera.frame": ROWS + 1})
    held = pool.describe(filled(pool, 1))
    assert (reader.view(held) == 1).all()
    for value in range(4):
        filled(pool, value)
    assert not reader.intact(held)


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [("O", (2, 2)), ("nonsense", (2,)), ("|u1", (-1, -4)), ("|u1", (2**62, 4)), ("|V0", (3,)), ("f8,(", (1,))],
)
def test_a_descriptor_of_an_array_that_cannot_be_is_refused(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    pool, maps = SlotPool(tmp_path, "camera.frame.1"), SlotMaps(tmp_path)
    filled(pool, 1)
    with pytest.raises(BusError, match=r"outside its pool|makes no sense"):
        maps.view(SlotDescriptor("camera.frame.1.0", 4096, 2, dtype, shape))


def test_a_pool_file_that_was_cut_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "camera.frame.1.0").write_bytes(bytes(100))
    with pytest.raises(BusError, match=r"frames of camera\.frame are gone"):
        SlotMaps(tmp_path).view(SlotDescriptor("camera.frame.1.0", 4096, 2, "|u1", SHAPE))
