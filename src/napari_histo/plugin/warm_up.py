"""Slow first steps, taken before somebody waits for them."""

from __future__ import annotations

from contextlib import suppress
from threading import Thread

__all__ = ["warm_up"]


def warm_up() -> None:
    """Load, in a thread, what the first result needs: pandas, and napari's compiled colours."""
    Thread(target=_load, name="warm-up", daemon=True).start()


def _load() -> None:
    # Only to save a second: where it fails, the first result says so or is merely slower.
    with suppress(Exception):
        import numpy as np
        from napari.layers import Labels

        Labels(np.ones((2, 2), np.uint32), features={"index": [1]})
