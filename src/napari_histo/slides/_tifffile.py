"""TIFF in its many dialects through tifffile: plain, pyramidal, OME, ImageJ, SVS, QPTIFF, …"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core.box import Box
from napari_histo.core.slide import SlideInfo
from napari_histo.errors import ImageError
from napari_histo.slides._base import BaseReader, Declined, default_channel_names, downsamples
from napari_histo.slides._pixels import sample_dtype
from napari_histo.slides._tiff_colour import ColourRule
from napari_histo.slides._tiff_header import check_directories
from napari_histo.slides._tiff_layout import Layout, pick_series, pyramid, series_names
from napari_histo.slides._tiff_meta import TiffFacts, facts_of
from napari_histo.slides._tiff_planes import ArrayStack, PageFiles, PageStack, SegmentCache

__all__ = ["TiffReader"]

#: Enough for what a tile of 1280 px shares with the next one, both read at once.
_SEGMENTS_BYTES = 16 * 2**20
#: Strips run across the whole image: all tiles of a row share them.
_STRIPS_BYTES = 64 * 2**20


class TiffReader(BaseReader):
    """A TIFF file, read lazily: one level and one box at a time.

    Axes may stand in any order. Of time, and of axes that are neither place nor channel, the first
    entry is shown. An axis without a meaning is taken as channels up to 8 grey planes and as focal
    planes beyond.

    Parameters
    ----------
    path : Path
    z : int
        Focal plane.
    series : int
        Which image of a file that holds several.

    Raises
    ------
    Declined
        Not a TIFF, or one in a dialect that tifffile cannot decode.
    ImageError
        Truncated or empty, or `z` or `series` do not exist.
    """

    def __init__(self, path: Path, *, z: int = 0, series: int = 0) -> None:
        self._tiff = _open(path)
        self._files, self._cache = PageFiles(), SegmentCache(_SEGMENTS_BYTES)
        try:
            super().__init__(self._inspect(path, z, series))
            self._decode_one_pixel()
        except BaseException:
            self._release()
            raise

    def _inspect(self, path: Path, z: int, index: int) -> SlideInfo:
        try:
            series = pick_series(self._tiff, index, path.name)
            layouts = _layouts(pyramid(self._tiff, series), z, path.name)
            self._colour = ColourRule.of(series.keyframe)
            if not series.keyframe.is_tiled:
                self._cache.limit_bytes = _STRIPS_BYTES
            self._stacks = [self._stack(layout) for layout in layouts]
            facts = facts_of(self._tiff, series, index, layouts[0].frames)
        except (ImageError, Declined):
            raise
        except Exception as error:
            raise Declined(f"tifffile cannot make sense of it: {error}") from error
        for stack in self._stacks:
            stack.check_complete(path.stat().st_size)
        return replace(
            self._info_of(path, layouts[0], facts),
            series=index,
            series_names=series_names(self._tiff, index),
        )

    def _stack(self, layout: Layout) -> PageStack | ArrayStack:
        key = layout.series.keyframe
        if layout.is_folded:
            return ArrayStack(layout.unfold(), int(key.samplesperpixel))
        is_white = self._colour.is_colour and key.dtype == np.uint8
        return PageStack(
            layout.planes(),
            key,
            files=self._files,
            cache=self._cache,
            empty=255 if is_white else key.nodata,
        )

    def _info_of(self, path: Path, layout: Layout, facts: TiffFacts) -> SlideInfo:
        shapes = tuple((stack.height, stack.width) for stack in self._stacks)
        samples = self._stacks[0].samples
        n_frames = len(layout.frames) // (samples if layout.is_folded else 1)
        n_channels = n_frames * self._colour.count(samples)
        dtype = sample_dtype(self._colour.dtype(np.dtype(layout.series.dtype)))
        if dtype is None:
            raise Declined(f"its samples are {layout.series.dtype}, not integers or real numbers")
        is_colour = self._colour.is_colour and n_channels == 3
        return SlideInfo(
            name=path.name,
            path=str(path),
            level_shapes=shapes,
            level_downsamples=downsamples(shapes),
            dtype=dtype,
            channel_names=_channel_names(facts.channel_names, n_channels, is_colour=is_colour),
            is_rgb=is_colour and dtype == np.uint8,
            pixel_size=facts.pixel_size,
            n_z=layout.n_z,
            magnification=facts.magnification,
            channel_colours=facts.channel_colours
            if len(facts.channel_colours) == n_channels and not is_colour
            else (),
            metadata={
                "reader": "tifffile",
                "format": layout.series.kind or "tiff",
                **facts.texts,
            },
        )

    def _decode_one_pixel(self) -> None:
        """Find out at once whether the codec is there; the pixel's segment stays in the cache."""
        for level in {0, len(self._stacks) - 1}:
            try:
                self._read_inside(Box(0, 0, 1, 1), level)
            except (ImageError, MemoryError):
                raise
            except Exception as error:
                raise Declined(f"tifffile cannot decode its pixels: {error}") from error

    def _read_inside(self, box: Box, level: int) -> NDArray[Any]:
        stack = self._stacks[level]
        raw = stack.read(box)
        if raw.shape[2] == stack.samples:
            return self._colour.apply(raw)
        planes = np.split(raw, raw.shape[2] // stack.samples, axis=2)
        return np.concatenate([self._colour.apply(plane) for plane in planes], axis=2)

    def _release(self) -> None:
        self._cache.clear()
        self._files.close()
        self._tiff.close()


def _layouts(levels: list[Any], z: int, name: str) -> list[Layout]:
    """Layouts of the levels that show the same channels and planes as the first."""
    layouts = [Layout.of(level, z, name) for level in levels]
    first = layouts[0]
    alike = (len(first.frames), first.n_z)
    return [layout for layout in layouts if (len(layout.frames), layout.n_z) == alike]


def _open(path: Path) -> Any:
    import tifffile

    check_directories(path)
    try:
        return tifffile.TiffFile(path)
    except tifffile.TiffFileError as error:
        raise Declined(str(error)) from error
    except Exception as error:
        # tifffile raises struct.error, ValueError and others on damaged directories.
        raise Declined(f"its directory is damaged ({error})") from error


def _channel_names(given: tuple[str, ...], n: int, *, is_colour: bool) -> tuple[str, ...]:
    if is_colour:
        return ("Red", "Green", "Blue")
    return given if len(given) == n else default_channel_names(n)
