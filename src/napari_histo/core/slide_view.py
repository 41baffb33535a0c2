"""A slide seen in another way: turned, in other colours, with a pixel size of ours."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from numpy.typing import NDArray

from napari_histo.core.box import Box
from napari_histo.core.slide import SlideInfo, SlideReader

__all__ = ["SlideView"]


class SlideView:
    """A `SlideReader` over another; by itself it changes nothing but what is said of the image.

    Parameters
    ----------
    reader : SlideReader
        Closed with the view.
    info : SlideInfo, optional
        Facts about the image as it is seen; by default those of `reader`.
    """

    def __init__(self, reader: SlideReader, info: SlideInfo | None = None) -> None:
        self.reader = reader
        self.info = reader.info if info is None else info

    def read(self, box: Box, level: int = 0) -> NDArray[Any]:
        """Pixels of `box` in the pixels of `level`; see `SlideReader`."""
        return self.reader.read(box, level)

    def close(self) -> None:
        """Close the reader below."""
        self.reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        size = f"{self.info.width} x {self.info.height} px"
        return f"<{type(self).__name__} {size} of {self.reader!r}>"
