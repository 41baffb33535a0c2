"""Images whose objects are known: they stand in for the annotator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_histo.core import Contours, ObjectTable, PixelSize
from napari_histo.core import SlideReader as Reader
from napari_histo.core.learning import Candidate, LabelledRegion
from napari_histo.learning.training import Example

__all__ = ["TruthImage"]


@dataclass(frozen=True, eq=False)
class TruthImage:
    """An image whose objects are known.

    Attributes
    ----------
    name : str
    reader : SlideReader
    truth : ObjectTable
        All objects, full-resolution px.
    split : {"train", "judge", "test"}
        Regions are chosen in the first; the second chooses thresholds and when to stop, in all
        arms alike; the third gives the figures.
    pixel_size : PixelSize or None
        Where the file does not say it.
    group : str
        Patient or field; by default the image alone.
    """

    name: str
    reader: Reader
    truth: ObjectTable
    split: str
    pixel_size: PixelSize | None = None
    group: str = ""

    def labelled(self, candidate: Candidate | None = None, number: int = 0) -> Example:
        """A region with its true objects; the whole image by default."""
        box = self.reader.info.box if candidate is None else candidate.region
        objects = self.truth.select(self.truth.query(box))
        region = LabelledRegion(self.name, box, objects, Contours.empty(), "truth", number)
        return Example(self.reader, region, self.pixel_size)

    def n_owned(self, candidate: Candidate) -> int:
        """Objects whose centroids lie in a region."""
        box = candidate.region
        return int(np.count_nonzero(box.holds(self.truth.centroids[self.truth.query(box)])))
