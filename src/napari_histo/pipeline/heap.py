"""What the C library does with memory that is free again."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

__all__ = ["give_back_large_blocks", "trim_heap"]

_M_MMAP_THRESHOLD = -3  # of malloc.h
_LARGE_BYTES = 4 << 20


def give_back_large_blocks() -> None:
    """From now on give blocks of 4 MiB and more back as soon as they are free; only with glibc.

    By itself glibc (mallopt(3)) raises that bound to 32 MiB and fills its heap with a network's
    smaller activations, whose gaps differ from run to run: 30 to 100 MB more. Fresh pages cost
    time, but next to none where they are huge (`napari_histo.__init__`).
    """
    libc = _glibc()
    if libc is not None:
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def trim_heap() -> None:
    """Give back what else is kept for later, one heap a thread; takes 10 ms. Only with glibc."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


@cache
def _glibc() -> Any:
    try:
        library = ctypes.CDLL(None)
        # What is not there raises as soon as it is named.
        _ = library.malloc_trim, library.mallopt
        return library
    except (OSError, AttributeError, TypeError):  # macOS, musl, Windows
        return None
