# SPDX-License-Identifier: GPL-3.0-or-later
"""What a sync asks of the project's side, be it QuPath or a folder of exchanged files."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import CancelToken, ObjectTable, Progress
from napari_histo.core.bridge import ImageEntry, WriteReport

__all__ = ["SyncBridge"]


class SyncBridge(Protocol):
    """What a sync asks of the project's side."""

    def facts(self, entry: ImageEntry) -> Any:
        """Something that stays equal as long as nobody changes the image's objects."""
        ...

    def reading(
        self, entry: ImageEntry, cancel: CancelToken | None = None
    ) -> Generator[Progress, None, ObjectTable]:
        """Objects of one image; classes of the project come first."""
        ...

    def marks(
        self, entry: ImageEntry, cancel: CancelToken | None = None
    ) -> Generator[Progress, None, list[str]]:
        """Marks of the writes that an image's objects are based on."""
        ...

    def pushing(
        self,
        entry: ImageEntry,
        upserts: ObjectTable,
        removed: NDArray[np.uint8],
        *,
        expected: Any = None,
        mark: str = "",
        cancel: CancelToken | None = None,
    ) -> Generator[Progress, None, WriteReport]:
        """Write whole rows and remove ids, unless `facts` are not `expected` any more."""
        ...
