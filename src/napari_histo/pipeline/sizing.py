"""The scale of images of which nobody knows the pixel size, from the objects in them."""

from __future__ import annotations

from napari_histo.core import Box, PixelSize, Segmenter, SlideReader
from napari_histo.core.segmenters import SizingSegmenter
from napari_histo.ops.channels import ChannelPick
from napari_histo.pipeline.frame import Frame
from napari_histo.pipeline.proposing import fit
from napari_histo.pipeline.sampling import sample_boxes

__all__ = ["frame_for"]

#: Of images of up to so many px all is looked at, of larger ones so many boxes.
_LOOK_PX, _N_BOXES = 1 << 20, 8
#: Objects further from what the network knows are not believed, as ratio of diameters.
_FAR = 10.0


def frame_for(
    reader: SlideReader,
    model: Segmenter,
    pick: ChannelPick,
    *,
    region: Box | None,
    pixel_size: PixelSize | None,
) -> Frame:
    """The frame in which a model sees an image.

    Where nobody knows the pixel size, a model that can tell the size of the objects is asked, and
    the image is scaled so that they have the diameter that it was trained at.

    Raises
    ------
    PixelSizeUnknownError, ImageError
        See `Frame.of`.
    """
    frame = Frame.of(reader, model.info, region=region, pixel_size=pixel_size)
    trained_px = model.info.diameter_px
    # A model for any pixel size takes images as they are.
    if frame.pixel_size or not trained_px or model.info.pixel_size_um is None:
        return frame
    found_px = _diameter_px(frame, model, pick)
    if found_px is None:
        return frame
    scale = min(max(found_px / trained_px, 1 / _FAR), _FAR)
    return Frame.of(reader, model.info, region=region, known_scale=scale)


def _diameter_px(frame: Frame, model: Segmenter, pick: ChannelPick) -> float | None:
    if not isinstance(model, SizingSegmenter):
        return None
    normalizer, _ = fit(frame, model, pick)
    boxes = sample_boxes(frame, whole_px=_LOOK_PX)
    boxes = boxes[:: -(-len(boxes) // _N_BOXES)]
    return model.guess_diameter_px([normalizer.apply(pick.apply(frame.read(b))) for b in boxes])
