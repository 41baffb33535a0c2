"""Slow first steps, taken before somebody waits for them."""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from threading import Thread

__all__ = ["warm_up"]


def warm_up() -> None:
    """Load, in a thread, what the first layer of labels needs: pandas and numba.

    Imports alone, which Python guards: napari's own objects are not made for other threads.
    """
    Thread(target=_load, name="warm-up", daemon=True).start()


def _load() -> None:
    for name in ("pandas", "numba.typed"):
        # Only to save a second: where it fails, the first result is merely slower.
        with suppress(ImportError):
            import_module(name)
