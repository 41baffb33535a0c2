"""What a click model outlines where another model finds objects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_histo.core import Contours, ObjectTable, PointPrompt, PromptSegmenter, Segmenter
from napari_histo.core.slide import SlideReader
from napari_histo.pipeline.prompt import PromptEngine, PromptRequest

__all__ = ["Pointed"]


@dataclass(frozen=True, eq=False)
class Pointed:
    """A model that finds objects, and one that outlines them when it is pointed at them.

    Attributes
    ----------
    finder : Segmenter
    clicks : PromptSegmenter
    """

    finder: Segmenter
    clicks: PromptSegmenter

    def outline(self, reader: SlideReader, found: ObjectTable) -> ObjectTable:
        """The same objects with the click model's outlines, one click each at the centroid.

        The finder's outline stays where the answer is empty, or lies elsewhere.
        """
        if not len(found):
            return found
        import shapely

        engine = PromptEngine(reader, self.clicks)
        nothing = Contours.empty()
        centres = found.centroids
        requests = [PromptRequest((PointPrompt(x, y),), nothing) for x, y in centres.tolist()]
        answers = engine.answer(requests)
        own = found.to_shapely()
        shapes = [
            own[i] if a.is_empty else shapely.make_valid(a.contours.to_shapely()[0])
            for i, a in enumerate(answers)
        ]
        lost = ~shapely.intersects(np.array(shapes), shapely.points(centres))
        shapes = [own[i] if lost[i] else shape for i, shape in enumerate(shapes)]
        return found.with_columns(contours=Contours.from_shapely(shapes))
