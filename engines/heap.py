"""Keep the C heap from growing while networks come and go: one arena for all threads, and free pages go back.

Without it a host whose networks were exchanged seventy times had grown by a third: each thread that loads takes an
arena of its own, and what a closed session frees lies between what lives on. Only the GNU C library knows these calls;
another one does as it likes.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress

M_ARENA_MAX = -8


def use_one_arena() -> None:
    """Let all threads of this process share one heap."""
    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)


def give_back_free_pages() -> None:
    """Return what is free to the system; takes a millisecond or two."""
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
