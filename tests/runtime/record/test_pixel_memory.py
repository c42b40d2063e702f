from __future__ import annotations

import numpy as np

from cardan.runtime.record.pixel_memory import MOST, PixelMemory


def picture(value: int) -> np.ndarray:
    return np.full((4, 6, 3), value, np.uint8)


def test_a_copy_stays_as_it_is_for_as_long_as_it_is_held() -> None:
    memory = PixelMemory()
    held = [memory.copy(picture(value)) for value in range(2 * MOST)]
    assert [set(view) for view in held] == [{value} for value in range(2 * MOST)]
    part = held.pop(3)[10:20]
    memory.copy(picture(99))
    assert set(part) == {3}


def test_memory_is_used_again_once_nobody_holds_it() -> None:
    memory = PixelMemory()
    places = set()
    for value in range(50):
        view = memory.copy(picture(value))
        assert bytes(view) == picture(value).tobytes()
        places.add(np.frombuffer(view, np.uint8).ctypes.data)
        del view
    assert len(places) <= 2


def test_pictures_of_another_size_or_order_are_copied_row_by_row() -> None:
    memory = PixelMemory()
    memory.copy(picture(1))
    image = np.arange(48, dtype=np.uint8).reshape(4, 12)[:, ::2]
    assert bytes(memory.copy(image)) == image.tobytes()
