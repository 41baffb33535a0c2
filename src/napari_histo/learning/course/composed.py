"""Sheets that never were: nuclei of labelled sheets on the emptied ground of another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from napari_histo.core.latest import Latest
from napari_histo.learning.course.composing import Nucleus, compose, cut_nuclei, empty_ground
from napari_histo.learning.course.sheets import Sheet, Sheets, SlideRange

__all__ = ["Composer"]

#: Nuclei that are kept of a sheet.
_MOST_NUCLEI = 48
#: Nuclei beyond this are cut again when they are drawn again; about those of 200 sheets.
_CACHE_BYTES = 64 << 20
#: Share of the composed sheets whose nuclei come from several others; of the rest from one.
_MIXED = 0.25
_COVERAGE = (0.05, 0.5)


@dataclass(frozen=True, eq=False)
class _Cuttings:
    """Nuclei of a sheet, and the class of each in the scheme of the model."""

    nuclei: Sequence[Nucleus] = ()
    classes: Sequence[int] = ()

    @property
    def nbytes(self) -> int:
        return sum(one.nbytes for one in self.nuclei)


class Composer:
    """Composes sheets out of others. Any thread may call.

    Parameters
    ----------
    sheets : Sheets
    side_px : int
        Of what is composed, at most; model px.
    percentiles : (float, float)
        Of the model.
    """

    def __init__(self, sheets: Sheets, side_px: int, percentiles: tuple[float, float]) -> None:
        self._sheets, self._side, self._percentiles = sheets, side_px, percentiles
        self._latest: Latest[int, _Cuttings] = Latest(_CACHE_BYTES)

    @property
    def nbytes(self) -> int:
        """Of the nuclei that are kept."""
        return self._latest.nbytes

    def compose(self, sheet: Sheet, rng: np.random.Generator) -> Sheet:
        """A part of a sheet with other nuclei on it; itself where it is brightfield, or none are.

        Its range of intensities is that of the sheet's slide again, so that both are normalised
        alike.
        """
        if sheet.slide.is_brightfield:
            return sheet
        nuclei, classes = self._drawn(rng)
        if not nuclei:
            return sheet
        here = _part(sheet, self._side, rng)
        ground = empty_ground(_unit(sheet.slide, here.pixels), here.labels, rng)
        unit, labels, source = compose(ground, nuclei, rng, coverage=rng.uniform(*_COVERAGE))
        low, high = np.percentile(unit, self._percentiles)
        unit = (unit - low) / max(high - low, 1e-3)
        edge = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
        edge = edge[edge > 0]
        return replace(
            here,
            pixels=_from_unit(sheet.slide, unit.astype(np.float32)),
            labels=labels,
            cut=edge,
            torn=edge,
            centres=_centres(labels, len(source)),
            classes=np.array([0, *classes[source]], np.int64),
        )

    def _drawn(self, rng: np.random.Generator) -> tuple[list[Nucleus], NDArray[np.int64]]:
        """Nuclei of a sheet or of some, and their classes."""
        n = 3 if rng.random() < _MIXED else 1
        numbers = rng.integers(len(self._sheets), size=n).tolist()
        chosen = [self._latest.get(i, partial(self._cut, i)) for i in numbers]
        nuclei = [one for cuttings in chosen for one in cuttings.nuclei]
        return nuclei, np.array([one for cuttings in chosen for one in cuttings.classes], np.int64)

    def _cut(self, index: int) -> _Cuttings:
        """Of a sheet; a function of the sheet alone, whoever asks first and however often."""
        sheet = self._sheets[index]
        if sheet.slide.is_brightfield:
            return _Cuttings()
        nuclei = _some_of(sheet, index)
        return _Cuttings(nuclei, [int(sheet.classes[one.label]) for one in nuclei])


def _some_of(sheet: Sheet, seed: int) -> list[Nucleus]:
    """Some of the whole nuclei of a sheet that stand alone."""
    usable = np.ones(len(sheet.classes), bool)
    usable[np.concatenate([sheet.torn, np.unique(sheet.labels[~sheet.known])])] = False
    found = cut_nuclei(_unit(sheet.slide, sheet.pixels), sheet.labels, usable)
    some = np.random.default_rng(seed).permutation(len(found))[:_MOST_NUCLEI]
    return [found[i] for i in sorted(some.tolist())]


def _part(sheet: Sheet, side: int, rng: np.random.Generator) -> Sheet:
    """A window of a sheet; objects are not renumbered."""
    h, w = sheet.labels.shape
    y, x = (int(rng.integers(max(n - side, 0) + 1)) for n in (h, w))
    at = np.s_[y : y + side, x : x + side]
    return replace(sheet, pixels=sheet.pixels[at], labels=sheet.labels[at], known=sheet.known[at])


def _unit(slide: SlideRange, pixels: NDArray[np.generic]) -> NDArray[np.float32]:
    return slide.normalizer.apply(pixels)


def _from_unit(slide: SlideRange, unit: NDArray[np.float32]) -> NDArray[np.float32]:
    """The slide's own units, of what `_unit` would give."""
    ends = np.stack([np.zeros(unit.shape[-1]), np.ones(unit.shape[-1])])
    zero, one = slide.normalizer.apply(ends).astype(np.float64)
    return np.asarray((unit - zero) / (one - zero), np.float32)


def _centres(labels: NDArray[np.int32], n: int) -> NDArray[np.float64]:
    """y and x of objects 1 to n."""
    area = np.maximum(np.bincount(labels.ravel(), minlength=n + 1)[1:], 1)
    y, x = np.indices(labels.shape)
    sums = [np.bincount(labels.ravel(), v.ravel(), n + 1)[1:] for v in (y, x)]
    return np.stack([s / area for s in sums], axis=1)
