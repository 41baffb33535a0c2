"""What a region model finds in one region of an image, as areas to be mended."""

from __future__ import annotations

import numpy as np

from napari_histo.core import Box, ObjectTable, SlideReader, new_ids
from napari_histo.core.regions import RegionMap, RegionSegmenter
from napari_histo.ops.clip import clip_contours
from napari_histo.ops.regions import without_specks
from napari_histo.pipeline.frame import Frame
from napari_histo.pipeline.region_answers import RegionAnswers
from napari_histo.store.regions import region_table

__all__ = ["predict_areas"]

#: Smaller pieces become what is around them; as 'regions predict' has it.
_LEAST_UM2 = 2000.0


def predict_areas(
    reader: SlideReader, model: RegionSegmenter, box: Box, seed: int = 0
) -> ObjectTable:
    """Areas of each tissue in a box, cut at its edges; the background is none.

    Parameters
    ----------
    reader : SlideReader
    model : RegionSegmenter
    box : Box
        Full-resolution px.
    seed : int
        Of the ids: the same seed and box give the same ones.

    Raises
    ------
    ImageError, PixelSizeUnknownError, ModelError
    """
    answers = RegionAnswers.over(reader, model, region=box)
    frame = answers.pixels.frame
    where = Frame.of(reader, model.info, region=box).region
    prob = answers.at(where)
    size, scale = frame.pixel_size, frame.scale
    assert size is not None  # without one the frame would have raised
    found = RegionMap(
        prob.argmax(axis=-1).astype(np.uint8),
        np.rint(prob.max(axis=-1) * 255).astype(np.uint8),
        scale,
        (scale[1] * size.y_um, scale[0] * size.x_um),
        model.info.classes,
    )
    table = region_table(without_specks(found, _LEAST_UM2), model.info.name)
    moved = table.contours.transform(1.0, (where.x * scale[0], where.y * scale[1]))
    table = table.with_columns(contours=clip_contours(moved, box))
    table = table.select(table.areas_px > 0)
    rng = np.random.default_rng([seed, *(abs(n) for n in (box.x, box.y, box.width, box.height))])
    return table.with_columns(object_id=new_ids(len(table), rng))
