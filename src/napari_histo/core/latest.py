"""What was asked for last, kept at hand up to a number of bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar

__all__ = ["Latest"]


class _Sized(Protocol):
    @property
    def nbytes(self) -> int: ...


Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item", bound=_Sized)


class Latest(Generic[Key, Item]):
    """The items that were asked for last. Any thread may call.

    At least one is kept, however large: it would otherwise be made anew each time.

    Parameters
    ----------
    limit_bytes : int
        That all kept items take.

    Attributes
    ----------
    limit_bytes : int
        May be changed at any time.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._items: OrderedDict[Key, Item] = OrderedDict()
        self._size = 0

    def get(self, key: Key, make: Callable[[], Item]) -> Item:
        """The item of `key`, made where it is not at hand; two threads may both make it."""
        with self._lock:
            found = self._items.get(key)
            if found is not None:
                self._items.move_to_end(key)
                return found
        item = make()
        with self._lock:
            if key not in self._items:
                self._items[key] = item
                self._size += item.nbytes
            while self._size > self.limit_bytes and len(self._items) > 1:
                self._size -= self._items.popitem(last=False)[1].nbytes
        return item

    def clear(self) -> None:
        """Forget all items."""
        with self._lock:
            self._items.clear()
            self._size = 0

    @property
    def nbytes(self) -> int:
        """Of the kept items."""
        return self._size
